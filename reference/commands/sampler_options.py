"""Which sampler, with which options, from where: what ``sample``, ``evaluate`` and ``demo`` share."""

import warnings
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from reference import ops as reference_ops
from reference.commands import ode_sde_options
from reference.commands.progress import progress
from reference.data import datasets
from reference.ddpm.ddpm import VARIANCES
from reference.ddpm.indi import brownian_deviation
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.devices import captured, to_device, to_host
from reference.diffusion.schedules import Schedule
from reference.ops.random import Purpose
from reference.runs.run import as_score, largest_level_ratio, noise_range
from reference.samplers import SamplingWarning, final_sample
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.clipping import Clip
from reference.samplers.ddim import ddim
from reference.samplers.indi import indi
from reference.samplers.langevin import check_step, langevin, stability_limit

# that go through the network together: a limit on memory, which changes no noise
BATCH = {"images": 128, "points": 4096}
DEFAULT_SAMPLER = {
    "vae": "decoder",
    "ddpm": "ddim",
    "smld": "annealed-langevin",
    "sde": "predictor-corrector",
    "indi": "indi",
}
SAMPLERS = {  # and their own options
    "ddpm": ("steps", "variance", "clip"),
    "ddim": ("steps", "eta", "clip"),
    "langevin": ("steps", "tau", "clip"),
    "annealed-langevin": ("steps", "levels", "epsilon", "clip"),
    **{name: (*options, "clip") for name, options in ode_sde_options.OPTIONS.items()},
    "indi": ("steps", "noise", "blur"),
    "decoder": (),
}
# the share of samples whose last prediction may lie far outside of the data without a warning
MOST_BEYOND = 0.05
# of the deviation of Gaussian data, by a sampler's steps alone, without a warning
LARGEST_BIAS = 0.25
LEVELS = 20  # of annealed Langevin dynamics on a run that was not trained at a few levels


