"""Training of the variational auto-encoder (tutorial, Sec. 1.2 and 1.3; Kingma and Welling 2014).

    q(z|x) = N(mean(x), diag exp(log_var(x))),   p(x|z) = N(y(z), s2 I),   p(z) = N(0, I).

-ELBO of an example, in nats, with one draw z = mean + exp(log_var/2) eps and all constants (Thm
1.2, Thm 1.4):

    L = 1/2 [ ‖x - y‖^2 / s2 + d log(2 pi s2) ] + KL(q(z|x) to p(z)).

The tutorial's (1.35) adds the KL to the reconstruction instead of subtracting it (E2).  By the
chain rule, for one example,

    dL/dy = (y - x) / s2,   dL/dlog s2 = (d - ‖x - y‖^2 / s2) / 2,   dL/dz = J_yᵀ dL/dy,
    dL/dmean = dL/dz + dKL/dmean,   dL/dlog_var = dL/dz eps exp(log_var/2) / 2 + dKL/dlog_var.

In the last line the first terms are the pathwise gradient (vae/estimators.py).  The KL is the sum
over the latent variables, not the mean.  A smaller weight of the KL would be another model; with a
larger one the posterior collapses to the prior.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from reference import ops as reference_ops
from reference.diffusion.denoiser import check_data_variance
from reference.networks import Autoencoder
from reference.ops.random import Purpose
from reference.vae.gaussian import log_density, reparameterise


@dataclass(frozen=True)
class VAE:
    """The network's input is x / sqrt(data_variance), and ``decoder.log_var`` is in these units:
    s2 = data_variance exp(decoder.log_var).
    """

    network: Autoencoder
    data_variance: float = 1.0

    def __post_init__(self):
        check_data_variance(self.data_variance)

    def sample_training_noise(self, seed, sample, step, shape, dtype, ops=reference_ops):
        """The noise eps [b,latent] of a training step."""
        return (ops.normal(seed, sample, step, Purpose.LATENT, (self.network.latent,), dtype),)

    def loss(self, params, x, eps, labels=None, ops=reference_ops):
        """-ELBO of x[b,...] for the draws eps[b,latent]: mean, per_sample[b], the gradients of the
        mean by name.
        """
        reconstruction, kl, (x, y, eps, mean, log_var, squares, encoded, decoded) = self._terms(
            params, x, eps, ops
        )
        each, entries = np.full_like(x, 1 / len(x), shape=len(x)), x[0].size
        precision = np.exp(-params["decoder.log_var"])
        gradients: dict = {}
        dy = ops.mse_backward(each * (entries / 2) * precision, y, x)
        dz = self.network.decode_backward(params, dy, decoded, gradients, ops)
        dmean, dlog_var = ops.gaussian_kl_backward(each, mean, log_var)
        dlog_var = dlog_var + dz * eps * np.exp(log_var / 2) / 2
        self.network.encode_backward(params, dz + dmean, dlog_var, encoded, gradients, ops)
        gradients["decoder.log_var"] = (each * (1 - squares * precision) * (entries / 2)).sum(
            keepdims=True
        )
        per_sample = reconstruction + kl
        return per_sample.mean(), per_sample, gradients

    def _terms(self, params, x, eps, ops):
        """-log p(x|z) [b], KL [b], and the arrays for the backward pass."""
        x = x * x.dtype.type(self.data_variance**-0.5)
        mean, log_var, encoded = self.network.encode(params, x, ops)
        z = reparameterise(mean, np.exp(log_var / 2), eps)
        y, decoded = self.network.decode(params, z, ops)
        _, squares = ops.mse(y, x)
        log_s2 = params["decoder.log_var"]
        constant = x.dtype.type(np.log(2 * np.pi * self.data_variance))
        reconstruction = (squares * np.exp(-log_s2) + log_s2 + constant) * (x[0].size / 2)
        return (
            reconstruction,
            ops.gaussian_kl(mean, log_var),
            (x, y, eps, mean, log_var, squares, encoded, decoded),
        )

    def elbo_terms(self, params, x, eps, ops=reference_ops):
        """-ELBO of x[b,...] as a dictionary of ``reconstruction`` [b] and ``kl`` [b], in nats; the
        KL in closed form.
        """
        reconstruction, kl, _ = self._terms(params, x, eps, ops)
        return {"reconstruction": reconstruction, "kl": kl}

    def log_weight(self, params, x, eps, ops=reference_ops):
        """log(p(x|z) p(z) / q(z|x)) [b] at the z of eps.  Its mean over eps is the ELBO, without
        the closed form of the KL.
        """
        reconstruction, _, (_, _, _, mean, log_var, *_) = self._terms(params, x, eps, ops)
        deviation = np.exp(log_var / 2)
        z = reparameterise(mean, deviation, eps)
        return (
            log_density(z, 0.0, np.ones_like(z)) - log_density(z, mean, deviation) - reconstruction
        )

    def importance_weighted(self, params, x, count, seed, ops=reference_ops):
        """log(1/count sum_k w_k) [b] for ``count`` weights w_k (Burda et al. 2016).  Its mean grows
        with ``count`` from the ELBO to log p(x).
        """
        sample, shape = np.arange(len(x)), (self.network.latent,)
        draws = (
            ops.normal(seed, sample, k, Purpose.EVALUATION, shape, x.dtype) for k in range(count)
        )
        weights = np.stack([self.log_weight(params, x, eps, ops) for eps in draws])
        return logsumexp(weights.astype(np.float64), axis=0) - np.log(count)

    def sample(
        self, params, seed, sample, decoder_noise=False, dtype=np.float32, ops=reference_ops
    ):
        """y(z) for z ~ N(0, I) [b,*size], one for each index in ``sample``; with ``decoder_noise``
        a draw from p(x|z) in place of its mean.
        """
        z = ops.normal(seed, sample, 0, Purpose.PRIOR, (self.network.latent,), dtype)
        y, _ = self.network.decode(params, z, ops)
        if decoder_noise:
            y = y + np.exp(params["decoder.log_var"] / 2) * ops.normal(
                seed, sample, 0, Purpose.STEP_NOISE, y.shape[1:], dtype
            )
        return y * np.dtype(dtype).type(self.data_variance**0.5)
