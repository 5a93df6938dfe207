"""The U-Net of DDPM (Ho et al. 2020), arranged as UNet2DModel of the library diffusers, so that
weights can be exchanged with it.

    conv_in -> down_blocks.0 .. -> mid_block -> up_blocks.0 .. -> conv_norm_out, SiLU, conv_out.

Level i works on images of 1 / 2^i of the size, with ``channels[i]`` channels.  On the way down,
each level has ``layers`` residual blocks, and all levels but the last a strided convolution.  The
result of conv_in and of each of these is kept as a skip connection.  The middle block is a residual
block, attention and another residual block.  On the way up, each level has ``layers`` + 1 residual
blocks; the input of each is concatenated with the latest skip connection that is still unused.
Between two levels, each side of the image is doubled (nearest neighbour), and the result convolved.
On the levels in ``attention``, attention follows every residual block.

Parameters have that library's names, but for the last part: w, b, scale, shift or table.  So do
``norm_eps``, ``freq_shift`` and ``downsample_padding``, which models published for that library
need: DDPM's have eps 1e-6 in every group norm, the time's lowest frequency at exactly 1/10000
(shift 1), and zeros only at the bottom and on the right where an image is halved (padding 0).
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.networks.blocks import (
    DiscardCache,
    attention_block,
    attention_block_backward,
    attention_shapes,
    check_labels_given,
    halving_convolution,
    halving_convolution_backward,
    init_params,
    layer_shapes,
    norm_shapes,
    residual_block,
    residual_block_backward,
    residual_shapes,
    sum_of,
)
from reference.networks.text import (
    PAD,
    check_text_fields,
    cross_attention_block,
    cross_attention_block_backward,
    cross_attention_shapes,
    cross_name,
    text_encoder,
    text_encoder_backward,
    text_encoder_shapes,
    text_mean,
    text_mean_backward,
)
from reference.ops.checks import check

MIDDLE = -1  # the level of the middle block


@dataclass(frozen=True)
class UNet:
    """``size``: height and width of the images, ``in_channels``: their channels.  ``groups``: those
    of every group norm.  ``attention``: the levels with attention; -1 is the last one.  An
    attention head has ``head_width`` channels, None: all channels.  The result y has ``outputs``
    times as many channels as x.

    With ``classes`` above 0 the network has a class embedding, and ``forward`` needs ``labels``[b].
    With ``vocabulary`` above 0 it has a text encoder, and ``forward`` needs as labels the tokens
    [b,caption_length] of captions, 0 behind their last word.  On the levels in ``cross_attention``,
    attention to the tokens follows every residual block and its attention; without such levels,
    the time embedding takes the mean of the tokens' vectors.
    """

    size: tuple[int, int] = (8, 8)
    in_channels: int = 1
    channels: tuple[int, ...] = (32, 64)
    layers: int = 1
    groups: int = 8
    head_width: int | None = 8
    classes: int = 0
    outputs: int = 1
    attention: tuple[int, ...] = (-1,)
    norm_eps: float = 1e-5
    freq_shift: int = 0
    downsample_padding: int = 1
    vocabulary: int = 0
    caption_length: int = 8
    text_width: int = 32
    cross_attention: tuple[int, ...] = (-2, -1)

    def __post_init__(self):
        if min(self.channels, default=0) < 2 or self.channels[0] % 2:
            raise ValueError(
                "channels must be at least 2 on every level and even on the first,"
                f" got {self.channels}"
            )
        if self.groups < 1 or any(c % self.groups for c in self.channels):
            raise ValueError(f"groups must divide the channels {self.channels}, got {self.groups}")
        for field in ("attention", "cross_attention")[: 2 if self.vocabulary else 1]:
            for level in getattr(self, field):
                if not -len(self.channels) <= level <= self.last_level:
                    raise ValueError(
                        f"{field} must list levels from 0 to {self.last_level}, got {level}"
                    )
        # the middle block's is the last
        for level in (self.last_level, *self.attention_levels, *self.cross_attention_levels):
            width, c = self.head_width, self.channels[level]
            if width is not None and (width < 1 or c % width):
                raise ValueError(
                    f"head_width must divide the {c} channels of level {level}, got {width}"
                )
        if not 0 < self.norm_eps < float("inf"):
            raise ValueError(f"norm_eps must be a positive number, got {self.norm_eps}")
        if not 0 <= self.freq_shift < self.channels[0] // 2:
            raise ValueError(
                f"freq_shift must be at least 0 and below {self.channels[0] // 2}, half of the"
                f" channels of the first level, got {self.freq_shift}"
            )
        if self.downsample_padding not in (0, 1):
            raise ValueError(f"downsample_padding must be 0 or 1, got {self.downsample_padding}")
        if min(self.layers, self.in_channels, self.outputs) < 1 or self.classes < 0:
            given = f"{self.layers}, {self.in_channels}, {self.outputs}, {self.classes}"
            raise ValueError(
                "layers, in_channels and outputs must be at least 1 and classes at least 0,"
                f" got {given}"
            )
        check_text_fields(self)
        factor = 2**self.last_level
        if min(self.size) < factor or any(n % factor for n in self.size):
            raise ValueError(
                f"{len(self.channels)} levels need an image size that {factor} divides,"
                f" got {self.size[0]}x{self.size[1]}"
            )

    @property
    def sample_shape(self):
        return (*self.size, self.in_channels)

    @property
    def last_level(self):
        return len(self.channels) - 1

    @property
    def attention_levels(self):
        """``attention`` as a set of numbers from 0 on."""
        return {level % len(self.channels) for level in self.attention}

    @property
    def cross_attention_levels(self):
        """``cross_attention`` as a set of numbers from 0 on; empty without a vocabulary."""
        return {level % len(self.channels) for level in self.cross_attention if self.vocabulary}

    @property
    def takes_text_mean(self):  # does the mean of the tokens enter the time embedding?
        return self.vocabulary > 0 and not self.cross_attention

    def up_channels(self):
        """(name, level, channels of h, channels of the skip, channels of the result) of every
        residual block on the way up, in order.
        """
        # stored on the way down: conv_in, every residual block, every strided convolution
        skips = [self.channels[0]]
        for i, c in enumerate(self.channels):
            skips += [c] * (self.layers + (i < self.last_level))
        h, blocks = self.channels[-1], []
        for u, i in enumerate(reversed(range(len(self.channels)))):
            for j in range(self.layers + 1):
                blocks.append((f"up_blocks.{u}.resnets.{j}", i, h, skips.pop(), self.channels[i]))
                h = self.channels[i]
        return blocks

    def shapes(self):
        """Name -> shape of every parameter."""
        first, embedding = self.channels[0], 4 * self.channels[0]
        shapes = layer_shapes("conv_in", 3, 3, self.in_channels, first)
        shapes |= layer_shapes("time_embedding.linear_1", first, embedding)
        shapes |= layer_shapes("time_embedding.linear_2", embedding, embedding)
        if self.classes:
            shapes["class_embedding.table"] = (self.classes, embedding)
        if self.vocabulary:
            sizes = self.vocabulary, self.caption_length, self.text_width
            shapes |= text_encoder_shapes("text", *sizes)
        if self.takes_text_mean:
            shapes |= layer_shapes("text.mean", self.text_width, embedding)
        h = first
        for i, c in enumerate(self.channels):
            for j in range(self.layers):
                shapes |= residual_shapes(f"down_blocks.{i}.resnets.{j}", h, c, embedding)
                shapes |= self._attention_shapes(f"down_blocks.{i}.attentions.{j}", i, c)
                h = c
            if i < self.last_level:
                shapes |= layer_shapes(f"down_blocks.{i}.downsamplers.0.conv", 3, 3, c, c)
        shapes |= residual_shapes("mid_block.resnets.0", h, h, embedding)
        shapes |= self._attention_shapes("mid_block.attentions.0", MIDDLE, h)
        shapes |= residual_shapes("mid_block.resnets.1", h, h, embedding)
        for name, i, h, skip, c in self.up_channels():
            shapes |= residual_shapes(name, h + skip, c, embedding)
            shapes |= self._attention_shapes(name.replace("resnets", "attentions"), i, c)
            if i > 0 and name.endswith(f".{self.layers}"):
                upsampler = name.replace(f"resnets.{self.layers}", "upsamplers.0.conv")
                shapes |= layer_shapes(upsampler, 3, 3, c, c)
        shapes |= norm_shapes("conv_norm_out", first)
        return shapes | layer_shapes("conv_out", 3, 3, first, self.in_channels * self.outputs)

    def _attention_kinds(self, level):
        """Does attention, and does attention to the tokens, follow the residual blocks of a level,
        or the first one of the ``MIDDLE``?
        """
        deepest = self.last_level if level == MIDDLE else level
        return (
            level == MIDDLE or level in self.attention_levels,
            deepest in self.cross_attention_levels,
        )

    def _attention_shapes(self, name, level, channels):
        own, cross = self._attention_kinds(level)
        shapes = attention_shapes(name, channels) if own else {}
        if cross:
            name = cross_name(name)
            shapes |= cross_attention_shapes(name, channels, self.text_width)
        return shapes

    def init(self, seed, dtype=np.float32):
        """The parameters before the first training step: arrays by name."""
        return init_params(self.shapes(), ("conv2", "to_out.0", "conv_out"), seed, dtype)

    def forward(self, params, x, c, ops=reference_ops, labels=None, keep=True):
        """x[b,h,w,i], c[b] in [0, 1000], labels[b] if there are classes, or tokens [b,m] if there
        is a vocabulary -> y[b,h,w,i outputs], saved.

        Without ``keep`` nothing is saved: the memory is that of two blocks and the skips.
        """
        self._check(x, c, labels)
        saved = {} if keep else DiscardCache()

        def residual(name, h):
            y, saved[name] = residual_block(params, name, h, e, self.groups, ops, self.norm_eps)
            return y

        def attention(name, level, h):
            own, cross = self._attention_kinds(level)
            rest = self.groups, self.head_width, ops, self.norm_eps
            if own:
                h, saved[name] = attention_block(params, name, h, *rest)
            if cross:
                name = cross_name(name)
                h, saved[name] = cross_attention_block(params, name, h, text, mask, *rest)
            return h

        text, mask = None, None
        if self.vocabulary:
            text, saved["text"] = text_encoder(params, "text", labels, ops)
            mask = labels != PAD
        e = self._embed(params, c, labels, text, mask, saved, ops)
        h = ops.conv2d(x, params["conv_in.w"], params["conv_in.b"])
        skips = [h]
        for i in range(len(self.channels)):
            for j in range(self.layers):
                h = residual(f"down_blocks.{i}.resnets.{j}", h)
                h = attention(f"down_blocks.{i}.attentions.{j}", i, h)
                skips.append(h)
            if i < self.last_level:
                name = f"down_blocks.{i}.downsamplers.0.conv"
                saved[name] = h
                h = halving_convolution(params, name, h, self.downsample_padding, ops)
                skips.append(h)

        h = residual("mid_block.resnets.0", h)
        h = attention("mid_block.attentions.0", MIDDLE, h)
        h = residual("mid_block.resnets.1", h)

        for u, i in enumerate(reversed(range(len(self.channels)))):
            for j in range(self.layers + 1):
                name = f"up_blocks.{u}.resnets.{j}"
                saved[f"{name}.concat"] = h, skips[-1]
                h = residual(name, ops.concat(h, skips.pop()))
                h = attention(f"up_blocks.{u}.attentions.{j}", i, h)
            if i > 0:
                name = f"up_blocks.{u}.upsamplers.0.conv"
                saved[name] = h = ops.upsample_nearest(h)
                h = ops.conv2d(h, params[f"{name}.w"], params[f"{name}.b"])

        scale, shift = params["conv_norm_out.scale"], params["conv_norm_out.shift"]
        g, mean, rstd = ops.group_norm_silu(h, scale, shift, self.groups, self.norm_eps)
        y = ops.conv2d(g, params["conv_out.w"], params["conv_out.b"])
        saved["conv_in"], saved["conv_out"] = x, (h, mean, rstd, g)
        return y, saved

    def backward(self, params, dy, saved, ops=reference_ops):
        """dy of the shape of y -> dx, gradients by parameter name.  The lines are those of the
        forward in reverse order, with the rules of blocks.py.
        """
        gradients: dict = {}
        des: list = []
        dskips: list = []
        dtexts: list = []

        def conv(name, dy, x):
            dx, gradients[f"{name}.w"], gradients[f"{name}.b"], _ = ops.conv2d_backward(
                dy, x, params[f"{name}.w"]
            )
            return dx

        def halving(name, dy):
            return halving_convolution_backward(
                params, name, dy, saved[name], self.downsample_padding, gradients, ops
            )

        def residual(name, dh):
            dh, de = residual_block_backward(
                params, name, dh, saved[name], self.groups, gradients, ops
            )
            des.append(de)
            return dh

        def attention(name, level, dh):
            own, cross = self._attention_kinds(level)
            rest = self.groups, self.head_width, gradients, ops
            if cross:
                other = cross_name(name)
                dh, dt = cross_attention_block_backward(params, other, dh, saved[other], *rest)
                dtexts.append(dt)
            if own:
                dh = attention_block_backward(params, name, dh, saved[name], *rest)
            return dh

        h, mean, rstd, g = saved["conv_out"]
        dg = conv("conv_out", dy, g)
        scale, shift = params["conv_norm_out.scale"], params["conv_norm_out.shift"]
        dh, dscale, dshift = ops.group_norm_silu_backward(
            dg, h, scale, shift, self.groups, mean, rstd
        )
        gradients |= {"conv_norm_out.scale": dscale, "conv_norm_out.shift": dshift}

        for u, i in reversed(list(enumerate(reversed(range(len(self.channels)))))):
            if i > 0:
                name = f"up_blocks.{u}.upsamplers.0.conv"
                dh = ops.upsample_nearest_backward(conv(name, dh, saved[name]))
            for j in reversed(range(self.layers + 1)):
                name = f"up_blocks.{u}.resnets.{j}"
                dh = attention(f"up_blocks.{u}.attentions.{j}", i, dh)
                dh, dskip = ops.concat_backward(residual(name, dh), *saved[f"{name}.concat"])
                dskips.append(dskip)

        dh = residual("mid_block.resnets.1", dh)
        dh = attention("mid_block.attentions.0", MIDDLE, dh)
        dh = residual("mid_block.resnets.0", dh)

        # each result enters the next block and a skip: its gradient is the sum of both
        for i in reversed(range(len(self.channels))):
            if i < self.last_level:
                name = f"down_blocks.{i}.downsamplers.0.conv"
                dh = halving(name, dh + dskips.pop())
            for j in reversed(range(self.layers)):
                dh = attention(f"down_blocks.{i}.attentions.{j}", i, dh + dskips.pop())
                dh = residual(f"down_blocks.{i}.resnets.{j}", dh)
        dx = conv("conv_in", dh + dskips.pop(), saved["conv_in"])
        self._embed_backward(params, des, dtexts, saved, gradients, ops)
        if self.vocabulary:
            text_encoder_backward(params, "text", sum_of(dtexts), saved["text"], gradients, ops)
        return dx, gradients

    def _check(self, x, c, labels):
        check("x[b,h,w,i] c[b]", x, c)
        if x.shape[1:] != self.sample_shape:
            raise ValueError(f"x must have shape {(len(x), *self.sample_shape)}, got {x.shape}")
        check_labels_given(self, labels)

    def _embed(self, params, c, labels, text, mask, saved, ops):
        """c[b] -> e[b,d], an input of every residual block:

        e = silu(linear_2(silu(linear_1(timestep_embedding(c)))) + row of the class or the caption).
        """
        p = lambda leaf: params[f"time_embedding.{leaf}"]
        t = ops.timestep_embedding(c, self.channels[0], self.freq_shift)
        a1 = ops.linear(t, p("linear_1.w"), p("linear_1.b"))
        s1 = ops.silu(a1)
        a2 = ops.linear(s1, p("linear_2.w"), p("linear_2.b"))
        if self.classes:
            a2 = a2 + ops.embedding(labels, params["class_embedding.table"])
        if self.takes_text_mean:
            row, saved["text_mean"] = text_mean(params, "text", text, mask, ops)
            a2 = a2 + row
        saved["time_embedding"] = t, a1, s1, a2, labels
        return ops.silu(a2)

    def _embed_backward(self, params, des, dtexts, saved, gradients, ops):
        """des: the gradients with respect to e of all blocks; adds that of the text to dtexts."""
        t, a1, s1, a2, labels = saved["time_embedding"]
        da2 = ops.silu_backward(sum_of(des), a2)
        if self.classes:
            gradients["class_embedding.table"] = ops.embedding_backward(
                da2, labels, params["class_embedding.table"]
            )
        if self.takes_text_mean:
            dtexts += [text_mean_backward(params, "text", da2, saved["text_mean"], gradients, ops)]
        ds1, dw2, db2 = ops.linear_backward(da2, s1, params["time_embedding.linear_2.w"])
        da1 = ops.silu_backward(ds1, a1)
        _, dw1, db1 = ops.linear_backward(da1, t, params["time_embedding.linear_1.w"])
        gradients |= {"time_embedding.linear_1.w": dw1, "time_embedding.linear_1.b": db1}
        gradients |= {"time_embedding.linear_2.w": dw2, "time_embedding.linear_2.b": db2}
