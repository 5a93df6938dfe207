"""Solvers of dx = f(x, t) dt + g(x, t) dw, forward and backward in time (tutorial, Sec. 4.4; Song
et al. 2021).

Each yields (t, x, None) after every step.  Backward in time the step h is negative, and the noise
has variance |h|.  ``drift(x, t)`` is f and ``diffusion(x, t)`` is g, for a forward SDE or from
``SDE.reverse``.  The noise of step n is Key(seed, sample, n, STEP_NOISE).
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
    """x <- x + f h + g dW, the Ito solution.  Strong order 1/2, or 1 if g does not depend on x;
    weak order 1.

    The tutorial's Ex 4.3 and 4.4 set h = 1 without saying so (E13).
    """
    for t, t_next, h, dW in _increments(grid, x, seed, sample, ops):
        x = x + h * drift(x, t) + diffusion(x, t) * dW
        yield t_next, x, None


def milstein(drift, diffusion, diffusion_derivative, grid, x, seed, sample, ops=reference_ops):
    """Euler-Maruyama + 1/2 g g' (dW^2 - |h|), g' = dg/dx = ``diffusion_derivative(x, t)``, for
    noise that acts on each entry independently: strong order 1.
    """
    for t, t_next, h, dW in _increments(grid, x, seed, sample, ops):
        g = diffusion(x, t)
        correction = g * diffusion_derivative(x, t) * (dW**2 - abs(h)) / 2
        x = x + h * drift(x, t) + g * dW + correction
        yield t_next, x, None


def stochastic_heun(drift, diffusion, grid, x, seed, sample, ops=reference_ops):
    """The trapezoidal rule in f and g: the Stratonovich solution, forward in time equal to the Ito
    solution of dx = (f + g g'/2) dt + g dw.
    """
    for t, t_next, h, dW in _increments(grid, x, seed, sample, ops):
        f, g = drift(x, t), diffusion(x, t)
        predicted = x + h * f + g * dW
        f_next, g_next = drift(predicted, t_next), diffusion(predicted, t_next)
        x = x + h * (f + f_next) / 2 + (g + g_next) / 2 * dW
        yield t_next, x, None


# Predictors: one step of the reverse SDE from t to t_prev as the coefficients (c_x, c_score,
# deviation) of  c_x x + c_score score + deviation z


def euler_maruyama_predictor(sde, t, t_prev):
    """Euler-Maruyama on the reverse SDE (4.11)."""
    h, power = t - t_prev, sde.diffusion(t) ** 2
    return 1 - h * sde.drift_coefficient(t), h * power, (h * power) ** 0.5


def reverse_diffusion_predictor(sde, t, t_prev):
    """The forward step x <- a x + G z of ``sde.transition``, reversed: (2 - a) x + G^2 score + G z
    (Song et al. 2021; (4.21) for VE).
    """
    a, deviation = sde.transition(t, t_prev)
    return 2 - a, deviation**2, deviation


def ancestral_predictor(sde, t, t_prev):
    """(x + G^2 score) / a + sigma_prev G / sigma_t z, with a and G of ``sde.transition``: the
    posterior of Thm 2.5 at Tweedie's estimate of x_0.  For VP this is DDPM's step (for VE see
    E11c).
    """
    a, deviation = sde.transition(t, t_prev)
    return 1 / a, deviation**2 / a, deviation * sde.marginal(t_prev)[1] / sde.marginal(t)[1]


PREDICTORS = {
    "euler-maruyama": euler_maruyama_predictor,
    "reverse-diffusion": reverse_diffusion_predictor,
    "ancestral": ancestral_predictor,
}


def corrector(x, score, step, key, ops=reference_ops):
    """A Langevin step, x + step score + sqrt(2 step) z: it leaves p_t unchanged, up to the bias of
    a Langevin step.

    The tutorial's corrector for score matching has sqrt(step), half of the variance, and ∇ score in
    place of score (E11).  ``score``: the array of scores at x.
    """
    return ops.reverse_step(x, score, 1.0, step, (2 * step) ** 0.5, key)


def predictor_corrector(
    sde,
    score_at_t,
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
    corrects it there with ``corrections`` Langevin steps.

    Algorithm 1 of the tutorial, corrected (E11b): the corrector starts from the predicted x and
    uses the score of its time.  A step costs 1 + ``corrections`` evaluations.  A corrector step has
    the length ``step`` sigma_t^2.  For any data the curvature of -log p_t is at most 1 / sigma_t^2,
    so ``step`` < 2 is stable for every SDE.  (Song et al. choose the length from the ratio of the
    norms of noise and score, which varies strongly in few dimensions.)
    """
    if predictor not in PREDICTORS:
        raise ValueError(f"predictor must be one of {', '.join(PREDICTORS)}, got {predictor!r}")
    if corrections < 0:
        raise ValueError(f"corrections must not be negative, got {corrections}")
    check_step("step", step, 2.0)
    return _predict_and_correct(
        sde, score_at_t, grid, x, seed, sample, PREDICTORS[predictor], corrections, step, ops
    )


def _predict_and_correct(sde, score_at_t, grid, x, seed, sample, predictor, corrections, step, ops):
    n = 0
    for index, (t, t_prev) in enumerate(pairwise(check_grid(grid))):
        c_x, c_score, deviation = predictor(sde, t, t_prev)
        key = Key(seed, sample, index, Purpose.STEP_NOISE)
        x = ops.reverse_step(x, score_at_t(x, t), c_x, c_score, deviation, key)
        length = step * sde.noise_power(t_prev)
        for _ in range(corrections):
            key = Key(seed, sample, n, Purpose.CORRECTOR)
            x, n = corrector(x, score_at_t(x, t_prev), length, key, ops), n + 1
        yield t_prev, x, None
