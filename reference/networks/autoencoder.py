"""An encoder and a decoder: two stacks of linear layers (tutorial, (1.2), (1.3)).  The encoder
returns the parameters of a Gaussian.

    (mean, log_var) = encoder(x),   y = decoder(z).

Both have ``depth`` hidden layers with SiLU; depth 0 is the linear auto-encoder.  One more
parameter, ``decoder.log_var``, is the log-variance of p(x | z) = N(y, e^{log_var} I).
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
class Autoencoder:
    """``size`` is the shape of one sample, a point or an image (which is flattened); ``latent`` is
    the dimension of z.
    """

    size: tuple[int, ...] = (8, 8, 1)
    latent: int = 8
    width: int = 256
    depth: int = 2

    classes = 0

    def __post_init__(self):
        if min(*self.size, self.latent, self.width) < 1 or self.depth < 0:
            given = f"{self.size}, {self.latent}, {self.width}, {self.depth}"
            raise ValueError(
                f"size, latent and width must be at least 1 and depth at least 0, got {given}"
            )

    @property
    def sample_shape(self):
        return self.size

    @property
    def entries(self):
        return int(np.prod(self.size))

    def shapes(self):
        """Name -> shape of every parameter."""
        hidden = [self.width] * self.depth
        shapes = mlp_layers_shapes("encoder", [self.entries, *hidden, 2 * self.latent])
        shapes |= mlp_layers_shapes("decoder", [self.latent, *hidden, self.entries])
        return shapes | {"decoder.log_var": (1,)}

    def init(self, seed, dtype=np.float32):
        """The parameters before the first training step.  The encoder returns N(0, 1) for every x,
        and the variance of the decoder is e^{-2}.

        If the decoder began with the variance of the data, the KL would first train the encoder to
        ignore x, before the decoder could use z.
        """
        params = init_params(self.shapes(), (f"encoder.{self.depth}",), seed, dtype)
        return params | {"decoder.log_var": np.full(1, -2.0, dtype)}

    def encode(self, params, x, ops=reference_ops):
        """x[b,*size] -> mean[b,latent], log_var[b,latent], saved."""
        check("x[b,...]", x)
        if x.shape[1:] != self.size:
            raise ValueError(f"x must have shape {(len(x), *self.size)}, got {x.shape}")
        h, saved = mlp_layers(params, "encoder", x.reshape(len(x), self.entries), self.depth, ops)
        return h[:, : self.latent], h[:, self.latent :], saved

    def encode_backward(self, params, dmean, dlog_var, saved, gradients, ops=reference_ops):
        """dmean[b,latent], dlog_var[b,latent] -> dx[b,*size]; the gradients of the parameters are
        added to the dictionary ``gradients``.
        """
        dh = ops.concat(dmean, dlog_var)
        dx = mlp_layers_backward(params, "encoder", dh, saved, gradients, ops)
        return dx.reshape(len(dx), *self.size)

    def decode(self, params, z, ops=reference_ops):
        """z[b,latent] -> y[b,*size], saved."""
        check("z[b,k]", z)
        if z.shape[1] != self.latent:
            raise ValueError(f"z must have shape {(len(z), self.latent)}, got {z.shape}")
        y, saved = mlp_layers(params, "decoder", z, self.depth, ops)
        return y.reshape(len(z), *self.size), saved

    def decode_backward(self, params, dy, saved, gradients, ops=reference_ops):
        """dy[b,*size] -> dz[b,latent]; ``gradients`` as in ``encode_backward``."""
        dy = dy.reshape(len(dy), self.entries)
        return mlp_layers_backward(params, "decoder", dy, saved, gradients, ops)
