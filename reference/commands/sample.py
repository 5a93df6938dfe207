"""``sample RUN``: draw from a trained run into a picture or an array file."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from reference.commands.report import progress
from reference.ddpm.ddpm import VARIANCES
from reference.files import output_path, write_atomically
from reference.run import open_run
from reference.samplers import last
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.ddim import ddim

BATCH = 128  # samples that go through the network together: a limit on memory, which changes no noise
SAMPLERS = ("ddpm", "ddim")


def add_options(parser):
    add_sampling_options(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help="FILE.png or FILE.npz")


def add_sampling_options(parser):
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument("--sampler", help="ddpm (default) or ddim")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of the sampler (default: ddpm all T, ddim 50)")
    parser.add_argument("--eta", type=float, default=0.0, metavar="X", help="noise of ddim, from 0 (none, default) to 1 (as ddpm)")
    parser.add_argument("--variance", default="posterior", help="of ddpm's steps: posterior (default) or beta")
    parser.add_argument("--n", type=int, default=16, metavar="N", help="how many samples (default 16)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")


def execute(arguments, ops):
    run = open_run(arguments.run)
    sampler, steps = choose(run, arguments.sampler, arguments.steps)
    if arguments.n < 1:
        raise ValueError(f"n must be at least 1, got {arguments.n}")
    settings = {
        **{"run": str(arguments.run), "step": run.state.step, "sampler": sampler, "steps": steps},
        **{name: getattr(arguments, name) for name in ("eta", "variance", "n", "seed")},
    }
    path = _path(arguments.out, settings)
    x = draw(run, ops, sampler, steps, arguments.n, arguments.seed, arguments.eta, arguments.variance)
    write_atomically(path, _npz(x, settings) if path.suffix == ".npz" else _picture(x, settings))
    print(f"wrote {path}: {arguments.n} samples of {run.folder}, {sampler}, {steps} steps, seed {arguments.seed}")
    return 0


def choose(run, sampler=None, steps=None):
    """The sampler and its number of steps, checked, with their defaults."""
    sampler = sampler or "ddpm"
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    T = run.denoiser.schedule.T
    steps = steps if steps is not None else T if sampler == "ddpm" else min(50, T)
    run.denoiser.schedule.grid(steps)
    return sampler, steps


def draw(run, ops, sampler, steps, n, seed, eta=0.0, variance="posterior"):
    """n samples [n,...] of the run's averaged weights, in batches.  Images are known to lie in [-1, 1], and x0 is held there."""
    if variance not in VARIANCES[:2]:
        raise ValueError(f"variance must be {' or '.join(VARIANCES[:2])} where the best denoiser is not known, got {variance!r}")
    batches = [np.arange(first, min(first + BATCH, n)) for first in range(0, n, BATCH)]
    total, parts = steps * len(batches), []
    for number, sample in enumerate(batches):
        steps_of_batch = trajectory(run, ops, sampler, steps, sample, seed, eta, variance)
        parts.append(last(progress(steps_of_batch, total, f"{sampler} step", first=number * steps)))
    return np.concatenate(parts)


def trajectory(run, ops, sampler, steps, sample, seed, eta=0.0, variance="posterior"):
    """The sampler as a generator of (t, x, x0), for the samples of the indices ``sample`` [b]."""
    denoiser = run.denoiser
    schedule, shape = denoiser.schedule, denoiser.network.sample_shape
    common = {"seed": seed, "sample": sample, "clip": 1.0 if len(shape) == 3 else None, "ops": ops}
    x, noise_of, grid = prior(seed, sample, shape, ops=ops), run.noise_of(ops), schedule.grid(steps)
    if sampler == "ddim":
        return ddim(noise_of, schedule, grid, x, eta=eta, **common)
    return ancestral(noise_of, schedule, grid, x, variance=variance, **common)


def _path(name, settings):
    """The path to write to.  A file of the very same settings may be written again: nothing is lost by it."""
    path = Path(name)
    if path.suffix in (".npz", ".png") and path.is_file() and _settings_of(path) == settings:
        return path
    return output_path(name, (".png", ".npz"))


def _settings_of(path):
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return json.loads(str(archive["settings"]))
        from PIL import Image

        with Image.open(path) as image:
            return json.loads(image.info["Description"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # not a file of ours
        return None


def _npz(x, settings):
    stream = io.BytesIO()
    np.savez(stream, x=x, settings=np.array(json.dumps(settings)))
    return stream.getvalue()


def _picture(x, settings):
    from reference import figures

    title = f"{len(x)} samples, {settings['sampler']}, {settings['steps']} steps, seed {settings['seed']}"
    return figures.samples(x, title, json.dumps(settings))
