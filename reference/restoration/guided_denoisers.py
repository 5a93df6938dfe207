"""Approximations of E[x_0 | x, y] for x = alpha x_0 + sigma eps and y = A x_0 + s_y n, made of the
unconditional denoiser D(x) = E[x_0 | x].  A sampler that takes such a denoiser draws from an
approximate posterior.

Tweedie's formula and Bayes' rule give

    E[x_0 | x, y] = (x + sigma^2 ∇log p(x | y)) / alpha = D(x) + (sigma^2 / alpha) ∇log p(y | x).

The likelihood p(y | x) = E[N(y; A x_0, s_y^2 I) | x] has a closed form for few distributions of the
data.  Each approximation replaces the distribution of x_0 given x.  With t = sigma / alpha and
J = dD/dx:

    likelihood   x_0 = D                     Jᵀ Aᵀ (y - A D) / s_y^2
    PiGDM        x_0 ~ N(D, r^2 I)           Jᵀ Aᵀ (r^2 A Aᵀ + s_y^2 I)^{-1} (y - A D)
    DMPS         x_0 ~ N(x / alpha, t^2 I)   Aᵀ (t^2 A Aᵀ + s_y^2 I)^{-1} (y - A x / alpha) / alpha

The last column is ∇log p(y | x), with r constant.  PiGDM (Song et al. 2023) takes
r^2 = c t^2 / (c + t^2), the variance of x_0 given x for data N(m, c I); for these data it is exact.
The paper has c = 1.  DMPS (Meng and Kabashima 2022) neglects the prior.

DiffPIR (Zhu et al. 2023) instead looks for an x_0 near D that explains y,

    proximal     argmin_{x_0} ‖y - A x_0‖^2 + rho ‖x_0 - D‖^2,   rho = lambda s_y^2 / t^2.

All functions take (x[b,...], alpha, sigma) and return [b,...].
"""

from reference.restoration.posterior import check_noise


def likelihood_denoiser(denoise_and_pullback, operator, y, noise):
    """The denoiser ``likelihood`` above, for ``noise`` > 0: DPS without its rule for steps."""
    check_noise(noise, "the denoiser by the likelihood")

    def denoise(x, alpha, sigma):
        x0, pullback = denoise_and_pullback(x, alpha, sigma)
        residual = (1 / noise**2) * (y - operator.forward(x0))
        return x0 + (sigma**2 / alpha) * pullback(operator.adjoint(residual))

    return denoise


def pigdm_denoiser(denoise_and_pullback, operator, y, noise, data_variance=1.0):
    """The denoiser PiGDM above; ``data_variance`` is c.  With ``noise`` 0, Aᵀ (..)^{-1} is
    A⁺ / r^2.
    """

    def denoise(x, alpha, sigma):
        x0, pullback = denoise_and_pullback(x, alpha, sigma)
        power = (sigma / alpha) ** 2
        r2 = data_variance * power / (data_variance + power)
        guide = operator.regularised_inverse(y - operator.forward(x0), r2, noise**2)
        return x0 + (sigma**2 / alpha) * pullback(guide)

    return denoise


def dmps_denoiser(denoise, operator, y, noise):
    """The denoiser DMPS above."""

    def guided(x, alpha, sigma):
        scaled, power = (1 / alpha) * x, (sigma / alpha) ** 2
        residual = y - operator.forward(scaled)
        return denoise(x, alpha, sigma) + power * operator.regularised_inverse(
            residual, power, noise**2
        )

    return guided


def proximal_denoiser(denoise, operator, y, noise, weight=1.0):
    """The estimate of DiffPIR above; ``weight`` is lambda."""

    def guided(x, alpha, sigma):
        rho = weight * (noise * alpha / sigma) ** 2
        return operator.proximal(y, denoise(x, alpha, sigma), rho)

    return guided
