"""Denoising diffusion probabilistic models (tutorial, Sec. 2; Ho et al. 2020).

Every function of a step takes its two ends ``(t, t_prev)``, so a chain on any sub-grid of 0 .. T is
a model like the full chain.  Symbols: A = alpha_bar_t, A_prev = alpha_bar_prev, a = A / A_prev (the
tutorial's alpha_t on the full grid), beta = 1 - a.
"""

from itertools import pairwise

import numpy as np
from scipy.special import log_ndtr

from reference.diffusion.conversions import conversion, convert, per_sample_column
from reference.diffusion.denoiser import split_prediction
from reference.diffusion.forward_process import forward
from reference.diffusion.schedules import as_float
from reference.ops.random import Key, Purpose

VARIANCES = ("posterior", "beta", "exact")


def posterior(schedule, t, t_prev):
    """(c_x, c_x0, variance) of q(x_prev | x_t, x_0) = N(c_x x_t + c_x0 x_0, variance I) (Thm 2.5).

    c_x = sqrt(a) (1 - A_prev) / (1 - A),   c_x0 = sqrt(A_prev) (1 - a) / (1 - A),
    variance = (1 - a) (1 - A_prev) / (1 - A).

    The tutorial's (2.26) has 1 - sqrt(A_prev) in the variance; its proof (2.32) is right (E4).  At
    t_prev = 0 this is (0, 1, 0).
    """
    beta = schedule.beta(t, t_prev)
    noise_ratio = schedule.noise_power(t_prev) / schedule.noise_power(t)
    c_x = schedule.signal_ratio(t, t_prev) * noise_ratio
    c_x0 = schedule.signal(t_prev) * beta / schedule.noise_power(t)
    return c_x, c_x0, beta * noise_ratio


def reverse_log_variance(schedule, t, t_prev, choice="posterior", mmse=None):
    """Log of the variance of the model's step p(x_prev | x_t), per entry; finite at every step.

    "posterior": sigma_q^2 of ``posterior``, right if x_0 were known.  On the step to t_prev = 0
    sigma_q^2 is 0, and its value on the step to t_prev = 1 takes its place.
    "beta": 1 - a, right for data of unit variance.
    "exact": the variance of q(x_prev | x_t), averaged over x_t: sigma_q^2 + c_x0^2 mmse(t), with
    mmse(t) = E[‖x_0 - E[x_0 | x_t]‖^2] per entry (Bao et al. 2022).  For Gaussian data with one
    variance in every direction this is beta v_prev / v_t, v_t the variance of x_t, and the chain
    has no discretisation error.  On the step to t_prev = 0 it is mmse(t), the right variance for
    the decoder (``elbo_terms``); a sampler returns the mean there.
    """
    if choice not in VARIANCES:
        raise ValueError(f"variance must be one of {', '.join(VARIANCES)}, got {choice!r}")
    # a chain of one step has no step to t_prev = 1
    if choice == "beta" or (choice == "posterior" and schedule.T == 1):
        return as_float(np.log(schedule.beta(t, t_prev)))
    if choice == "exact":
        if mmse is None:
            raise ValueError(
                "the exact variance needs mmse, the mean squared error of the best denoiser per"
                " entry, as a function of t"
            )
        _, c_x0, variance = posterior(schedule, t, t_prev)
        return as_float(np.log(variance + c_x0**2 * mmse(t)))
    first = np.equal(t_prev, 0)
    _, _, variance = posterior(
        schedule, np.where(first, np.maximum(t, 2), t), np.where(first, 1, t_prev)
    )
    return as_float(np.log(variance))


def interpolated_log_variance(schedule, t, t_prev, v):
    """(1 + v)/2 log(beta) + (1 - v)/2 log(sigma_q^2), a learned log-variance: v = 1 gives
    log(beta), v = -1 log(sigma_q^2) (Nichol and Dhariwal 2021).

    v[b,...]; t and t_prev numbers or [b].  The exact variance lies between sigma_q^2 and beta for
    data of at most unit variance.
    """
    low, high = log_variance_range(schedule, t, t_prev, v)
    return (high + low) / 2 + v * ((high - low) / 2)


def log_variance_range(schedule, t, t_prev, x):
    """(log(sigma_q^2), log(beta)): numbers, or for times [b] arrays that broadcast against
    x[b,...].
    """
    return tuple(
        per_sample_column(reverse_log_variance(schedule, t, t_prev, choice), x)
        for choice in ("posterior", "beta")
    )


def elbo_weight(schedule, t, t_prev, prediction="x0"):
    """The weight of the squared error of a prediction in the ELBO, for the posterior variance and
    t_prev >= 1: (2.42) in terms of the SNR.

    x0: (SNR_prev - SNR_t) / 2.   noise: (SNR_prev / SNR_t - 1) / 2.   Any other: the weight of x0
    times (dx0/dprediction)^2, by ``conversion``.  Infinite at t_prev = 0 (the tutorial includes
    this term in its sum: E7).
    """
    before = schedule.log_snr(t_prev)
    _, slope = conversion(prediction, "x0", schedule.signal(t), schedule.noise_scale(t))
    return float(-np.exp(before) * np.expm1(schedule.log_snr(t) - before)) / 2 * slope**2


