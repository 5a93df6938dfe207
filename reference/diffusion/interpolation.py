"""Predictions at noise levels between those of training.

A solver evaluates a network at x = alpha x_0 + sigma eps for any alpha and sigma.  A network that
was trained at few levels is undefined between them.  This file predicts there from the two
neighbouring levels.

With sigma_data^2 the variance of the data (``data_variance``), write u = x_0 / sigma_data and

    tan(phi) = sigma / (alpha sigma_data),
    z = cos(phi) u + sin(phi) eps,   F = sin(phi) u - cos(phi) eps.

z is x scaled to unit variance, the input of the network.  F is orthogonal to z, and it is the
prediction F of conversions.py, as of EDM's network.  z and F give u and eps without a division:

    u = cos(phi) z + sin(phi) F,   eps = sin(phi) z - cos(phi) F.

The network is evaluated at both neighbouring levels, at the same z.  Each output is converted to F,
and F is interpolated linearly in l = log(tan(phi)):

1. For Gaussian data of variance sigma_data^2, E[F | z] = 0 at every level.  The result is then
   exact for any weights that sum to 1.
2. For Gaussian data of variance k sigma_data^2,

       E[F | z] = (k - 1) / (k e^{-l} + e^l) z = (k - 1) / (2 sqrt(k)) sech(l - log(k)/2) z.

   Linear interpolation over a step h in l has an error of at most h^2/8 max |d^2/dl^2|; moreover
   |sech''| <= sech and sech(a) <= e^{|a - b|} sech(b).  The exact noise is

       E[eps | z] = z / (cos(phi) (k cos(phi)/sin(phi) + sin(phi)/cos(phi))),

   so its relative error is at most |k - 1| h^2/8 e^h cos(phi)^2 (``interpolation_error``).  If the
   noise is far above the data, cos(phi) is small, and the levels may be far apart.
3. A mixture changes faster between its modes and has no such bound.  Levels must be close compared
   with the scales of the mixture.

Two simpler rules are not exact for any Gaussian data: to interpolate eps in place of F, and to
evaluate both levels at an x of the same signal but another variance.
"""

import numpy as np

from reference.diffusion.conversions import conversion


def network_terms(model, target, alpha, sigma):
    """(scale, a, [(b_i, c_i)]):  at x = alpha x_0 + sigma eps,

        target = a x + sum_i b_i network(scale x, c_i).

    The sum has one term at a trained level, two between levels.  ``model``: a ``Denoiser``.
    ValueError outside of the trained levels.
    """
    scale, variance = model.input_scale(alpha**2, sigma**2), model.data_variance
    # target = a x + from_F F
    a, from_F = conversion("F", target, alpha, sigma, variance)
    terms = []
    for weight, c, signal, noise_scale in model.schedule.interpolation_nodes(alpha, sigma):
        # at this level, F = to_F[0] x + to_F[1] output, and x = z / level_scale
        to_F = conversion(model.prediction, "F", signal, noise_scale, variance)
        level_scale = model.input_scale(signal**2, noise_scale**2)
        a += from_F * weight * to_F[0] / level_scale * scale
        terms.append((from_F * weight * to_F[1], c))
    return scale, a, terms


def interpolation_error(h, k, tangent=0.0):
    """Bound of the relative error of noise and score between two levels a factor e^h apart, for
    Gaussian data of variance k times ``data_variance``.

    ``tangent``: tan(phi) = sigma / (alpha sigma_data) between the levels.
    """
    return abs(k - 1) * h**2 / 8 * np.exp(h) / (1 + tangent**2)
