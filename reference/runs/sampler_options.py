"""The samplers, their options, the defaults, and the checks of both against a run."""

import warnings

import numpy as np

from reference.data import datasets
from reference.ddpm.ddpm import VARIANCES
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.runs import conditions, solvers
from reference.runs.methods import METHODS
from reference.runs.students import steps_of
from reference.runs.views import largest_level_ratio, noise_range, score_of
from reference.samplers import SamplingWarning
from reference.samplers.langevin import check_step, stability_limit

SAMPLERS = {  # the options of each
    "ddpm": ("steps", "variance", "clip"),
    "ddim": ("steps", "eta", "clip"),
    "langevin": ("steps", "step_size", "clip"),
    "annealed-langevin": ("steps", "levels", "base_step", "clip"),
    **{name: (*options, "clip") for name, options in solvers.OPTIONS.items()},
    "indi": ("steps", "noise", "blur"),
    "consistency": ("steps",),
    "decoder": (),
}
OPTIONS = (
    *dict.fromkeys(name for names in SAMPLERS.values() for name in names),
    *conditions.OPTIONS,
)
# samplers for runs of the method with that default only
OF_ONE_METHOD = ("indi", "decoder", "consistency")
CLIPS = ("data", "none")
LEVELS = 20  # of annealed Langevin dynamics on a run that was not trained at a few levels


def sampler_options(run, sampler=None, seed=0, **given):
    """The arguments of ``trajectory.trajectory``: sampler, seed, the sampler's own options and
    those of conditions.py.

    ``given``: options by name, None where not given.  ValueError for an option of another sampler,
    a value out of range, or a sampler that does not fit the run.
    """
    if not run.method.sampler:
        raise ValueError(f"{run.folder} was trained by {run.method.name}, which draws no samples")
    sampler = sampler or run.method.sampler
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    _check_sampler(run, sampler)
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {seed}")
    condition = {name: given.pop(name, None) for name in conditions.OPTIONS}
    condition = conditions.condition_options(run, **condition)
    for name, value in given.items():
        if value is not None and name not in SAMPLERS[sampler]:
            raise ValueError(f"--{name.replace('_', '-')} is not an option of --sampler {sampler}")
    own = {name: given.get(name) for name in SAMPLERS[sampler] if name != "clip"}
    if sampler in solvers.STEPS:
        own = solvers.fill_defaults(sampler, **own)
    elif own:
        own = FILL_DEFAULTS[sampler](run, **own)
    if "clip" in SAMPLERS[sampler]:
        own["clip"] = given.get("clip") or "data"
        if own["clip"] not in CLIPS:
            raise ValueError(f"clip must be {' or '.join(CLIPS)}, got {own['clip']!r}")
    _check_levels(run, sampler, **own)
    return {"sampler": sampler, "seed": seed, **own, **condition}


def _check_sampler(run, sampler):
    if sampler in OF_ONE_METHOD:
        if run.method.sampler != sampler:
            served = next(name for name, method in METHODS.items() if method.sampler == sampler)
            kind = f"{run.folder} was trained by {run.method.name}"
            raise ValueError(f"--sampler {sampler} needs a run of {served}, but {kind}")
        return
    if not run.method.has_score:
        if sampler != run.method.sampler:
            kind = f"{run.folder} was trained by {run.method.name}"
            raise ValueError(f"{kind}, which needs --sampler {run.method.sampler}, got {sampler}")
        return
    score_of(run)  # refuses a run without a score
    if sampler != "langevin":  # Langevin dynamics may start anywhere
        _check_noise_range(run, sampler)


def _check_levels(run, sampler, steps=None, levels=None, **own):
    """Solvers need predictions between trained levels: a warning where these are rough, ValueError
    where they are meaningless.
    """
    schedule = run.model.schedule if "clip" in SAMPLERS[sampler] and sampler != "langevin" else None
    if not isinstance(schedule, Schedule) or (sampler in ("ddpm", "ddim") and steps <= schedule.T):
        return
    if sampler == "annealed-langevin" and _has_own_levels(run) and levels == schedule.T:
        return
    if schedule.T == 1:
        trained = f"{run.folder} was trained at one: take ddpm or ddim, 1 step"
        raise ValueError(f"--sampler {sampler} steps between noise levels, and {trained}")
    h = float(np.log(largest_level_ratio(run)))
    apart = f"up to a factor {np.exp(h):.3g} apart"
    facts = f"{run.folder} was trained at {schedule.T} noise levels, {apart}"
    if h**2 / 8 > 1:
        advice = "take ddpm or ddim, or train at more"
        needs = "needs predictions between noise levels"
        raise ValueError(f"--sampler {sampler} {needs}, and {facts}: {advice}")
    if h**2 / 8 > 0.1:
        error = f"predictions between them are off by up to {h**2 / 8:.0%}"
        message = f"{facts}: {error}, and so may the samples be"
        warnings.warn(message, SamplingWarning, stacklevel=2)