def prior_term(schedule, x0):
    """x0[b,...] -> KL(q(x_T | x_0) ‖ N(0, s^2 I)) [b] in nats, s the schedule's ``prior_scale``.

    For s = 1 that is 1/2 sum_i (A x_{0,i}^2 + (1 - A) - 1 - log(1 - A)).
    """
    scale = schedule.prior_scale**2
    A, power = schedule.signal_power(schedule.T) / scale, schedule.noise_power(schedule.T) / scale
    entries = A * x0.astype(np.float64) ** 2 + power - 1 - np.log(power)
    return entries.reshape(len(x0), -1).sum(axis=1) / 2


def consistency_term(schedule, t, t_prev, x0, x0_prediction, log_variance):
    """KL(q(x_prev | x_t, x_0) ‖ N(mean from the prediction, e^l)) [b] in nats, l = log_variance,
    t_prev >= 1 (Thm 2.6 for any variance).

    1/2 sum_i [ r - 1 - log(r) + c_x0^2 (x_0 - x̂_0)_i^2 e^{-l} ],   r = sigma_q^2 e^{-l}.

    x̂_0 is ``x0_prediction``, of x0's shape [b,...].  Times are numbers or [b], log_variance is a
    number or of x0's shape.
    """
    _, c_x0, posterior_variance = posterior(schedule, t, t_prev)
    log_r = per_sample_column(np.log(posterior_variance), x0) - log_variance
    squares = (
        per_sample_column(c_x0, x0) ** 2
        * (x0 - x0_prediction).astype(np.float64) ** 2
        * np.exp(-log_variance)
    )
    return (np.expm1(log_r) - log_r + squares).reshape(len(x0), -1).sum(axis=1) / 2


def reconstruction_term(x0, x0_prediction, log_variance, bin_width=None):
    """x0[b,...], x0_prediction[b,...] -> -log p(x_0 | x_t) [b] in nats on the step to t_prev = 0: a
    Gaussian decoder with its own variance (E7).

    With ``bin_width``, for data on a lattice of this spacing from -1 to 1: -log of the Gaussian's
    probability of x_0's cell.  The outer cells reach to infinity.  The result is never negative.
    """
    flat = x0.reshape(len(x0), -1)
    difference = (x0 - x0_prediction).astype(np.float64).reshape(flat.shape)
    log_variance = np.broadcast_to(log_variance, x0.shape).reshape(flat.shape)
    if bin_width is None:
        return (difference**2 * np.exp(-log_variance) + np.log(2 * np.pi) + log_variance).sum(
            axis=1
        ) / 2
    half, deviation = bin_width / 2, np.exp(log_variance / 2)
    low = np.where(flat <= -1 + half, -np.inf, (difference - half) / deviation)
    high = np.where(flat >= 1 - half, np.inf, (difference + half) / deviation)
    # by symmetry, move both into the lower tail, where log_ndtr is accurate
    low, high = np.where(low + high > 0, -high, low), np.where(low + high > 0, -low, high)
    # log(Phi(high) - Phi(low)), also where both are tiny
    return -(log_ndtr(high) + np.log(-np.expm1(log_ndtr(low) - log_ndtr(high)))).sum(axis=1)


def elbo_terms(
    predict,
    schedule,
    x0,
    seed,
    steps=None,
    variance="posterior",
    decoder_log_variance=None,
    mmse=None,
    bin_width=None,
    prediction="noise",
):
    """-ELBO of x0[b,...] under the chain on ``schedule.timesteps(steps)``, term by term (Thm 2.4).

    The result is a dictionary of prior [b], consistency [b, steps - 1] (from t = T down) and
    reconstruction [b], in nats per example.  Their sum bounds -log p(x0) from above; each
    expectation over x_t is estimated by one draw.
    ``predict(x, t)`` returns ``prediction``: any but F.  If it returns a pair
    (prediction, v), the variances are those of ``interpolated_log_variance`` at v, else those of
    ``reverse_log_variance`` with ``variance`` and ``mmse``.  ``bin_width``: see
    ``reconstruction_term``.
    ``decoder_log_variance``: the log-variance of the last step; where None, log(mmse(t)) if
    ``mmse`` is given, else log(beta).
    """
    grid = schedule.timesteps(schedule.T if steps is None else steps)
    consistency = []
    for index, (t, t_prev) in enumerate(pairwise(grid)):
        x = forward(schedule, x0, t, Key(seed, np.arange(len(x0)), index, Purpose.PROBE))
        predicted, v = split_prediction(predict(x, t))
        x0_prediction = convert(
            predicted, x, prediction, "x0", schedule.signal(t), schedule.noise_scale(t)
        )
        learned = (
            None
            if v is None
            else interpolated_log_variance(schedule, t, t_prev, v.astype(np.float64))
        )
        if t_prev:
            log_variance = (
                reverse_log_variance(schedule, t, t_prev, variance, mmse)
                if learned is None
                else learned
            )
            consistency.append(
                consistency_term(schedule, t, t_prev, x0, x0_prediction, log_variance)
            )
    if decoder_log_variance is None:
        decoder_log_variance = (
            learned if learned is not None else np.log(mmse(t) if mmse else schedule.beta(t, 0))
        )
    return {
        "prior": prior_term(schedule, x0),
        "consistency": np.stack(consistency, axis=1) if consistency else np.zeros((len(x0), 0)),
        "reconstruction": reconstruction_term(x0, x0_prediction, decoder_log_variance, bin_width),
    }
