"""Four losses of score matching (tutorial, Sec. 3.3), each with its gradient through the network.
The minimiser of each is the score of the data (denoising: of the noised data).

    explicit    1/2 ‖s(x) - ∇ log p(x)‖^2
                p is known, or a kernel density estimate takes its place (Thm 3.2).
    implicit    tr(ds/dx) + 1/2 ‖s(x)‖^2
                In the mean, explicit minus 1/2 E[‖∇ log p‖^2], if p vanishes at the boundary (3.9).
    sliced      vᵀ (ds/dx) v + 1/2 ‖s(x)‖^2
                Its mean over v is implicit if E[v vᵀ] = I: Hutchinson's estimate of the trace.
    denoising   1/2 ‖s(x + sigma z) + z / sigma‖^2
                In the mean, explicit for the noised density plus a constant (Thm 3.4).

The implicit loss follows from the explicit one by integration by parts: E[s·∇ log p] = int s·∇p dx
= -E[tr(ds/dx)].  The smallest mean loss is 0 for explicit, -1/2 E[‖∇ log p‖^2] for implicit and
sliced, and 1/2 (d/sigma^2 - E[‖∇ log p_sigma‖^2]) for denoising.

Each function returns (mean, per_sample[b], gradients of the mean by parameter name), per example:
sums over entries, not means.  ``network`` is as in reference/networks, y = network(x, c).  Where y
is the score itself, the losses are the ones above.  A network for many noise levels predicts y =
-sigma s from an input x / k.  Then ds/dx = -1/(sigma k) dy/dx, so sigma^2 times a loss is the same
loss of y with the trace multiplied by ``divergence_weight`` = -sigma/k.
"""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import cast_like, per_sample_column


def explicit(network, params, x, c, target, ops=reference_ops):
    """1/2 ‖y - target‖^2 for the network's y at x[b,...], target[b,...]."""
    y, saved = network.forward(params, x, c, ops)
    entries = x[0].size
    _, squares = ops.mse(y, target)
    each = np.full_like(x, entries / (2 * len(x)), shape=len(x))
    _, gradients = network.backward(params, ops.mse_backward(each, y, target), saved, ops)
    per_sample = squares * (entries / 2)
    return per_sample.mean(), per_sample, gradients


def denoising(network, params, x0, c, sigma, noise, ops=reference_ops):
    """1/2 ‖s(x0 + sigma noise) + noise / sigma‖^2, sigma a number or [b].

    The network's target is -noise / sigma; the tutorial's text loses the sign (E10b).
    """
    x = ops.add_noise(x0, 1.0, sigma, noise)
    return explicit(network, params, x, c, noise / -per_sample_column(sigma, noise), ops)


def implicit(network, params, x, c, divergence_weight=1.0, ops=reference_ops):
    """tr(dy/dx) + 1/2 ‖y‖^2, with the exact trace: one derivative along each axis of x.  Only for
    networks with ``jvp``.
    """
    axis = np.arange(x[0].size, like=x)
    identity = (axis[:, None] == axis).astype(x.dtype)
    basis = np.broadcast_to(identity.reshape(-1, 1, *x.shape[1:]), (len(axis), *x.shape))
    return _with_divergence(network, params, x, c, basis, divergence_weight, ops)


def sliced(network, params, x, c, probe, divergence_weight=1.0, ops=reference_ops):
    """vᵀ (dy/dx) v + 1/2 ‖y‖^2 for the probe v[b,...], with independent entries of mean 0 and
    variance 1 (Song et al. 2019).

    Rademacher probes (``rademacher``) give the trace the smallest variance: 2 sum_{i != j} J_ij^2
    for a symmetric J = dy/dx, so 0 if J is diagonal.
    """
    return _with_divergence(network, params, x, c, probe[None], divergence_weight, ops)


def rademacher(uniform):
    """+1 and -1 with equal probability, from uniform numbers on (0, 1)."""
    return np.where(uniform < 0.5, -1, 1).astype(uniform.dtype)


def _with_divergence(network, params, x, c, probes, weight, ops):
    """The sum over probes[m,b,...] of weight vᵀ (dy/dx) v, plus 1/2 ‖y‖^2.

    vᵀ (dy/dx) v = <v, jvp(v)>: its gradient is ``jvp_backward`` with the upstream gradient v.  The
    gradient of 1/2 ‖y‖^2 is ``backward`` with the upstream gradient y.
    """
    if not hasattr(network, "jvp"):
        raise ValueError(
            "implicit and sliced score matching need a network with jvp,"
            f" which {type(network).__name__} lacks"
        )
    count = x.dtype.type(len(x))
    weight = per_sample_column(cast_like(weight, x), x)
    y, saved = network.forward(params, x, c, ops)
    per_sample = (y * y).reshape(len(x), -1).sum(axis=1) / 2
    _, gradients = network.backward(params, y / count, saved, ops)
    for v in probes:
        y_dot, saved_jvp = network.jvp(params, v, saved, ops)
        per_sample = per_sample + (weight * v * y_dot).reshape(len(x), -1).sum(axis=1)
        _, _, along = network.jvp_backward(params, weight * v / count, saved, saved_jvp, ops)
        gradients = {name: g + along[name] if name in along else g for name, g in gradients.items()}
    return per_sample.mean(), per_sample, gradients
