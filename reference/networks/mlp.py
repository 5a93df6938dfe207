"""A multi-layer perceptron on points, or on flattened images.  The embedding of c, the network
time of a sample, is part of its input.

    h_0 = [x, timestep_embedding(c) + row of the class],
    a_l = h_{l-1} W_l + b_l,   h_l = silu(a_l)   for l = 1 .. depth,
    y = h_depth W + b.

The parameters of layer l are ``layers.{l-1}.w`` and ``.b``; W and b are ``layers.{depth}.w`` and
``.b``.

``jvp`` computes the derivative of y along a direction v of x.  A dot marks the derivative of a
quantity along v (its tangent):

    ḣ_0 = [v, 0],
    ȧ_l = ḣ_{l-1} W_l,   ḣ_l = silu'(a_l) ∘ ȧ_l   for l = 1 .. depth,
    ẏ = ḣ_depth W.

``jvp_backward`` is the backward of ``jvp``; implicit and sliced score matching need it.  ẏ depends
on W_l directly, through ȧ_l, and also through a_l, the argument of silu'.  Hence two streams of
gradients, dȧ_l and da_l, run from the last layer to the first.  The loss is a function of ẏ, so
they begin with dḣ_depth = dẏ Wᵀ, dW = ḣ_depthᵀ dẏ and dh_depth = 0.  Each line lists the
contributions of one quantity:

    of ḣ_l:  dȧ_l = silu'(a_l) ∘ dḣ_l   and   da_l += silu''(a_l) ∘ ȧ_l ∘ dḣ_l,
    of h_l:  da_l += silu'(a_l) ∘ dh_l,
    of ȧ_l:  dW_l += ḣ_{l-1}ᵀ dȧ_l   and   dḣ_{l-1} = dȧ_l W_lᵀ,
    of a_l:  dW_l += h_{l-1}ᵀ da_l   and   dh_{l-1} = da_l W_lᵀ   and   db_l = sum_n da_l,

with the sum over the samples n of the batch.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.networks.blocks import (
    check_labels_given,
    init_params,
    mlp_layers,
    mlp_layers_backward,
    mlp_layers_shapes,
)
from reference.ops.checks import check


@dataclass(frozen=True)
class MLP:
    """``size`` is the shape of one sample, (2,) for points in the plane.  ``depth`` hidden layers
    have ``width`` entries each; the time embedding has ``embedding`` entries.  The result y has
    ``outputs`` times as many channels as x, on its last axis.

    With ``classes`` above 0 the network has a class embedding, and ``forward`` needs ``labels``[b].
    """

    size: tuple[int, ...] = (2,)
    width: int = 128
    depth: int = 3
    embedding: int = 64
    outputs: int = 1
    classes: int = 0

    def __post_init__(self):
        if min(self.size, default=0) < 1 or self.width < 1 or self.depth < 1 or self.outputs < 1:
            given = f"{self.size}, {self.width}, {self.depth} and {self.outputs}"
            raise ValueError(f"size, width, depth and outputs must be at least 1, got {given}")
        if self.embedding < 2 or self.embedding % 2:
            raise ValueError(f"embedding must be an even number from 2 on, got {self.embedding}")
        if self.classes < 0:
            raise ValueError(f"classes must not be negative, got {self.classes}")

    @property
    def sample_shape(self):
        return self.size

    @property
    def entries(self):
        return int(np.prod(self.size))

    def shapes(self):
        """Name -> shape of every parameter."""
        widths = [
            self.entries + self.embedding,
            *[self.width] * self.depth,
            self.entries * self.outputs,
        ]
        shapes = mlp_layers_shapes("layers", widths)
        if self.classes:
            shapes["class_embedding.table"] = (self.classes, self.embedding)
        return shapes

    def init(self, seed, dtype=np.float32):
        """The parameters before the first training step: arrays by name."""
        return init_params(self.shapes(), (f"layers.{self.depth}",), seed, dtype)

    def forward(self, params, x, c, ops=reference_ops, labels=None, keep=True):
        """x[b,*size], c[b] in [0, 1000] -> y, saved.  y has the shape of x, but ``outputs`` times
        as many channels; ``saved`` is None without ``keep``.
        """
        self._check(x, c, labels)
        flat = x.reshape(len(x), self.entries)
        embedded = ops.timestep_embedding(c, self.embedding)
        if self.classes:
            embedded = embedded + ops.embedding(labels, params["class_embedding.table"])
        y, (hs, pre) = mlp_layers(params, "layers", ops.concat(flat, embedded), self.depth, ops)
        return self._shaped(y), (flat, embedded, hs, pre, labels) if keep else None

    def backward(self, params, dy, saved, ops=reference_ops):
        """dy of the shape of y -> dx[b,*size], gradients by parameter name."""
        flat, embedded, hs, pre, labels = saved
        gradients: dict = {}
        dy = dy.reshape(len(dy), self.entries * self.outputs)
        dh = mlp_layers_backward(params, "layers", dy, (hs, pre), gradients, ops)
        dx, dembedded = ops.concat_backward(dh, flat, embedded)
        gradients |= self._class_gradient(params, dembedded, labels, ops)
        return dx.reshape(len(dy), *self.size), gradients

    def jvp(self, params, v, saved, ops=reference_ops):
        """v[b,*size], ``saved`` of ``forward`` -> ẏ, saved_jvp.  ẏ is the derivative of y along v,
        in the shape of y; ``jvp_backward`` needs ``saved_jvp``.
        """
        _, _, _, pre, _ = saved
        dots, pre_dots = [v.reshape(len(v), self.entries)], []
        weights = params["layers.0.w"][: self.entries]  # the tangent of the embedding is 0
        for layer in range(self.depth):
            pre_dots.append(ops.linear(dots[-1], weights))
            dots.append(ops.silu_backward(pre_dots[-1], pre[layer]))
            weights = params[f"layers.{layer + 1}.w"]
        y_dot = ops.linear(dots[-1], weights)
        return self._shaped(y_dot), (dots, pre_dots)

    def jvp_backward(self, params, dy_dot, saved, saved_jvp, ops=reference_ops):
        """dẏ, the gradient of the loss with respect to the result ẏ of ``jvp`` -> dx[b,*size],
        dv[b,*size], gradients by parameter name.  The last bias is not among them, since ẏ does not
        depend on it.
        """
        (flat, embedded, hs, pre, labels), (dots, pre_dots) = saved, saved_jvp
        d_dot = dy_dot.reshape(len(dy_dot), self.entries * self.outputs)
        dh_dot, dw, _ = ops.linear_backward(d_dot, dots[-1], params[f"layers.{self.depth}.w"])
        gradients, dh = {f"layers.{self.depth}.w": dw}, None
        for layer in reversed(range(self.depth)):
            da = ops.silu_second(dh_dot, pre_dots[layer], pre[layer])
            if dh is not None:
                da = da + ops.silu_backward(dh, pre[layer])
            da_dot = ops.silu_backward(dh_dot, pre[layer])
            w = params[f"layers.{layer}.w"]
            dh, dw, db = ops.linear_backward(da, hs[layer], w)
            dh_dot, dw_dot, _ = ops.linear_backward(
                da_dot, dots[layer], w if layer else w[: self.entries]
            )
            # in layer 0, dw_dot has the rows of x only: the tangent of the embedding is 0
            dw[: len(dw_dot)] += dw_dot
            gradients |= {f"layers.{layer}.w": dw, f"layers.{layer}.b": db}
        dx, dembedded = ops.concat_backward(dh, flat, embedded)
        gradients |= self._class_gradient(params, dembedded, labels, ops)
        return dx.reshape(len(dx), *self.size), dh_dot.reshape(len(dx), *self.size), gradients

    def _class_gradient(self, params, dembedded, labels, ops):
        """The gradient of the class table, which the sum in h_0 passes on; none without classes."""
        if not self.classes:
            return {}
        table = "class_embedding.table"
        return {table: ops.embedding_backward(dembedded, labels, params[table])}

    def _shaped(self, y):
        """y of the last layer, [b, entries * outputs], in the shape of samples."""
        return y.reshape(len(y), *self.size[:-1], self.size[-1] * self.outputs)

    def _check(self, x, c, labels):
        check("x[b,...] c[b]", x, c)
        if x.shape[1:] != self.size:
            raise ValueError(f"x must have shape {(len(x), *self.size)}, got {x.shape}")
        check_labels_given(self, labels)
