"""Which sampler, with which options, from where: what ``sample``, ``evaluate`` and ``demo`` share."""

import warnings
from dataclasses import replace

import numpy as np

from reference import datasets
from reference.commands.report import progress
from reference.conversions import sigma_of_log_alpha_bar
from reference.ddpm.ddpm import VARIANCES
from reference.ddpm.indi import brownian
from reference.ddpm.learned import LearnedVariance
from reference.ops.random import Purpose
from reference.run import as_score
from reference.samplers import last
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.annealed_langevin import annealed_langevin
from reference.samplers.ddim import ddim
from reference.samplers.indi import indi
from reference.samplers.langevin import langevin, stability_limit

BATCH = {"images": 128, "points": 4096}  # that go through the network together: a limit on memory, which changes no noise
OWN = {"vae": "decoder", "ddpm": "ddpm", "smld": "annealed-langevin", "indi": "indi"}
SAMPLERS = {  # and their own options
    "ddpm": ("steps", "variance"),
    "ddim": ("steps", "eta"),
    "langevin": ("steps", "tau"),
    "annealed-langevin": ("steps", "levels", "epsilon"),
    "indi": ("steps", "noise", "blur"),
    "decoder": (),
}
LEVELS = 20  # of annealed Langevin dynamics on a run that was not trained at a few levels


def add_sampling_options(parser, n: int | None = 16, sampler="the system's own"):
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument("--sampler", help=f"{', '.join(SAMPLERS)} (default {sampler})")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="of the sampler (default: ddpm all T, ddim 50, indi 20, langevin 1000, annealed-langevin 100 at each level, of images 30)",
    )
    parser.add_argument("--eta", type=float, metavar="X", help="noise of ddim, from 0 (none, default) to 1 (as ddpm)")
    parser.add_argument("--variance", help="of ddpm's steps: posterior or beta; learned where the run has learned it, its default there")
    parser.add_argument("--tau", type=float, metavar="X", help="step of langevin (default a tenth of its stability limit)")
    parser.add_argument("--epsilon", type=float, metavar="X", help="base step of annealed-langevin (default 0.2 of its last sigma^2)")
    parser.add_argument("--levels", type=int, metavar="N", help=f"noise levels of annealed-langevin (default the run's own, else {LEVELS})")
    parser.add_argument("--noise", type=float, metavar="X", help="of the images that indi restores (default what the run was trained for)")
    parser.add_argument("--blur", type=float, metavar="X", help="likewise")
    how_many = "256 images or 4000 points" if n is None else str(n)
    parser.add_argument("--n", type=int, default=n, metavar="N", help=f"how many samples (default {how_many})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")


def choose(run, arguments, default=None):
    """Sampler, seed and the sampler's own options, checked, with their defaults: the arguments of ``trajectory``."""
    sampler = arguments.sampler or default or OWN[run.system]
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if run.system == "vae" and sampler != "decoder":
        raise ValueError(f"a run of vae is sampled by its decoder alone, got --sampler {sampler}")
    if sampler in ("indi", "decoder") and OWN[run.system] != sampler:
        raise ValueError(f"--sampler {sampler} does not serve a run of {run.system}")
    if sampler not in ("indi", "decoder"):
        as_score(run)  # refuses a run that knows no score
    if not 0 <= arguments.seed < 2**64:
        raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {arguments.seed}")
    given = {name: getattr(arguments, name, None) for name in sorted({name for names in SAMPLERS.values() for name in names})}
    for name, value in given.items():
        if value is not None and name not in SAMPLERS[sampler]:
            raise ValueError(f"--{name} is not an option of --sampler {sampler}")
    own = COMPLETE[sampler](run, **{name: given[name] for name in SAMPLERS[sampler]}) if SAMPLERS[sampler] else {}
    return {"sampler": sampler, "seed": arguments.seed, **own}


def _ddpm(run, steps, variance):
    learned, steps = isinstance(run.model, LearnedVariance), run.model.schedule.T if steps is None else steps
    choices = (*VARIANCES[:2], "learned") if learned else VARIANCES[:2]
    if variance is None:
        variance = "learned" if learned else "posterior"
    if variance not in choices:
        known = "" if learned else " where the best denoiser is not known and none was learned"
        raise ValueError(f"variance must be {' or '.join(choices)}{known}, got {variance!r}")
    run.model.schedule.grid(steps)
    return {"steps": steps, "variance": variance}


def _ddim(run, steps, eta):
    steps, eta = min(50, run.model.schedule.T) if steps is None else steps, 0.0 if eta is None else eta
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie between 0 and 1, got {eta}")
    run.model.schedule.grid(steps)
    return {"steps": steps, "eta": eta}


def _indi(run, steps, noise, blur):
    trained = run.model.degradation
    steps = _at_least_one("steps", 20 if steps is None else steps)
    noise, blur = trained.noise if noise is None else noise, trained.blur if blur is None else blur
    trained.start(noise, blur)
    return {"steps": steps, "noise": noise, "blur": blur}


def _langevin(run, steps, tau):
    limit = _limit(run)
    tau = limit / 10 if tau is None else tau
    if not 0 < tau < float("inf"):
        raise ValueError(f"tau must be a positive number, got {tau}")
    return {"steps": _at_least_one("steps", 1000 if steps is None else steps), "tau": tau}


def _annealed_langevin(run, steps, levels, epsilon):
    levels = (run.model.schedule.T if run.system == "smld" else LEVELS) if levels is None else levels
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    epsilon = 0.2 * _sigma(run, 1) ** 2 if epsilon is None else epsilon
    if not 0 < epsilon < float("inf"):
        raise ValueError(f"epsilon must be a positive number, got {epsilon}")
    usual = 100 if len(run.model.network.sample_shape) == 1 else 30
    return {"steps": _at_least_one("steps", usual if steps is None else steps), "levels": levels, "epsilon": epsilon}


