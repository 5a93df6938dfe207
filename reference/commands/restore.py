"""``restore RUN``: fill in, sharpen or enlarge a picture, with a trained run as the prior.

Where the command itself degrades the picture, the truth is known, and the restored pictures are
compared with it.
"""

import io
import json
import time
from math import prod

import numpy as np

from reference import ops as reference_ops
from reference.commands.export import RUN_HELP
from reference.commands.invert import add_label_options, condition_or_none
from reference.commands.measurement import BLUR, FACTOR, measurement
from reference.commands.sample import path_for
from reference.commands.sample_pictures import data_of
from reference.data import mnist
from reference.data.image_metrics import psnr
from reference.runs.conditions import OWN
from reference.runs.exported import digest
from reference.runs.files import write_atomically
from reference.runs.progress import progress
from reference.runs.restoration import METHODS, TASKS, picture_part, restore
from reference.runs.run import open_run
from reference.runs.views import posterior_mean_of

SAMPLES, NOISE = 4, 0.05
MOST_WIENER = 4096  # entries of an image, for the comparison with the Wiener filter
ESTIMATES = ", ".join(name for name, method in METHODS.items() if not method.samples)
OUT_HELP = """FILE.png: the truth if it is known, the degraded picture, the samples, their mean and
their standard deviation; FILE.npz: the same as arrays (no default)"""
MASK_HELP = """of inpaint: white pixels are known, black ones are filled in (default: a hole in the
middle, of half the height and width; a degraded --input needs a mask)"""


def add_options(parser):
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    option = parser.add_argument
    option(
        "--task",
        choices=TASKS,
        required=True,
        metavar="TASK",
        help="inpaint: fill in unknown pixels; deblur: sharpen; superres: enlarge (no default)",
    )
    source = parser.add_mutually_exclusive_group(required=True).add_argument
    source("--input", metavar="FILE.png", help="a degraded picture (no default)")
    source(
        "--data-index",
        type=int,
        metavar="I",
        help="instead of --input: a held-out image of the run's data, from 0 on (no default)",
    )
    option(
        "--degrade",
        action="store_true",
        help="degrade --input first, as held-out images are (default: it is degraded already)",
    )
    option("--mask", metavar="FILE.png", help=MASK_HELP)
    option(
        "--blur",
        type=float,
        metavar="X",
        help=f"of deblur: standard deviation of the Gaussian blur, in pixels (default {BLUR})",
    )
    option(
        "--factor",
        type=int,
        metavar="N",
        help=f"of superres: a pixel is the mean of NxN pixels (default {FACTOR})",
    )
    option(
        "--noise",
        type=float,
        default=NOISE,
        metavar="X",
        help="standard deviation of the noise of the degraded picture, where black is -1 and white"
        f" is 1 (default {NOISE})",
    )
    option(
        "--method",
        choices=METHODS,
        default="pigdm",
        metavar="NAME",
        help=f"one of {', '.join(METHODS)} (default pigdm)",
    )
    steps = ", ".join(f"{name} {method.steps}" for name, method in METHODS.items() if method.steps)
    option("--steps", type=int, metavar="N", help=f"number of steps (default {steps})")
    option(
        "--samples",
        "--n",
        type=int,
        metavar="N",
        help=f"number of samples; {ESTIMATES} make one estimate (default {SAMPLES})",
    )
    option("--seed", type=int, default=0, metavar="N", help="seed of all noise (default 0)")
    add_label_options(option)
    option("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)
    option("--out", required=True, metavar="FILE", help=OUT_HELP)


def execute(arguments, ops):
    run = open_run(arguments.run, data_dir=arguments.data_dir)
    if arguments.data_dir is not None:
        _ = run.data  # a wrong folder is refused before the work
    shape = _picture_shape(run)
    how = _how(run, arguments)
    measured = measurement(run, shape, arguments)
    settings = {"run": str(arguments.run), "weights": digest(run.state.ema), **how}
    settings |= _described(arguments, measured)
    path = path_for(arguments.out, settings, (".png", ".npz"))
    problem, solver = _titles(arguments, measured, how)
    print(f"{run.folder}: {problem}; {solver}")
    if arguments.samples is not None and not METHODS[arguments.method].samples:
        print(f"  {arguments.method} makes one estimate, whatever --n is")
    begun = time.perf_counter()
    x, evaluations = _restored(run, ops, measured, **how)
    seconds = time.perf_counter() - begun
    _print_quality(run, measured, how, x)
    print(f"  {evaluations:g} network evaluations a sample, {seconds:.1f} s")
    make = _numbers if path.suffix == ".npz" else _sheet
    write_atomically(path, make(measured, how, x, f"{problem}\n{solver}", settings))
    print(f"wrote {path}")
    return 0


def _picture_shape(run):
    """(h, w, c) of the run's pictures.  ValueError for a run that can't restore."""
    posterior_mean_of(run)
    shape = run.model.network.sample_shape
    if len(shape) != 3:
        raise ValueError(f"restore needs a run of images, and {run.folder} was trained on points")
    return *(part.stop - part.start for part in picture_part(run)), shape[2]


def _how(run, arguments):
    """The arguments of ``_restored`` that the settings keep."""
    name, method, noise = arguments.method, METHODS[arguments.method], arguments.noise
    if method.backward and not hasattr(run.model, "posterior_mean_and_pullback"):
        fault = f"{run.folder}, trained by {run.method.name}, has no derivative of its denoiser"
        raise ValueError(f"{name} can't restore: {fault}; take ddrm, dmps or diffpir")
    if method.needs_noise and noise == 0:
        raise ValueError(f"{name} needs a positive --noise, got 0")
    steps, n = arguments.steps, arguments.samples
    if steps is not None and not method.steps:
        raise ValueError(f"{name} has no steps, got --steps {steps}")
    if steps is not None and steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps}")
    if n is not None and not 1 <= n <= 2**32:
        raise ValueError(f"samples must be at least 1 and at most 2^32, got {n}")
    if arguments.label == OWN:
        raise ValueError(f"restore takes the label of a class, or all, got {OWN}")
    condition = condition_or_none(run, arguments, "restore")
    n = (n or SAMPLES) if method.samples else 1
    steps = steps or method.steps
    return {"method": name, "steps": steps, "samples": n, "seed": arguments.seed, **condition}


