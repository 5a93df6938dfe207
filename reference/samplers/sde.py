"""Solvers of dx = f(x, t) dt + g(x, t) dw, forward and backward in time (tutorial, Sec. 4.4; Song
et al. 2021).

Each yields (t, x, None) after every step; backward in time the step h is negative and the noise has
variance |h|.  ``drift(x, t)`` and ``diffusion(x, t)`` are those of an SDE or of its ``reverse``;
the noise of step n is Key(seed, sample, n, STEP_NOISE).
"""

from itertools import pairwise

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import check_grid
from reference.samplers.langevin import check_step


def _increments(grid, x, seed, sample, ops):
    """(t, t_next, h, dW) of every step, dW = sqrt(|h|) z."""
    for n, (t, t_next) in enumerate(pairwise(check_grid(grid))):
        h = t_next - t
        z = ops.normal(*Key(seed, sample, n, Purpose.STEP_NOISE), x.shape[1:], x.dtype)
        yield t, t_next, h, abs(h) ** 0.5 * z


def euler_maruyama(drift, diffusion, grid, x, seed, sample, ops=reference_ops):
    """x <- x + f h + g dW, the Ito solution.  Strong order 1/2, or 1 where g does not depend on x;
    weak order 1.

    The tutorial's Ex 4.3 and 4.4 let h be 1 without a word (E13).
    """
    for t, t_next, h, dW in _increments(grid, x, seed, sample, ops):
        x = x + h * drift(x, t) + diffusion(x, t) * dW
        yield t_next, x, None


def milstein(drift, diffusion, slope, grid, x, seed, sample, ops=reference_ops):
    """Euler-Maruyama + 1/2 g g' (dW^2 - |h|) for noise g of each entry by itself, g' = ``slope(x,
    t)``: strong order 1.
    """
    for t, t_next, h, dW in _increments(grid, x, seed, sample, ops):
        g = diffusion(x, t)
        x = x + h * drift(x, t) + g * dW + g * slope(x, t) * (dW**2 - abs(h)) / 2
        yield t_next, x, None


def stochastic_heun(drift, diffusion, grid, x, seed, sample, ops=reference_ops):
    """The trapezoidal rule in f and g: the Stratonovich solution, that of dx = (f + g g'/2) dt + g
    dw in Ito's sense.
    """
    for t, t_next, h, dW in _increments(grid, x, seed, sample, ops):
        f, g = drift(x, t), diffusion(x, t)
        ahead = x + h * f + g * dW
        x = x + h * (f + drift(ahead, t_next)) / 2 + (g + diffusion(ahead, t_next)) / 2 * dW
        yield t_next, x, None


# Predictors: one step of the reverse SDE from t to t_prev, (c_x, c_score, deviation) of  c_x x +
# c_score score + deviation z


def euler_maruyama_predictor(sde, t, t_prev):
    """Euler-Maruyama on the reverse SDE (4.11)."""
    h, power = t - t_prev, sde.diffusion(t) ** 2
    return 1 - h * sde.drift_coefficient(t), h * power, (h * power) ** 0.5


def reverse_diffusion_predictor(sde, t, t_prev):
    """The forward step's own discretisation, turned round: (2 - a) x + G^2 score + G z (Song et al.
    2021; (4.21) for VE).
    """
    a, deviation = sde.transition(t, t_prev)
    return 2 - a, deviation**2, deviation


def ancestral_predictor(sde, t, t_prev):
    """(x + G^2 score) / a + sigma_prev G / sigma_t z: the posterior of Thm 2.5 with Tweedie's x_0,
    DDPM's step for VP (E11c for VE).
    """
    a, deviation = sde.transition(t, t_prev)
    return 1 / a, deviation**2 / a, deviation * sde.marginal(t_prev)[1] / sde.marginal(t)[1]


PREDICTORS = {
    "euler-maruyama": euler_maruyama_predictor,
    "reverse-diffusion": reverse_diffusion_predictor,
    "ancestral": ancestral_predictor,
}


def corrector(x, score, step, key, ops=reference_ops):
    """A Langevin step, x + step score + sqrt(2 step) z: it leaves p_t as it is, but for the bias of
    such steps.

    The tutorial's pair for score matching has sqrt(step) there, which halves the variance, and grad
    score for score (E11).
    """
    return ops.reverse_step(x, score, 1.0, step, (2 * step) ** 0.5, key)


def predictor_corrector(
    sde,
    score,
    grid,
    x,
    seed,
    sample,
    predictor="reverse-diffusion",
    corrections=1,
    step=0.1,
    ops=reference_ops,
):
    """From x[b,...] at grid[0] down to grid[-1]: each step predicts x at the next time, then
    corrects it ``corrections`` times there.

    Algorithm 1 of the tutorial as it must be (E11b): the corrector works on what was predicted,
    with the score of that time; 1 + ``corrections`` evaluations a step.  The corrector's step is
    ``step`` sigma_t^2: whatever the data, log p_t is nowhere more curved than 1 / sigma_t^2, so
    that every SDE is served, and ``step`` < 2 is stable.  (Song et al. take it from the ratio of
    the norms of noise and score, which in few dimensions is erratic.)
    """
    if predictor not in PREDICTORS:
        raise ValueError(f"predictor must be one of {', '.join(PREDICTORS)}, got {predictor!r}")
    if corrections < 0:
        raise ValueError(f"corrections must not be negative, got {corrections}")
    check_step("step", step, 2.0)
    return _predict_and_correct(
        sde, score, grid, x, seed, sample, PREDICTORS[predictor], corrections, step, ops
    )


def _predict_and_correct(sde, score, grid, x, seed, sample, predictor, corrections, step, ops):
    n = 0
    for index, (t, t_prev) in enumerate(pairwise(check_grid(grid))):
        c_x, c_score, deviation = predictor(sde, t, t_prev)
        x = ops.reverse_step(
            x, score(x, t), c_x, c_score, deviation, Key(seed, sample, index, Purpose.STEP_NOISE)
        )
        length = step * sde.noise_power(t_prev)
        for _ in range(corrections):
            x, n = (
                corrector(
                    x, score(x, t_prev), length, Key(seed, sample, n, Purpose.CORRECTOR), ops
                ),
                n + 1,
            )
        yield t_prev, x, None
