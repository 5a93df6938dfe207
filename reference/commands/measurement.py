"""The measurement that ``restore`` begins with: a degraded picture, or a clean one that is degraded
here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.data import formats
from reference.restoration.operators import Mask
from reference.runs.restoration import LEAST_NOISE, operator_of, picture_part

OPTIONS_OF = {"mask": "inpaint", "blur": "deblur", "factor": "superres"}
BLUR, FACTOR = 1.5, 2
MOST_NOISE = 1e3


@dataclass(frozen=True, eq=False)
class Measurement:
    """y[1,*measured_shape] by ``operator`` with ``noise``; ``truth``[1,h,w,c] is the picture behind
    it, or None.
    """

    operator: Any
    noise: float
    y: np.ndarray
    truth: np.ndarray | None = None

    @property
    def known(self):
        """The known pixels [h,w] of a mask, None for another operator."""
        return self.operator.known[..., 0] if isinstance(self.operator, Mask) else None

    def picture(self):
        """y as a picture [1,h,w,c]: unknown pixels are 0, the pixels of a small picture become
        blocks.
        """
        if self.y.shape[1:] == self.operator.shape:
            return self.y
        return self.operator.pseudo_inverse(self.y)

    def residual(self, x):
        """|y - A x|^2 / (m s_y^2) of pictures x[n,h,w,c], averaged over them; m counts the entries
        of y.  For noise 0 its square root, in the units of y.
        """
        square = float(np.mean(np.square(self.y - self.operator.forward(x), dtype=np.float64)))
        return square / self.noise**2 if self.noise else square**0.5


def measurement(run, shape, arguments):
    """The Measurement that the options of ``restore`` describe, of a picture of this shape (h, w,
    c).  ValueError for options and pictures that do not fit.
    """
    if arguments.noise and not LEAST_NOISE <= arguments.noise <= MOST_NOISE:
        known = f"0, or from {LEAST_NOISE:g} to {MOST_NOISE:g}"
        raise ValueError(f"noise must be {known}, got {arguments.noise:g}")
    for name, task in OPTIONS_OF.items():
        if getattr(arguments, name) is not None and arguments.task != task:
            raise ValueError(f"--{name} goes with --task {task}, not with {arguments.task}")
    operator, index = _operator(run, shape, arguments), arguments.data_index
    if index is not None:
        if arguments.degrade:
            raise ValueError("--degrade goes with --input: a held-out image is always degraded")
        return _degraded(operator, held_out_image(run, index), index, arguments)
    if arguments.degrade:
        return _degraded(operator, read_picture(run, arguments.input, shape), 0, arguments)
    if arguments.task == "inpaint":
        x = read_picture(run, arguments.input, shape)
        return Measurement(operator, arguments.noise, operator.forward(x))
    small = arguments.task == "superres"
    note = ", which become {1}x{0}; --degrade takes these".format(*shape) if small else ""
    y = read_picture(run, arguments.input, operator.measured_shape, note)
    return Measurement(operator, arguments.noise, y)


def _degraded(operator, truth, index, arguments):
    """The noise depends on the seed and the index."""
    y = operator.measure(truth, arguments.noise, arguments.seed, np.array([index]), reference_ops)
    return Measurement(operator, arguments.noise, y, truth)


def held_out_image(run, index):
    """[1,h,w,c], the ``picture_part``."""
    count = len(run.data.held_out)
    if not 0 <= index < count:
        raise ValueError(
            f"data-index must lie from 0 to {count - 1}, the held-out images of {run.folder}, got"
            f" {index}"
        )
    return run.data.held_out[index : index + 1, *picture_part(run)]


def _operator(run, shape, arguments):
    blur = BLUR if arguments.blur is None else arguments.blur
    factor = FACTOR if arguments.factor is None else arguments.factor
    if arguments.task == "deblur" and not 0 < blur <= max(shape[:2]):
        most = f"at most {max(shape[:2])}, the size of the picture"
        raise ValueError(f"blur must be a positive number of pixels, {most}, got {blur:g}")
    known = _known_pixels(run, shape, arguments) if arguments.task == "inpaint" else None
    return operator_of(arguments.task, shape, known, blur, factor)


def _known_pixels(run, shape, arguments):
    """[h,w]: the bright pixels of the mask, or all but a hole in the middle."""
    height, width, _ = shape
    if arguments.mask is not None:
        name, known = arguments.mask, pixels(run, arguments.mask, shape[:2]).mean(axis=2) > 0
    elif arguments.input is not None and not arguments.degrade:
        raise ValueError(
            f"--task inpaint needs --mask: which pixels of {arguments.input} are unknown?"
        )
    else:
        name, known = "the hole in the middle", np.ones((height, width), bool)
        known[height // 4 :, width // 4 :][: height // 2, : width // 2] = False
    if known.all() or not known.any():
        fault = "leaves nothing to fill in" if known.all() else "leaves no pixel known"
        raise ValueError(f"{name} {fault}")
    return known


def read_picture(run, name, shape, note=""):
    """[1,h,w,c] in [-1, 1] from a PNG file of this shape.  A grey picture serves a run of colours,
    and one whose three channels are equal serves a run of grey images.
    """
    x, channels = pixels(run, name, shape[:2], shape[2] == 4, note), shape[2]
    if channels == 1 and (x == x[..., :1]).all():
        x = x[..., :1]
    if x.shape[2] == 1:
        x = np.repeat(x, channels, axis=2)
    if x.shape[2] != channels:
        raise ValueError(
            f"{name} has {x.shape[2]} channels, and {run.folder} takes images of {channels}"
        )
    return x[None]


def pixels(run, name, size, alpha=False, note=""):
    """[h,w,c] in [-1, 1], float32, from a PNG file of this size (h, w): the whole range of its bits
    is scaled.  ValueError for a picture of another size, or with opacity unless ``alpha``.
    """
    x = formats.picture(Path(name))
    if x.shape[:2] != tuple(size):
        (h, w), (height, width) = size, x.shape[:2]
        raise ValueError(
            f"{name} has {width}x{height} pixels, and {run.folder} takes {w}x{h}{note}"
        )
    if x.shape[2] == 4 and not alpha:
        raise ValueError(f"{name} has an alpha channel: store it without opacity")
    largest = 1 if x.dtype == bool else np.iinfo(x.dtype).max
    return (x / (largest / 2) - 1).astype(np.float32)
