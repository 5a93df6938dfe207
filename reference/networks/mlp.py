"""A multi-layer perceptron on points, or on images laid out flat, that is told the time by an
embedding beside its input.

    h_0 = [x, timestep_embedding(c)],   a_l = h_(l-1) W_l + b_l,   h_l = silu(a_l) for l = 1 .. depth,   y = h_depth W + b.

The derivative of y along a direction v of x (``jvp``) runs beside it, with a dot for the
derivative:

    h._0 = [v, 0],   a._l = h._(l-1) W_l,   h._l = silu'(a_l) a._l,   y. = h._depth W.

Its own backward (``jvp_backward``, for implicit and sliced score matching) has two streams.  y.
depends on the weights directly and through the a_l, because silu' is taken there:

    from h._l:  da._l = silu'(a_l) dh._l   and   da_l += silu''(a_l) a._l dh._l,
    from h_l:   da_l += silu'(a_l) dh_l,
    from a._l:  dW_l += h._(l-1)' da._l,   dh._(l-1) = da._l W_l'   and likewise without dots.
"""

from dataclasses import dataclass

import numpy as np

from reference import ops as reference_ops
from reference.networks.blocks import (
    init_params,
    mlp_layers,
    mlp_layers_backward,
    mlp_layers_shapes,
)
from reference.ops.checks import check


@dataclass(frozen=True)
class MLP:
    """``size`` is the shape of one sample, (2,) for points of the plane; y has ``outputs`` times as
    many channels, on its last axis.
    """

    size: tuple[int, ...] = (2,)
    width: int = 128
    depth: int = 3
    embedding: int = 64
    outputs: int = 1

    classes = 0  # as UNet has: an MLP takes no labels

    def __post_init__(self):
        if min(self.size, default=0) < 1 or self.width < 1 or self.depth < 1 or self.outputs < 1:
            given = f"{self.size}, {self.width}, {self.depth} and {self.outputs}"
            raise ValueError(f"size, width, depth and outputs must be at least 1, got {given}")
        if self.embedding < 2 or self.embedding % 2:
            raise ValueError(f"embedding must be an even number from 2 on, got {self.embedding}")

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
        return mlp_layers_shapes("layers", widths)

    def init(self, seed, dtype=np.float32):
        """The parameters that training begins with."""
        return init_params(self.shapes(), (f"layers.{self.depth}",), seed, dtype)

    def forward(self, params, x, c, ops=reference_ops, labels=None, keep=True):
        """x[b,*size], c[b] in [0, 1000] -> y of x's shape, but for its last axis with several
        ``outputs``; saved, None without ``keep``.
        """
        self._check(x, c, labels)
        flat = x.reshape(len(x), self.entries)
        embedded = ops.timestep_embedding(c, self.embedding)
        y, (hs, pre) = mlp_layers(params, "layers", ops.concat(flat, embedded), self.depth, ops)
        return y.reshape(len(x), *self.size[:-1], self.size[-1] * self.outputs), (
            flat,
            embedded,
            hs,
            pre,
        ) if keep else None

    def backward(self, params, dy, saved, ops=reference_ops):
        """dy of y's shape -> dx, gradients by parameter name."""
        flat, embedded, hs, pre = saved
        gradients: dict = {}
        d = mlp_layers_backward(
            params,
            "layers",
            dy.reshape(len(dy), self.entries * self.outputs),
            (hs, pre),
            gradients,
            ops,
        )
        dx, _ = ops.concat_backward(d, flat, embedded)
        return dx.reshape(len(dy), *self.size), gradients

    def jvp(self, params, v, saved, ops=reference_ops):
        """v of x's shape, ``saved`` from ``forward`` -> the derivative of y along v, saved_jvp."""
        _, _, _, pre = saved
        dots, pre_dots = [v.reshape(len(v), self.entries)], []
        weights = params["layers.0.w"][: self.entries]  # the embedding does not move with x
        for layer in range(self.depth):
            pre_dots.append(ops.linear(dots[-1], weights))
            dots.append(ops.silu_backward(pre_dots[-1], pre[layer]))
            weights = params[f"layers.{layer + 1}.w"]
        y_dot = ops.linear(dots[-1], weights)
        return y_dot.reshape(len(v), *self.size[:-1], self.size[-1] * self.outputs), (
            dots,
            pre_dots,
        )

    def jvp_backward(self, params, dy_dot, saved, saved_jvp, ops=reference_ops):
        """The gradient dy_dot at the result of ``jvp`` -> dx, dv, gradients by parameter name
        (without the last bias: it has none).
        """
        (flat, embedded, hs, pre), (dots, pre_dots) = saved, saved_jvp
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
            # in layer 0 the rows of x alone: the embedding's have no derivative
            dw[: len(dw_dot)] += dw_dot
            gradients |= {f"layers.{layer}.w": dw, f"layers.{layer}.b": db}
        dx, _ = ops.concat_backward(dh, flat, embedded)
        return dx.reshape(len(dx), *self.size), dh_dot.reshape(len(dx), *self.size), gradients

    def _check(self, x, c, labels):
        check("x[b,...] c[b]", x, c)
        if x.shape[1:] != self.size:
            raise ValueError(f"x must have shape {(len(x), *self.size)}, got {x.shape}")
        if labels is not None:
            raise ValueError("labels must not be given: an MLP has no classes")