def add_sampling_options(parser, n: int | None = 16):
    defaults = ", ".join(f"{sampler} for {system}" for system, sampler in DEFAULT_SAMPLER.items())
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument(
        "--sampler", metavar="NAME", help=f"{', '.join(SAMPLERS)} (default {defaults})"
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="of the sampler (default: ddpm all T, ddim 50, indi 20, langevin 1000, annealed-langevin 100 at each level, of images 30; "
        + ", ".join(f"{name} {steps}" for name, steps in ode_sde_options.STEPS.items() if steps)
        + ")",
    )
    parser.add_argument(
        "--eta",
        type=float,
        metavar="X",
        help="noise of ddim, from 0 (none, default) to 1 (as ddpm)",
    )
    parser.add_argument(
        "--variance",
        help="of ddpm's steps: posterior or beta; learned where the run has learned it, its default there",
    )
    parser.add_argument(
        "--tau",
        type=float,
        metavar="X",
        help="step of langevin (default a tenth of its stability limit)",
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        metavar="X",
        help="base step of annealed-langevin (default 0.2 of its last sigma^2)",
    )
    parser.add_argument(
        "--levels",
        type=int,
        metavar="N",
        help=f"noise levels of annealed-langevin (default the run's own, else {LEVELS})",
    )
    parser.add_argument(
        "--noise",
        type=float,
        metavar="X",
        help="of the images that indi restores (default what the run was trained for)",
    )
    parser.add_argument("--blur", type=float, metavar="X", help="likewise")
    parser.add_argument(
        "--clip",
        help="data (default): hold every prediction of x_0 within the range of the training data; none: take it as the network gives it",
    )
    how_many = "256 images or 4000 points" if n is None else str(n)
    ode_sde_options.add_solver_options(parser)
    parser.add_argument(
        "--n", type=int, default=n, metavar="N", help=f"how many samples (default {how_many})"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")


def parse_sampler_options(run, arguments):
    """Sampler, seed and the sampler's own options, checked, with their defaults: the arguments of
    ``trajectory``.
    """
    sampler = arguments.sampler or DEFAULT_SAMPLER[run.system]
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if run.system == "vae" and sampler != "decoder":
        raise ValueError(f"a run of vae is sampled by its decoder alone, got --sampler {sampler}")
    if sampler in ("indi", "decoder") and DEFAULT_SAMPLER[run.system] != sampler:
        raise ValueError(f"--sampler {sampler} does not serve a run of {run.system}")
    if sampler not in ("indi", "decoder"):
        as_score(run)  # refuses a run that knows no score
        if sampler != "langevin":  # which may begin anywhere
            _check_noise_range(run, sampler)
    if not 0 <= arguments.seed < 2**64:
        raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {arguments.seed}")
    given = {
        name: getattr(arguments, name, None)
        for name in sorted({name for names in SAMPLERS.values() for name in names})
    }
    for name, value in given.items():
        if value is not None and name not in SAMPLERS[sampler]:
            raise ValueError(f"--{name} is not an option of --sampler {sampler}")
    options = {name: given[name] for name in SAMPLERS[sampler] if name != "clip"}
    if sampler in ode_sde_options.STEPS:
        own = ode_sde_options.fill_defaults(sampler, **options)
    else:
        own = FILL_DEFAULTS[sampler](run, **options) if options else {}
    if "clip" in SAMPLERS[sampler]:
        own["clip"] = given["clip"] or "data"
        if own["clip"] not in ("data", "none"):
            raise ValueError(f"clip must be data or none, got {own['clip']!r}")
    _check_levels(run, sampler, **own)
    return {"sampler": sampler, "seed": arguments.seed, **own}


def _check_levels(run, sampler, steps=None, levels=None, **own):
    """Solvers ask the network between its trained levels: a warning where the answers are rough,
    ValueError where they mean nothing.
    """
    schedule = (
        run.model.schedule
        if sampler in ode_sde_options.STEPS or sampler in ("ddpm", "ddim", "annealed-langevin")
        else None
    )
    if not isinstance(schedule, Schedule) or (sampler in ("ddpm", "ddim") and steps <= schedule.T):
        return
    # the run's own levels
    if sampler == "annealed-langevin" and run.system == "smld" and levels == schedule.T:
        return
    if schedule.T == 1:
        raise ValueError(
            f"--sampler {sampler} steps between noise levels, and {run.folder} was trained at one: take ddpm or ddim, 1 step"
        )
    h = float(np.log(largest_level_ratio(run)))
    facts = f"{run.folder} was trained at {schedule.T} noise levels, up to a factor {np.exp(h):.3g} apart"
    if h**2 / 8 > 1:
        raise ValueError(
            f"--sampler {sampler} needs predictions between noise levels, and {facts}: take ddpm or ddim, or train at more"
        )
    if h**2 / 8 > 0.1:
        message = f"{facts}: predictions between them are off by up to {h**2 / 8:.0%}, and so may the samples be"
        warnings.warn(message, SamplingWarning, stacklevel=2)


def _check_noise_range(run, sampler):
    largest, spread = noise_range(run)[1], run.model.data_variance**0.5
    if largest < spread:
        reason = f"noise up to {largest:.3g}, and what it begins with must hide data of root mean square {spread:.3g}"
        raise ValueError(
            f"--sampler {sampler} can't serve {run.folder}, whose noise range is too short: it was trained on {reason}"
        )


def _ddpm(run, steps, variance):
    learned, steps = (
        isinstance(run.model, LearnedVariance),
        _default_steps(run) if steps is None else steps,
    )
    choices = (*VARIANCES[:2], "learned") if learned else VARIANCES[:2]
    if variance is None:
        variance = "learned" if learned else "posterior"
    if variance not in choices:
        known = "" if learned else " where the best denoiser is not known and none was learned"
        raise ValueError(f"variance must be {' or '.join(choices)}{known}, got {variance!r}")
    _check_steps(run, steps)
    return {"steps": steps, "variance": variance}


def _ddim(run, steps, eta):
    steps, eta = (
        min(50, _default_steps(run)) if steps is None else steps,
        0.0 if eta is None else eta,
    )
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie between 0 and 1, got {eta}")
    _check_steps(run, steps)
    return {"steps": steps, "eta": eta}


def _default_steps(run):
    return run.model.schedule.T if isinstance(run.model.schedule, Schedule) else 1000


def _check_steps(run, steps):
    """Other systems than ddpm have a score between the noise levels of their training too, and may
    take more steps.
    """
    if run.system == "ddpm":
        run.model.schedule.timesteps(steps)
    _at_least_one("steps", steps)


def _indi(run, steps, noise, blur):
    trained = run.model.degradation
    steps = _at_least_one("steps", 20 if steps is None else steps)
    noise, blur = trained.noise if noise is None else noise, trained.blur if blur is None else blur
    trained.start_time(noise, blur)
    return {"steps": steps, "noise": noise, "blur": blur}


def _langevin(run, steps, tau):
    limit = _limit(run)
    tau = limit / 10 if tau is None else tau
    check_step("tau", tau, None)
    return {"steps": _at_least_one("steps", 1000 if steps is None else steps), "tau": tau}


def _annealed_langevin(run, steps, levels, epsilon):
    levels = (
        (run.model.schedule.T if run.system == "smld" else LEVELS) if levels is None else levels
    )
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    epsilon = 0.2 * noise_range(run)[0] ** 2 if epsilon is None else epsilon
    check_step("epsilon", epsilon, None)
    usual = 100 if len(run.model.network.sample_shape) == 1 else 30
    return {
        "steps": _at_least_one("steps", usual if steps is None else steps),
        "levels": levels,
        "epsilon": epsilon,
    }


def _at_least_one(name, value):
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


FILL_DEFAULTS: dict = {
    "ddpm": _ddpm,
    "ddim": _ddim,
    "indi": _indi,
    "langevin": _langevin,
    "annealed-langevin": _annealed_langevin,
}


def _limit(run):
    """The longest stable Langevin step at the run's smallest noise: 2 sigma^2 where the data may
    lie on a surface, more for a mixture.

    At InDI's smallest noise, a thousandth of the largest, what the network says of x_0 is no
    smoother than 2 sigma^2 allows for.
    """
    distribution, sigma = datasets.exact_distribution(run.config["data"]), noise_range(run)[0]
    return (
        stability_limit(distribution.noised(1.0, sigma))
        if distribution and run.system != "indi"
        else 2 * sigma**2
    )


def initial_sample(run, ops, sample, sampler, seed, scale=1.0, **own):
    """Where the sampler starts for the indices ``sample`` [b]: degraded held-out data for ``indi``,
    else noise of size ``scale``.
    """
    shape = run.model.network.sample_shape
    if sampler == "indi":
        return to_device(
            degraded(run, ops, to_host(sample), seed, own["noise"], own["blur"])[0], ops
        )
    # whose largest noise may be no larger than the data
    if run.system == "indi" and sampler != "langevin":
        return ode_sde_options.prior_sample(run, sample, seed, ops)
    if sampler == "langevin":
        return prior(
            seed,
            sample,
            shape,
            scale=(run.model.data_variance + noise_range(run)[0] ** 2) ** 0.5,
            ops=ops,
        )
    return prior(
        seed,
        sample,
        shape,
        scale=noise_range(run)[1] if sampler == "annealed-langevin" else scale,
        ops=ops,
    )


def degraded(run, ops, sample, seed, noise=None, blur=None):
    """(degraded, clean): held-out data of the indices ``sample``, modulo their number, under the
    run's degradation or a level of it.
    """
    trained, clean = run.model.degradation, run.data.held_out
    level = replace(
        trained,
        noise=trained.noise if noise is None else noise,
        blur=trained.blur if blur is None else blur,
    )
    chosen = clean[sample % len(clean)]
    return level(
        chosen, ops.normal(seed, sample, 0, Purpose.PRIOR, chosen.shape[1:], chosen.dtype)
    ), chosen


class GaussianModel:
    """Stands for a run's model: the exact predictions for Gaussian data of the run's variance v,
    one number a sample.
    """

    prediction = "x0"
    network = SimpleNamespace(sample_shape=(1,))

    def __init__(self, model):
        self.schedule, self.data_variance = model.schedule, model.data_variance

    def posterior_mean_function(self, params, ops):
        v = self.data_variance
        return lambda x, alpha, sigma: (alpha * v / (alpha**2 * v + sigma**2)) * x

    def predictor(self, params, ops):
        mean = self.posterior_mean_function(params, ops)
        return lambda x, t: mean(x, self.schedule.signal(t), self.schedule.noise_scale(t))


def deviation_on_gaussian_data(run, sampler, n=1024, **how):
    """What the sampler, with its steps on the run's schedule, makes of the deviation of Gaussian
    data of the run's variance: 1 is right.

    By n samples of the exact model, a Monte Carlo estimate with a standard error of 1 / sqrt(2 n),
    2 %.
    """
    stand_in = replace(run, model=GaussianModel(run.model))
    how |= {"variance": "posterior"} if how.get("variance") == "learned" else {}
    x = final_sample(
        trajectory(
            stand_in, reference_ops, np.arange(n), sampler, clip=Clip(-np.inf, np.inf), **how
        )
    )
    return float(np.sqrt((x.astype(np.float64) ** 2).mean() / run.model.data_variance))


def _check_steps_on_gaussian_data(run, sampler, **how):
    if sampler in ("indi", "decoder", "langevin"):
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of the same sampler, said where it is chosen
        deviation = deviation_on_gaussian_data(run, sampler, **how)
    if not abs(deviation - 1) < LARGEST_BIAS:
        spread, smallest = run.model.data_variance**0.5, noise_range(run)[0]
        cause = f"its smallest noise, {smallest:.3g}, is large beside the data's deviation, {spread:.3g}"
        advice = cause if smallest > spread / 2 else "take more steps or another sampler"
        wrong = f"would give Gaussian data of the run's variance {deviation:.2g} times its deviation, even with a perfect network"
        warnings.warn(
            f"{describe(sampler, **how)} {wrong}: {advice}", SamplingWarning, stacklevel=3
        )


def data_clip(run, clip):
    """The ``Clip`` of the run's data, active unless ``clip`` is none.  Runs from before the range
    of points was kept have none.
    """
    low, high = run.config.get("data_range") or (
        (-1.0, 1.0) if len(run.model.network.sample_shape) == 3 else (-np.inf, np.inf)
    )
    return Clip(low, high, clip != "none")


def trajectory(run, ops, sample, sampler, seed, clip="data", **own):
    """The sampler as a generator of (t, x, x0), for the samples of the indices ``sample`` [b].

    ``clip``: data, none, or a ``Clip`` that predictions of x_0 go through.
    """
    model, weights, clip = (
        run.model,
        run.state.ema,
        data_clip(run, clip) if isinstance(clip, str) else clip,
    )
    if sampler == "decoder":
        noise = len(model.network.sample_shape) == 1  # of points, the law; of images, the mean
        return iter([(0, model.sample(weights, seed, sample, noise, ops=ops), None)])
    if sampler in ode_sde_options.STEPS:
        return ode_sde_options.solve(run, ops, sample, sampler, seed, clip=clip, **own)
    steps = own["steps"]
    if sampler in ("ddpm", "ddim"):
        schedule, predict, prediction = schedule_of(run, ops, steps)
        x = initial_sample(run, ops, sample, sampler, seed, schedule.prior_scale)
        steps_of, option = (ancestral, "variance") if sampler == "ddpm" else (ddim, "eta")
        how = {"clip": clip, "ops": ops, "prediction": prediction, option: own[option]}
        return steps_of(predict, schedule, schedule.timesteps(steps), x, seed, sample, **how)
    x = initial_sample(run, ops, sample, sampler, seed, **own)
    if sampler == "indi":
        start = model.degradation.start_time(own["noise"], own["blur"])
        deviation = brownian_deviation(model.epsilon) if model.epsilon else None
        if deviation:
            x = ops.add_noise(
                x,
                1.0,
                deviation(start),
                ops.normal(seed, sample, 0, Purpose.LATENT, x.shape[1:], x.dtype),
            )
        grid = [start * (steps - k) / steps for k in range(steps + 1)]
        return indi(model.denoise_function(weights, ops), grid, x, seed, sample, deviation, ops)
    score = ode_sde_options.clipped_score(run, ops, clip)
    if sampler == "langevin":
        sigma = noise_range(run)[0]
        return langevin(
            lambda x: score(x, 1.0, sigma), x, own["tau"], steps, seed, sample, _limit(run), ops
        )
    smallest, largest = noise_range(run)
    sigmas = np.geomspace(largest, smallest, own["levels"])
    return annealed_langevin(
        lambda x, sigma: score(x, 1.0, sigma),
        sigmas,
        x,
        steps,
        seed,
        sample,
        own["epsilon"],
        ops=ops,
    )


def schedule_of(run, ops, steps):
    """(schedule, predict, prediction) for ddpm and ddim: the run's own, or with more steps than
    that has, as many times of its SDE.
    """
    schedule = run.model.schedule
    if isinstance(schedule, Schedule) and steps <= schedule.T:
        return schedule, run.predictor(ops), run.model.prediction
    return *ode_sde_options.as_schedule(run, ops, steps), "x0"


def length(sampler, steps=1, levels=1, **own):
    """How many states ``trajectory`` yields."""
    denoised = sampler == "annealed-langevin" or (
        sampler in ode_sde_options.STEPS and sampler != "edm"
    )
    return levels * steps + denoised


class CountingOps:
    """A port's ops that count in ``evaluations`` how often a network is asked: what is replayed, it
    does not do itself.
    """

    def __init__(self, ops):
        self.ops, self.evaluations = ops, 0

    def __getattr__(self, name):
        setattr(self, name, getattr(self.ops, name))  # networks look them up at every call
        return vars(self)[name]

    def replayed(self, function):
        inner = captured(function, self.ops)

        def counted(*args):
            self.evaluations += 1
            return inner(*args)

        return counted


def draw(run, ops, n, clip="data", **how):
    """(x, evaluations): n samples [n,...] of the run's averaged weights, in batches, by
    ``trajectory``, and the network evaluations that each of them took, None for a sampler that
    takes none.  ValueError if they are not finite.

    ``clip``: data or none.  A warning where the network's last predictions of x_0 lay far outside
    of the data.
    """
    _check_steps_on_gaussian_data(run, **how)
    run, ops, beyond = replace(run, state=copy(run.state)), CountingOps(ops), 0.0
    run.state.ema = to_device(dict(run.state.ema), ops)
    each, parts = length(**how), []
    batch = BATCH["images" if len(run.model.network.sample_shape) == 3 else "points"]
    # said below, in one sentence
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        for number, first in enumerate(range(0, n, batch)):
            held = data_clip(run, clip)
            states = trajectory(
                run, ops, to_device(np.arange(first, min(first + batch, n)), ops), clip=held, **how
            )
            parts.append(
                to_host(
                    final_sample(
                        progress(
                            states,
                            each * -(-n // batch),
                            f"{how['sampler']} step",
                            first=number * each,
                        )
                    )
                )
            )
            beyond += held.fraction_outside() * len(parts[-1])
            warnings.simplefilter("ignore")  # what the first batch said holds of the others
    x = np.concatenate(parts)
    if not np.isfinite(x).all():
        raise ValueError(
            f"the samples are not finite: {describe(**how)} diverged, and nothing was written; a shorter step may help"
        )
    if beyond > MOST_BEYOND * n:
        warnings.warn(
            f"the network's predictions of {beyond / n:.0%} of the samples end far outside of the range of the training data: such samples"
            " are wrong; longer training, more steps or --sampler ddpm may help",
            SamplingWarning,
            stacklevel=2,
        )
    return x, ops.evaluations / len(parts) or None


def describe(sampler, seed, steps=None, levels=None, evaluations=None, **own):
    """``ddim, 50 steps, seed 0``, and where given ``, 50 network evaluations``."""
    count = f"{steps} step{'' if steps == 1 else 's'}{' each' if levels else ''}" if steps else ""
    cost = (
        f"{evaluations:.4g} network evaluation{'' if evaluations == 1 else 's'}"
        if evaluations
        else ""
    )
    parts = [sampler, f"{levels} levels" if levels else "", count, f"seed {seed}", cost]
    return ", ".join(filter(None, parts))
