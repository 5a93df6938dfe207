"""``sample RUN --live``: picture after picture of new samples, each from the next seed."""

import io
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from reference.commands.interrupts import stop_on_signal
from reference.commands.sample_pictures import rows_of
from reference.runs.files import write_atomically
from reference.runs.gaussian_check import check_steps_on_gaussian_data
from reference.runs.processes import processes
from reference.runs.sampling import draw_at_once, on_device
from reference.runs.trajectory import describe

MOST_SAMPLES = 1024  # of a picture: they go through the network together


def check_live(run, arguments, n):
    """ValueError for options that do not go with ``--live``, or need it."""
    if not arguments.live:
        if arguments.frames is not None:
            raise ValueError("--frames is the number of pictures of --live, which is not given")
        return
    if processes().count > 1:
        raise ValueError("--live needs one process")
    if Path(arguments.out).suffix != ".png":
        raise ValueError(f"--live draws into a .png, got --out {arguments.out}")
    if len(run.model.network.sample_shape) != 3:
        raise ValueError(f"--live draws images, and {run.folder} draws points")
    if arguments.start:
        raise ValueError("--live begins each picture with new noise, and --from gives the noise")
    if n > MOST_SAMPLES:
        raise ValueError(f"a picture of --live holds at most {MOST_SAMPLES} samples, got {n}")
    if arguments.frames is not None and arguments.frames < 1:
        raise ValueError(f"frames must be at least 1, got {arguments.frames}")


def rate(seconds, n):
    """Pictures and images a second, as text, for pictures of n images that took ``seconds`` each.
    The first counts only if it is alone: a port may compile its kernels in it.
    """
    counted = seconds[1:] or seconds
    frames = len(counted) / sum(counted)
    return f"{frames:.3g} frames a second, {n * frames:.4g} images a second"


def execute(run, ops, n, path, settings, how, frames=None):
    """Draw ``frames`` pictures into ``path``, or without a number until an interrupt: the first as
    ``sample`` draws it, each later one with the next seed.  The exit code.
    """
    check_steps_on_gaussian_data(run, **{name: how[name] for name in how if name != "clip"})
    seconds: list = []
    on_terminal, first, run_there = sys.stderr.isatty(), how["seed"], on_device(run, ops)
    with (
        stop_on_signal("picture", "picture") as stop,
        warnings.catch_warnings(),
        np.errstate(over="ignore", invalid="ignore"),  # samples that are not finite are refused
    ):
        while not (stop.asked and seconds) and len(seconds) != frames:
            begin = time.perf_counter()
            how["seed"] = (first + len(seconds)) % 2**64
            x = draw_at_once(run_there, ops, n, **how)
            write_atomically(path, picture(run, x, how, settings))
            seconds.append(time.perf_counter() - begin)
            warnings.simplefilter("ignore")  # those of the first picture hold for the others
            if on_terminal:
                line = f"\rframe {len(seconds)}: {rate(seconds, n)}  "
                print(line, end="", file=sys.stderr, flush=True)
    if on_terminal:
        print(file=sys.stderr)
    last = f"the last of {len(seconds)} frames of {n} samples of {run.folder}, {describe(**how)}"
    print(f"wrote {path}: {last}; {rate(seconds, n)}")
    return 0


def picture(run, x, how, settings):
    """The bytes of a PNG of the images x [n,h,w,c] alone, with their settings: row by row, or a row
    a class or a caption.  Without matplotlib, whose sheet takes about as long as a network's step.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from reference import plotting

    images, n = run.in_data_units(x), len(x)
    if rows := rows_of(run, **how):
        own = np.arange(n) % len(rows)
        grid = plotting.mosaic_by_class(images, own, len(rows), np.bincount(own).max())
    else:
        grid = plotting.mosaic(images, int(np.ceil(np.sqrt(n))))
    pixels = np.rint(255 * grid).astype(np.uint8)
    information, stream = PngInfo(), io.BytesIO()
    information.add_text("Description", json.dumps(settings | {"seed": how["seed"]}))
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(
        stream, "PNG", pnginfo=information, compress_level=1
    )
    return stream.getvalue()
