"""A step of a sampler of restoration on the arrays of any library, with the coefficients of the workload.

x, the noise z and y are arrays of images.  ``A`` and ``A_plus`` are the means of blocks and their repetition.
"""


def pigdm_step(mean_and_pullback, A, A_plus, x, z, y, row):
    """``mean_and_pullback(x, scale, condition, a, b)`` -> the posterior mean of x and v -> Jᵀ v."""
    (*level, g, c_x, c_x0, deviation) = row
    mean, pullback = mean_and_pullback(x, *level)
    return c_x * x + c_x0 * (mean + g * pullback(A_plus(y - A(mean)))) + deviation * z


def ddrm_step(posterior_mean, A, A_plus, x, z, y, row):
    """``posterior_mean(x, scale, condition, a, b)`` -> the posterior mean of x."""
    (*level, e_x, e_D, e_z, p_y, p_z, alpha_prev) = row
    mean = posterior_mean(x, *level)
    e = e_x * x + e_D * mean + e_z * z
    return alpha_prev * (mean + e + A_plus(p_y * (y - A(mean)) - A(e) + p_z * A(z)))


STEPS = {"PiGDM": pigdm_step, "DDRM": ddrm_step}
