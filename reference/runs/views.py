"""Views of a trained run for samplers: its score, its noise levels, an SDE and a schedule."""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.sde.sde import SDE, VE, VP


def score_of(run, ops=reference_ops):
    """The function (x[b,...], alpha, sigma) -> ∇log p(x) for x = alpha x_0 + sigma eps, by the
    averaged weights.

    ValueError for a run without a score (a VAE, InDI that deblurs), and in the call for a log-SNR
    outside of the training range.
    """
    _check_provides(run, "score_function")
    return run.model.score_function(run.state.ema, ops=ops)


def posterior_mean_of(run, ops=reference_ops):
    """As ``score_of``, but E[x_0 | x]."""
    _check_provides(run, "posterior_mean_function")
    return run.model.posterior_mean_function(run.state.ema, ops=ops)


def x0_of(run, ops=reference_ops):
    """As ``posterior_mean_of``; of a student the end of its step."""
    if hasattr(run.model, "x0_function"):
        return run.model.x0_function(run.state.ema, ops=ops)
    return posterior_mean_of(run, ops)


def has_score(run):
    """Whether ``score_of`` and ``posterior_mean_of`` serve the run."""
    try:
        posterior_mean_of(run)
    except ValueError:
        return False
    return True


def _check_provides(run, function):
    if not hasattr(run.model, function):
        raise ValueError(
            f"run {run.folder} was trained by {run.method.name}, which does not provide a score"
        )


def noise_range(run):
    """(smallest, largest) sigma / alpha at which samplers evaluate a run's score."""
    return run.model.schedule.noise_range(run.model.data_variance)


def network_time(run, ratio):
    """The network time of the noise level sigma / alpha = ``ratio``: minus or plus infinity at and
    beyond the ends of the trained range.
    """
    smallest, largest = noise_range(run)
    if ratio <= smallest or ratio >= largest:
        return -np.inf if ratio <= smallest else np.inf
    if run.method.restores:
        return 1000 * ratio / run.model.degradation.noise
    schedule = run.model.schedule
    return float(schedule.network_time(schedule.time_of(1.0, ratio)))


def largest_level_ratio(run):
    """The largest factor by which sigma / alpha grows from one trained level to the next, among the
    levels below ten deviations of the data; 1 where the network was trained at all levels between.

    Above ten deviations levels may be far apart: ``interpolation_error`` falls with the square of
    the noise.
    """
    schedule = run.model.schedule
    if isinstance(schedule, SDE) or schedule.is_dense:
        return 1.0
    log_ratios = -schedule.log_snr(np.arange(1, schedule.last_with_signal + 1)) / 2
    matter = log_ratios[:-1] < np.log(10 * run.model.data_variance**0.5)
    return float(np.exp(np.max(np.diff(log_ratios)[matter], initial=0.0)))


def sde_of(run):
    """The SDE whose reverse draws from the run, over the noise that the run was trained on.

    It is the run's own SDE, if it has one; else VE for a schedule of growing noise, VP for one that
    preserves the variance.
    """
    if isinstance(run.model.schedule, SDE):
        return run.model.schedule
    smallest, largest = noise_range(run)
    if isinstance(run.model.schedule, VarianceExplodingSchedule):
        return VE(sigma_min=smallest, sigma_max=largest, min_noise_ratio=smallest)
    lowest = -2 * float(np.log(largest))
    whole = VP(min_noise_ratio=smallest)
    if lowest <= whole.log_snr(whole.t_max):
        return whole
    return VP(min_noise_ratio=smallest, t_max=whole.time_of_log_snr(lowest))


def schedule_of(run, ops, steps):
    """(schedule, predict, prediction) for DDPM and DDIM in ``steps`` steps.

    The schedule is the run's own, if it has at least as many steps; else it has ``steps`` evenly
    spaced times of ``sde_of``, t_max / steps .. t_max, from t_min on.
    """
    schedule = run.model.schedule
    if isinstance(schedule, Schedule) and steps <= schedule.T:
        return schedule, run.predictor(ops), run.model.sampled_prediction
    sde, mean = sde_of(run), x0_of(run, ops)
    times = np.array(sde.timesteps(steps)[-2::-1])
    ratios = sde.noise_scale(times) / sde.signal(times)
    table = np.concatenate(([0.0], log_alpha_bar_of_sigma(ratios)))
    made = VarianceExplodingSchedule(table) if isinstance(sde, VE) else Schedule(table)
    return made, lambda x, t: mean(x, made.signal(t), made.noise_scale(t)), "x0"
