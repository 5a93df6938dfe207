"""One restored x for each measurement y = A x_0 + s_y n, instead of samples of the posterior.  (The
Wiener filter is in posterior.py.)

**PnP-ADMM** (Venkatakrishnan et al. 2013) minimises ‖y - A x‖^2 / (2 s_y^2) + R(x) by splitting
x = z, where a denoiser D stands for the unknown proximal map of R.  With
rho = lambda s_y^2 / sigma^2:

    x = argmin ‖y - A x‖^2 + rho ‖x - (z - u)‖^2,   z = D(x + u, sigma),   u <- u + x - z.

u is the multiplier divided by rho, so it changes by the factor rho_before / rho if rho does.  For
data N(m, c I) the exact denoiser is the proximal map of sigma^2 ‖x - m‖^2 / (2 c).  At a constant
sigma, whichever it is, z then tends to the minimum of ‖y - A x‖^2 + lambda (s_y^2 / c) ‖x - m‖^2:
for lambda = 1 to E[x_0 | y].

**Total variation** (Rudin, Osher and Fatemi 1992) minimises ‖y - A x‖^2 / 2 + w TV(x), where TV
sums ‖(∇x)_i‖ over all pixels i, ∇ the differences to the next pixel below and on the right.
Chambolle and Pock's (2011) steps have the lengths tau and 1 / (8 tau), 8 a bound of ‖∇‖^2:

    p <- p + ∇(2 x - x_before) / (8 tau), then each ‖p_i‖ is limited to w,
    x <- argmin ‖y - A x‖^2 / 2 + ‖x - (x + tau ∇·p)‖^2 / (2 tau).
"""

import numpy as np


def pnp_admm(denoise, operator, y, noise, sigmas, weight=1.0):
    """z[b,*shape] after an iteration at each level of ``sigmas``, from Aᵀ y.
    ``denoise(x, alpha, sigma)``; ``weight`` is lambda.
    """
    z = operator.adjoint(y)
    u, before = np.zeros_like(z), None
    for sigma in map(float, sigmas):
        u = u if before is None else (sigma / before) ** 2 * u
        x = operator.proximal(y, z - u, weight * (noise / sigma) ** 2)
        z = denoise(x + u, 1.0, sigma)
        u, before = u + x - z, sigma
    return z


def total_variation(operator, y, weight, iterations=300, tau=0.25):
    """The minimum over x[b,h,w,c] for the weight w > 0; the channels have one TV each.

    The mean of all x has an objective whose error falls as 1 / iterations (their Theorem 1).  The
    last x, which converges too, is returned.
    """
    if not 0 < weight < float("inf"):
        raise ValueError(f"the weight of the total variation must be positive, got {weight}")
    x = operator.adjoint(y)
    p, extrapolated = np.zeros_like(x, shape=(2, *x.shape)), x
    for _ in range(iterations):
        p = p + differences(extrapolated) / (8 * tau)
        p = p / np.maximum(1, np.sqrt((p * p).sum(axis=0)) / weight)
        before, x = x, operator.proximal(y, x + tau * divergence(p), 1 / tau)
        extrapolated = 2 * x - before
    return x


def differences(x):
    """∇x [2,b,h,w,c]: to the next pixel below, and to the next on the right; 0 at the edges."""
    d = np.zeros_like(x, shape=(2, *x.shape))
    d[0][:, :-1] = x[:, 1:] - x[:, :-1]
    d[1][:, :, :-1] = x[:, :, 1:] - x[:, :, :-1]
    return d


def divergence(p):
    """∇·p [b,h,w,c], minus the adjoint of ``differences``: <∇x, p> = -<x, ∇·p>."""
    below, right = p[0][:, :-1], p[1][:, :, :-1]  # the last differences are always 0
    d = np.zeros_like(p[0])
    d[:, :-1] += below
    d[:, 1:] -= below
    d[:, :, :-1] += right
    d[:, :, 1:] -= right
    return d
