"""Restoration: x_0 from a measurement y = A x_0 + s_y n, n ~ N(0, I), with a diffusion model as the
prior of x_0.  The tutorial names it an open question.

    operators.py           A: masks, matrices, parts of images; adjoint and singular values
    separable.py           A of images: Gaussian blur, block means
    posterior.py           p(x_0 | y) of a Gaussian mixture, exactly; the Wiener filter
    guided_denoisers.py    approximations of E[x_0 | x_t, y]: PiGDM, DMPS and others
    dps.py, ddrm.py, diffpir.py    samplers with a rule of their own
    point_estimates.py     one restored image in place of samples: PnP-ADMM, total variation

Samplers take the denoiser as a function, exact or learned:

    denoise(x, alpha, sigma)                 E[x_0 | x] for x = alpha x_0 + sigma eps
    denoise_and_pullback(x, alpha, sigma)    E[x_0 | x] and the function v -> Jᵀ v, where
                                             J = dE[x_0 | x]/dx

``Denoiser`` and ``Mixture`` have both as methods.  y[b,*measured] holds a measurement for each
sample, and s_y is in the units of the data.
"""
