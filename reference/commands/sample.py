"""``sample RUN``: draw from a trained run into a picture or an array file."""

import hashlib
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


def add_sampling_options(parser, sampler="ddpm", n=16):
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument("--sampler", default=sampler, help=f"{' or '.join(SAMPLERS)} (default {sampler})")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of the sampler (default: ddpm all T, ddim 50)")
    parser.add_argument("--eta", type=float, metavar="X", help="noise of ddim, from 0 (none, default) to 1 (as ddpm)")
    parser.add_argument("--variance", help="of ddpm's steps: posterior (default) or beta")
    parser.add_argument("--n", type=int, default=n, metavar="N", help=f"how many samples (default {n})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")


def execute(arguments, ops):
    run = open_run(arguments.run)
    how = choose(run, arguments)
    if not 1 <= arguments.n <= 2**32:
        raise ValueError(f"n must be at least 1 and at most 2^32, got {arguments.n}")
    settings = {"run": str(arguments.run), "weights": digest(run.state.ema), "n": arguments.n, **how}
    path = _path(arguments.out, settings)
    x = draw(run, ops, arguments.n, **how)
    write_atomically(path, _npz(x, settings) if path.suffix == ".npz" else _picture(x, settings))
    print(f"wrote {path}: {arguments.n} samples of {run.folder}, {how['sampler']}, {how['steps']} steps, seed {how['seed']}")
    return 0


def choose(run, arguments):
    """Sampler, steps, seed and the sampler's own option, checked, with their defaults: the arguments of ``trajectory``."""
    sampler, steps, T = arguments.sampler, arguments.steps, run.denoiser.schedule.T
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if not 0 <= arguments.seed < 2**64:
        raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {arguments.seed}")
    own, other = ("variance", "eta") if sampler == "ddpm" else ("eta", "variance")
    if getattr(arguments, other) is not None:
        raise ValueError(f"--{other} is not an option of --sampler {sampler}")
    value = getattr(arguments, own)
    if sampler == "ddpm":
        steps, value = T if steps is None else steps, "posterior" if value is None else value
        if value not in VARIANCES[:2]:
            raise ValueError(f"variance must be {' or '.join(VARIANCES[:2])} where the best denoiser is not known, got {value!r}")
    else:
        steps, value = min(50, T) if steps is None else steps, 0.0 if value is None else value
        if not 0 <= value <= 1:
            raise ValueError(f"eta must lie between 0 and 1, got {value}")
    run.denoiser.schedule.grid(steps)
    return {"sampler": sampler, "steps": steps, "seed": arguments.seed, own: value}


def digest(weights):
    """Tells apart the weights that two samples were drawn with."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())).hexdigest()


def draw(run, ops, n, **how):
    """n samples [n,...] of the run's averaged weights, in batches, by ``trajectory``."""
    total, parts = how["steps"] * -(-n // BATCH), []
    for first in range(0, n, BATCH):
        states = trajectory(run, ops, np.arange(first, min(first + BATCH, n)), **how)
        parts.append(last(progress(states, total, f"{how['sampler']} step", first=first // BATCH * how["steps"])))
    return np.concatenate(parts)


def trajectory(run, ops, sample, sampler, steps, seed, **own):
    """The sampler as a generator of (t, x, x0), for the samples of the indices ``sample`` [b].  Images lie in [-1, 1]: x0 is held there."""
    denoiser = run.denoiser
    schedule, shape = denoiser.schedule, denoiser.network.sample_shape
    steps_of = ancestral if sampler == "ddpm" else ddim
    clip = 1.0 if len(shape) == 3 else None
    x = prior(seed, sample, shape, ops=ops)
    return steps_of(run.noise_of(ops), schedule, schedule.grid(steps), x, seed, sample, clip=clip, ops=ops, **own)


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