def _restored(run, ops, measured, method, steps, samples, seed, **condition):
    """(pictures [n,h,w,c], network evaluations of one)."""
    y, sample = np.repeat(measured.y, samples, axis=0), np.arange(samples)
    how = (measured.noise, method, seed, sample, steps)
    watch = lambda states: progress(states, steps, f"{method}, step")
    condition |= {"watch": watch} if METHODS[method].samples else {}
    x, evaluations = restore(run, ops, measured.operator, y, *how, **condition)
    return x[:, *picture_part(run)], evaluations


def _described(arguments, measured):
    """The settings of the measurement.  A picture counts by its pixels, not by its name."""
    names = ("task", "noise", "data_index", "input", "degrade", "mask", "blur", "factor")
    known = {} if measured.known is None else {"known": measured.known}
    pixels = digest({"y": measured.y, **known})
    return {name: getattr(arguments, name) for name in names} | {"measurement": pixels}


def _titles(arguments, measured, how):
    """(the problem, the method) in words."""
    method, known = METHODS[how["method"]], measured.known
    degraded = {
        "inpaint": lambda: f"{known.sum()} of {known.size} pixels known",
        "deblur": lambda: f"blur {arguments.blur or BLUR:g}",
        "superres": lambda: f"factor {arguments.factor or FACTOR}",
    }[arguments.task]()
    steps = f", {how['steps']} steps" if how["steps"] else ""
    return f"{arguments.task}, {degraded}, noise {arguments.noise:g}", method.title + steps


def _print_quality(run, measured, how, x):
    method, truth = METHODS[how["method"]], measured.truth
    if truth is not None:
        quality = lambda picture: f"{psnr(picture, truth)[0]:8.2f} dB"
        print(f"  PSNR of the degraded picture   {quality(measured.picture())}")
        if how["method"] != "wiener":
            print(f"  PSNR of the Wiener filter      {_wiener(run, measured, quality)}")
        if len(x) > 1:
            print(f"  PSNR of the samples' mean      {quality(x.mean(axis=0, keepdims=True))}")
        name = "first sample" if method.samples else "estimate    "
        print(f"  PSNR of the {name}       {quality(x[:1])}")
    residual = measured.residual(x)
    if measured.noise:
        print(f"  |y - A x|^2 / (m s_y^2)        {residual:#8.3g}; of the truth about 1")
    else:
        print(f"  root mean square of y - A x    {residual:#8.3g}")


def _wiener(run, measured, quality):
    """The quality of the Wiener filter, or the reason why there is none."""
    if not measured.noise:
        return "   needs a positive --noise"
    if prod(run.model.network.sample_shape) > MOST_WIENER:
        return f"   not computed for more than {MOST_WIENER} entries an image"
    if data_of(run) is None:
        return f"   needs the training data of {run.folder}, which are not here"
    return quality(_restored(run, reference_ops, measured, "wiener", None, 1, 0)[0])


def _arrays(measured, how, x):
    """name -> array of a file, without the batch axis except for the samples."""
    y, arrays = measured.y, {}
    if measured.known is not None:
        y = np.where(measured.known[..., None], measured.picture(), np.nan).astype(y.dtype)
    if measured.truth is not None:
        arrays["truth"] = measured.truth[0]
    arrays["degraded"] = y[0]
    if not METHODS[how["method"]].samples:
        return arrays | {"estimate": x[0]}
    arrays |= {"samples": x, "mean": x.mean(axis=0)}
    return arrays | ({"deviation": x.std(axis=0, ddof=1)} if len(x) > 1 else {})


def _numbers(measured, how, x, title, settings):
    stream = io.BytesIO()
    np.savez(stream, **_arrays(measured, how, x), settings=np.array(json.dumps(settings)))
    return stream.getvalue()


def _sheet(measured, how, x, title, settings):
    """The deviation is the root mean square over the channels."""
    from reference import plotting

    arrays = _arrays(measured, how, x) | {"degraded": measured.picture()[0]}
    names = ("truth", "degraded", "estimate")
    pictures = {name: arrays[name] for name in names if name in arrays}
    samples, deviation = arrays.get("samples"), None
    if "deviation" in arrays:
        pictures["mean of the samples"] = arrays["mean"]
        deviation = np.sqrt(np.mean(arrays["deviation"] ** 2, axis=2))
    elif samples is not None:
        pictures["sample"], samples = samples[0], None
    unknown = None if measured.known is None else ~measured.known
    sheet = plotting.restoration_sheet(pictures, samples, deviation, title, unknown)
    return plotting.png_bytes(sheet, json.dumps(settings))
