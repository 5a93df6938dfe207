"""A small convolutional network that classifies images, clean or noisy.

    conv_in -> average pool -> blocks.0 -> average pool -> blocks.1 .. -> average pool
            -> norm, SiLU -> head.0, SiLU -> head.1.

Each block is a residual block of the U-Net (blocks.py).  Each average pool halves the sides of the
images; ``factor`` is the product of all.  The head is two linear layers on all that is left of an
image, and the input of the last one, ``width`` numbers, is the image's features.

With ``noise_conditional`` the network also gets the network time c[b] of the noise level, and adds
a linear function of its embedding to the channels of every block, as the U-Net does.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.networks.blocks import (
    DiscardCache,
    init_params,
    layer_shapes,
    mlp_layers,
    mlp_layers_backward,
    mlp_layers_shapes,
    norm_shapes,
    residual_block,
    residual_block_backward,
    residual_shapes,
)
from reference.ops.checks import check


@dataclass(frozen=True)
class ConvNet:
    """``size``: height and width of the images, ``in_channels``: their channels.  ``channels``:
    those of each block.  ``groups``: those of every group norm.
    """

    classes: int = 10
    size: tuple[int, int] = (8, 8)
    in_channels: int = 1
    channels: tuple[int, ...] = (32, 64)
    groups: int = 8
    width: int = 64
    noise_conditional: bool = False

    def __post_init__(self):
        if min(self.channels, default=0) < 2 or self.channels[0] % 2:
            raise ValueError(
                "channels must be at least 2 in every block and even in the first,"
                f" got {self.channels}"
            )
        if self.groups < 1 or any(c % self.groups for c in self.channels):
            raise ValueError(f"groups must divide the channels {self.channels}, got {self.groups}")
        if self.classes < 2 or min(self.in_channels, self.width) < 1:
            given = f"{self.classes}, {self.in_channels}, {self.width}"
            raise ValueError(
                f"classes must be at least 2, and in_channels and width at least 1, got {given}"
            )
        if min(self.size) < self.factor or any(n % self.factor for n in self.size):
            raise ValueError(
                f"{len(self.channels)} blocks need an image size that {self.factor} divides,"
                f" got {self.size[0]}x{self.size[1]}"
            )

    @property
    def sample_shape(self):
        return (*self.size, self.in_channels)

    @property
    def factor(self):
        """The sides of an image over those of its last feature map."""
        return 2 ** (len(self.channels) + 1)

    def shapes(self):
        """Name -> shape of every parameter."""
        h, embedding = self.channels[0], self.channels[0] if self.noise_conditional else 0
        shapes = layer_shapes("conv_in", 3, 3, self.in_channels, h)
        if embedding:
            shapes |= layer_shapes("time_embedding", h, embedding)
        for i, c in enumerate(self.channels):
            shapes |= residual_shapes(f"blocks.{i}", h, c, embedding)
            h = c
        left = self.size[0] * self.size[1] // self.factor**2
        shapes |= norm_shapes("norm_out", h)
        return shapes | mlp_layers_shapes("head", [left * h, self.width, self.classes])

    def init(self, seed, dtype=np.float32):
        """The parameters before the first training step.  All classes are equally probable."""
        return init_params(self.shapes(), ("conv2", "head.1"), seed, dtype)

    def forward(self, params, x, c=None, ops=reference_ops, labels=None, keep=True):
        """x[b,h,w,i], and c[b] in [0, 1000] if ``noise_conditional`` -> logits[b,classes], saved.

        ``labels``, an argument of every network, is not used.  Without ``keep`` nothing is saved
        for a backward.
        """
        saved = {} if keep else DiscardCache()
        logits, (hs, pre) = self._forward(params, x, c, ops, saved)
        saved["head"] = hs, pre
        return logits, saved

    def features(self, params, x, c=None, ops=reference_ops):
        """x[b,h,w,i], c as in ``forward`` -> [b,width], the input of the last layer."""
        _, (hs, _) = self._forward(params, x, c, ops, DiscardCache())
        return hs[-1]

    def _forward(self, params, x, c, ops, saved):
        self._check(x, c)
        e = None
        if self.noise_conditional:
            t = ops.timestep_embedding(c, self.channels[0])
            a = ops.linear(t, params["time_embedding.w"], params["time_embedding.b"])
            saved["time_embedding"] = t, a
            e = ops.silu(a)
        saved["conv_in"] = x
        h = ops.average_pool(ops.conv2d(x, params["conv_in.w"], params["conv_in.b"]))
        for i in range(len(self.channels)):
            name = f"blocks.{i}"
            h, saved[name] = residual_block(params, name, h, e, self.groups, ops)
            h = ops.average_pool(h)
        scale, shift = params["norm_out.scale"], params["norm_out.shift"]
        g, mean, rstd = ops.group_norm_silu(h, scale, shift, self.groups)
        saved["norm_out"] = h, mean, rstd
        flat = g.reshape(g.shape[0], g.shape[1] * g.shape[2] * g.shape[3])
        return mlp_layers(params, "head", flat, 1, ops)

    def backward(self, params, dlogits, saved, ops=reference_ops):
        """dlogits[b,classes] -> dx[b,h,w,i], gradients by parameter name.  The lines are those of
        the forward in reverse order, with the rules of blocks.py: the gradients of e from all
        blocks add up.
        """
        gradients: dict = {}
        h, mean, rstd = saved["norm_out"]
        dg = mlp_layers_backward(params, "head", dlogits, saved["head"], gradients, ops)
        scale, shift = params["norm_out.scale"], params["norm_out.shift"]
        dh, dscale, dshift = ops.group_norm_silu_backward(
            dg.reshape(h.shape), h, scale, shift, self.groups, mean, rstd
        )
        gradients |= {"norm_out.scale": dscale, "norm_out.shift": dshift}
        de = None
        for i in reversed(range(len(self.channels))):
            name, dh = f"blocks.{i}", ops.average_pool_backward(dh)
            dh, of_block = residual_block_backward(
                params, name, dh, saved[name], self.groups, gradients, ops
            )
            de = of_block if de is None else de + of_block
        dx, dw, db, _ = ops.conv2d_backward(
            ops.average_pool_backward(dh), saved["conv_in"], params["conv_in.w"]
        )
        gradients |= {"conv_in.w": dw, "conv_in.b": db}
        if self.noise_conditional:
            t, a = saved["time_embedding"]
            da = ops.silu_backward(de, a)
            _, dw, db = ops.linear_backward(da, t, params["time_embedding.w"])
            gradients |= {"time_embedding.w": dw, "time_embedding.b": db}
        return dx, gradients

    def _check(self, x, c):
        check("x[b,h,w,i]", x) if c is None else check("x[b,h,w,i] c[b]", x, c)
        if x.shape[1:] != self.sample_shape:
            raise ValueError(f"x must have shape {(len(x), *self.sample_shape)}, got {x.shape}")
        if self.noise_conditional != (c is not None):
            raise ValueError(
                f"c must {'' if self.noise_conditional else 'not '}be given: the network is"
                f" {'' if self.noise_conditional else 'not '}conditional on the noise level"
            )