def _at_least_one(name, value):
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


COMPLETE: dict = {"ddpm": _ddpm, "ddim": _ddim, "indi": _indi, "langevin": _langevin, "annealed-langevin": _annealed_langevin}


def _sigma(run, t):
    """The noise scale at time t of the run's schedule where the signal is left at 1."""
    return float(sigma_of_log_alpha_bar(run.model.schedule.log_alpha_bar[t]))


def _limit(run):
    """The longest stable Langevin step at the run's smallest noise: 2 sigma^2 where the data may lie on a surface, more for a mixture."""
    law, sigma = datasets.law(run.config["data"]), _sigma(run, 1)
    return stability_limit(law.noised(1.0, sigma)) if law else 2 * sigma**2


def begin(run, ops, sample, sampler, seed, **own):
    """Where the sampler starts for the indices ``sample`` [b]: the prior, or for InDI degraded held-out data."""
    shape = run.model.network.sample_shape
    if run.system == "indi":
        return degraded(run, ops, sample, seed, own.get("noise"), own.get("blur"))[0]
    if sampler == "langevin":
        return prior(seed, sample, shape, scale=(run.model.data_variance + _sigma(run, 1) ** 2) ** 0.5, ops=ops)
    scale = _sigma(run, run.model.schedule.T) if sampler == "annealed-langevin" else run.model.schedule.prior_scale
    return prior(seed, sample, shape, scale=scale, ops=ops)


def degraded(run, ops, sample, seed, noise=None, blur=None):
    """(degraded, clean): held-out data of the indices ``sample``, modulo their number, under the run's degradation or a level of it."""
    trained, clean = run.model.degradation, run.data.held_out
    level = replace(trained, noise=trained.noise if noise is None else noise, blur=trained.blur if blur is None else blur)
    chosen = clean[sample % len(clean)]
    return level(chosen, ops.normal(seed, sample, 0, Purpose.PRIOR, chosen.shape[1:], chosen.dtype)), chosen


def trajectory(run, ops, sample, sampler, seed, **own):
    """The sampler as a generator of (t, x, x0), for the samples of the indices ``sample`` [b].  Images lie in [-1, 1]: x0 is held there."""
    model, weights = run.model, run.state.ema
    if sampler == "decoder":
        noise = len(model.network.sample_shape) == 1  # of points, the law; of images, the mean
        return iter([(0, model.sample(weights, seed, sample, noise, ops=ops), None)])
    x, steps = begin(run, ops, sample, sampler, seed, **own), own["steps"]
    if sampler in ("ddpm", "ddim"):
        clip = 1.0 if x.ndim == 4 else None
        steps_of, option = (ancestral, "variance") if sampler == "ddpm" else (ddim, "eta")
        grid = model.schedule.grid(steps)
        return steps_of(run.noise_of(ops), model.schedule, grid, x, seed, sample, clip=clip, ops=ops, **{option: own[option]})
    if sampler == "indi":
        start = model.degradation.start(own["noise"], own["blur"])
        deviation = brownian(model.epsilon) if model.epsilon else None
        if deviation:
            x = ops.add_noise(x, 1.0, deviation(start), ops.normal(seed, sample, 0, Purpose.LATENT, x.shape[1:], x.dtype))
        grid = [start * (steps - k) / steps for k in range(steps + 1)]
        return indi(model.denoise_of(weights, ops), grid, x, seed, sample, deviation, ops)
    score = as_score(run, ops)
    if sampler == "langevin":
        sigma = _sigma(run, 1)
        return langevin(lambda x: score(x, 1.0, sigma), x, own["tau"], steps, seed, sample, _limit(run), ops)
    sigmas = np.geomspace(_sigma(run, model.schedule.T), _sigma(run, 1), own["levels"])
    return annealed_langevin(lambda x, sigma: score(x, 1.0, sigma), sigmas, x, steps, seed, sample, own["epsilon"], ops=ops)


def evaluations(sampler, steps=1, levels=None, **own):
    """How many states ``trajectory`` yields."""
    return levels * steps + 1 if sampler == "annealed-langevin" else steps


def draw(run, ops, n, **how):
    """n samples [n,...] of the run's averaged weights, in batches, by ``trajectory``.  ValueError if they are not finite."""
    each, parts = evaluations(**{name: value for name, value in how.items() if name != "seed"}), []
    batch = BATCH["images" if len(run.model.network.sample_shape) == 3 else "points"]
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):  # said below, in one sentence
        for number, first in enumerate(range(0, n, batch)):
            states = trajectory(run, ops, np.arange(first, min(first + batch, n)), **how)
            parts.append(last(progress(states, each * -(-n // batch), f"{how['sampler']} step", first=number * each)))
            warnings.simplefilter("ignore")  # what the first batch said holds of the others
    x = np.concatenate(parts)
    if not np.isfinite(x).all():
        raise ValueError(f"the samples are not finite: {describe(**how)} diverged, and nothing was written; a shorter step may help")
    return x


def describe(sampler, seed, steps=None, levels=None, **own):
    """``ddim, 50 steps, seed 0``."""
    count = f"{steps} step{'' if steps == 1 else 's'}{' each' if levels else ''}" if steps else ""
    parts = [sampler, f"{levels} levels" if levels else "", count, f"seed {seed}"]
    return ", ".join(filter(None, parts))
