"""DiffPIR (Zhu et al. 2023): DDIM with the proximal estimate of x_0 in the place of the denoised x.

With x̂_0 of ``proximal_denoiser`` and e = (x_t - alpha x̂_0) / sigma, a step is

    x_prev = alpha_prev x̂_0 + sigma_prev (sqrt(1 - zeta) e + sqrt(zeta) z),

the step of DDIM with the deviation sqrt(zeta) sigma_prev: zeta is a share of the variance.
"""

from reference import ops as reference_ops
from reference.restoration.guided_denoisers import proximal_denoiser
from reference.samplers.ancestral import reverse_process


def diffpir(
    denoise,
    operator,
    y,
    noise,
    schedule,
    grid,
    x,
    seed,
    sample,
    weight=1.0,
    zeta=1.0,
    ops=reference_ops,
):
    """From x[b,...] at time grid[0] down to grid[-1], with measurements y[b,...] of this noise;
    yields (t_prev, x, x0).  ``weight`` is lambda, zeta lies in [0, 1].
    """
    if not 0 <= zeta <= 1:
        raise ValueError(f"zeta must lie in [0, 1], got {zeta}")
    guided = proximal_denoiser(denoise, operator, y, noise, weight)
    predict = lambda x, t: guided(x, schedule.signal(t), schedule.noise_scale(t))

    def kernel(t, t_prev, v):
        fresh = zeta**0.5 * schedule.noise_scale(t_prev)
        c_x = (1 - zeta) ** 0.5 * schedule.noise_scale(t_prev) / schedule.noise_scale(t)
        return c_x, schedule.signal(t_prev) - c_x * schedule.signal(t), fresh

    return reverse_process(
        predict, schedule, grid, x, kernel, seed, sample, ops=ops, prediction="x0"
    )