def _check_noise_range(run, sampler):
    largest, spread = noise_range(run)[1], run.model.data_variance**0.5
    if largest < spread:
        needed = f"needs a first noise that hides data of root mean square {spread:.3g}"
        trained = f"{run.folder} was trained on noise up to {largest:.3g}"
        advice = f"take {run.method.sampler} or langevin"
        raise ValueError(f"--sampler {sampler} {needed}, but {trained}: {advice}")


def _ddpm(run, steps, variance):
    learned = isinstance(run.model, LearnedVariance)
    steps = _default_steps(run) if steps is None else steps
    choices = (*VARIANCES[:2], "learned") if learned else VARIANCES[:2]
    if variance is None:
        variance = "learned" if learned else "posterior"
    if variance not in choices:
        known = "" if learned else " for a run without learned variances"
        raise ValueError(f"variance must be {' or '.join(choices)}{known}, got {variance!r}")
    _check_steps(run, steps)
    return {"steps": steps, "variance": variance}


def _ddim(run, steps, eta):
    if trained := steps_of(run):
        return _student(run, trained, steps, eta)
    steps = min(50, _default_steps(run)) if steps is None else steps
    eta = 0.0 if eta is None else eta
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie between 0 and 1, got {eta}")
    _check_steps(run, steps)
    return {"steps": steps, "eta": eta}


def _student(run, trained, steps, eta):
    """Options of ddim for a student of ``trained`` steps: it knows the times of these alone."""
    steps = trained if steps is None else steps
    if steps < 1 or trained % steps:
        known = f"{trained}, the steps for which {run.folder} was trained"
        raise ValueError(f"steps must divide {known}, got {steps}")
    if eta:
        raise ValueError(f"eta must be 0: {run.folder} was trained for steps of ddim without noise")
    return {"steps": steps, "eta": 0.0}


def _consistency(run, steps):
    return {"steps": _at_least_one("steps", 2 if steps is None else steps)}


def _default_steps(run):
    return run.model.schedule.T if isinstance(run.model.schedule, Schedule) else 1000


def _check_steps(run, steps):
    """A chain on its own schedule has at most T steps; scores between its levels allow more."""
    schedule = run.model.schedule
    if isinstance(schedule, Schedule) and not isinstance(schedule, VarianceExplodingSchedule):
        run.model.schedule.timesteps(steps)
    _at_least_one("steps", steps)
    if steps == 1 < _default_steps(run) and run.model.prediction == "noise":
        error = f"{noise_range(run)[1]:.3g} times the error of the noise"
        raise ValueError(
            f"{run.folder} predicts noise, and one step from noise alone makes an error of {error}"
            " in x_0: take more steps, or a run with prediction v"
        )


def _indi(run, steps, noise, blur):
    trained = run.model.degradation
    steps = _at_least_one("steps", 20 if steps is None else steps)
    noise, blur = trained.noise if noise is None else noise, trained.blur if blur is None else blur
    trained.start_time(noise, blur)
    return {"steps": steps, "noise": noise, "blur": blur}


def _langevin(run, steps, step_size):
    step_size = langevin_limit(run) / 10 if step_size is None else step_size
    check_step("step-size", step_size, None)
    steps = _at_least_one("steps", 1000 if steps is None else steps)
    return {"steps": steps, "step_size": step_size}


def _annealed_langevin(run, steps, levels, base_step):
    if levels is None:
        levels = run.model.schedule.T if _has_own_levels(run) else LEVELS
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    base_step = 0.2 * noise_range(run)[0] ** 2 if base_step is None else base_step
    check_step("base-step", base_step, None)
    usual = 100 if len(run.model.network.sample_shape) == 1 else 30
    steps = _at_least_one("steps", usual if steps is None else steps)
    return {"steps": steps, "levels": levels, "base_step": base_step}


def _has_own_levels(run):
    """Was the run trained at a few levels of growing noise?"""
    return isinstance(run.model.schedule, VarianceExplodingSchedule) and not run.method.restores


def _at_least_one(name, value):
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


FILL_DEFAULTS: dict = {
    "ddpm": _ddpm,
    "ddim": _ddim,
    "indi": _indi,
    "consistency": _consistency,
    "langevin": _langevin,
    "annealed-langevin": _annealed_langevin,
}


def langevin_limit(run):
    """The longest stable Langevin step at the run's smallest noise.

    It is 2 sigma^2 for data that may lie on a surface, and more for a mixture.  A run of InDI has
    2 sigma^2 for a mixture too: at its smallest noise, a thousandth of the largest, its network may
    be less smooth than the exact score.
    """
    distribution, sigma = datasets.exact_distribution(run.config["data"]), noise_range(run)[0]
    if distribution and not run.method.restores:
        return stability_limit(distribution.noised(1.0, sigma))
    return 2 * sigma**2
