"""Data: a few points and images that need no download, and files of one's own (``formats.py``) in
the network's units (``units.py``).

Images are NHWC float32 in [-1, 1]; so is the swiss roll.  Mixtures keep their coordinates, in which
the tutorial states its numbers.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reference.data import formats
from reference.data.units import Units, scale_images, scale_points
from reference.diffusion.mixtures import Mixture, example_2_1, ring
from reference.ops.random import Purpose, normal, uniform

POINTS = 20_000  # drawn for a synthetic data set
HELD_OUT = 0.2
NAMES = ("digits", "mixture1d", "mixture2d", "swiss-roll")


@dataclass(frozen=True, eq=False)
class Dataset:
    """train [n,...] and held_out [m,...] float32, with their labels (integers).  ``mixture``: the
    exact law, where there is one.

    ``bin_width``: the spacing of the lattice that pixel values lie on, 0 for data that is not
    quantised.  ``units``: the way back to the numbers of the file, None for built-in data;
    ``notes``: how the file was read, a clause each.
    """

    name: str
    train: np.ndarray
    held_out: np.ndarray
    train_labels: np.ndarray
    held_out_labels: np.ndarray
    mixture: Mixture | None = None
    bin_width: float = 0.0
    units: Units | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self):
        """Of one sample: (h, w, c) for images, (d,) for points."""
        return self.train.shape[1:]

    @property
    def is_image(self):
        return len(self.shape) == 3

    @property
    def variance(self):
        """Mean square of an entry, the v of ``Denoiser``."""
        return float((self.train.astype(np.float64) ** 2).mean())

    @property
    def range(self):
        """(low, high) of the values that a sample can take: (-1.0, 1.0) for images, [d] each for
        points, by the training data.
        """
        return (-1.0, 1.0) if self.is_image else (self.train.min(axis=0), self.train.max(axis=0))

    def padded(self, shape):
        """The same images enlarged to ``shape`` (h, w, c) below and to the right, where their last
        row and column go on.
        """
        if shape == self.shape:
            return self
        widths = ((0, 0), *((0, new - old) for new, old in zip(shape, self.shape)))
        train, held_out = (np.pad(images, widths, "edge") for images in (self.train, self.held_out))
        return replace(self, train=train, held_out=held_out)


def load(name, seed=0, labels=None):
    """The data set called ``name``, or read from the file or folder of that name; ``labels``: a
    file of labels for a file of images.

    Files may come with their own held-out samples.  Of other data a share of 1/5 is held out, the
    samples with the smallest random numbers of (seed, index).
    """
    if name not in NAMES:
        return _from_file(name, seed, labels)
    if labels is not None:
        raise ValueError(f"labels go with a file of images in IDX or .npy format, not with {name}")
    if name == "digits":
        x, y = digits()
    elif name == "swiss-roll":
        x, y = swiss_roll(seed, np.arange(POINTS))
    else:
        x, y = exact_distribution(name).sample(seed, np.arange(POINTS))
    return _split(
        name,
        x,
        y,
        _held_out(name, len(x), seed),
        mixture=exact_distribution(name),
        bin_width=2 / 16 if name == "digits" else 0.0,
    )


def _from_file(name, seed, labels):
    if not Path(name).exists():
        raise ValueError(
            f"unknown data set {name!r}: expected {', '.join(NAMES)}, or {formats.KNOWN}"
        )
    found = formats.read(Path(name), None if labels is None else Path(labels))
    if found.x.ndim == 4:
        x, units, bin_width, note = scale_images(found.x, name)
    else:
        (x, units, note), bin_width = scale_points(found.x, name), 0.0
    y = np.zeros(len(x), np.int64) if found.labels is None else found.labels
    own = len(x) - found.held_out
    out = np.arange(own, len(x)) if found.held_out else _held_out(name, len(x), seed)
    return _split(name, x, y, out, bin_width=bin_width, units=units, notes=(*found.notes, note))


def exact_distribution(name):
    """The mixture that the data set called ``name`` is drawn from, None for all others."""
    return {"mixture1d": example_2_1, "mixture2d": ring}.get(name, lambda: None)()


def _held_out(name, count, seed):
    """The indices, in order, of the samples that are held out."""
    held = int(count * HELD_OUT)
    if held < 1:
        raise ValueError(
            f"{name} holds {count} samples: at least 5 are needed, to hold one out of five"
        )
    order = np.argsort(uniform(seed, np.arange(count), 0, Purpose.SPLIT, (1,))[:, 0], kind="stable")
    return np.sort(order[:held])


def _split(name, x, y, out, **fields):
    kept = np.delete(np.arange(len(x)), out)
    x = np.ascontiguousarray(x, np.float32)
    return Dataset(name, x[kept], x[out], y[kept], y[out], **fields)


def digits():
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (Alpaydin and Kaynak 1998), from
    scikit-learn.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images[..., None] / 8 - 1, bunch.target


def swiss_roll(seed, sample, noise=0.02):
    """The spiral r = angle / (4.5 pi), angle from 1.5 pi to 4.5 pi, with noise, within [-1, 1]^2;
    the label is 0 everywhere.
    """
    angle = (1.5 + 3 * uniform(seed, sample, 0, Purpose.COMPONENT, (1,))) * np.pi
    roll = (
        np.concatenate((np.cos(angle), np.sin(angle)), axis=1)
        * angle
        / (4.5 * np.pi)
        * (1 - 4 * noise)
    )
    spread = noise * normal(seed, sample, 0, Purpose.DATA, (2,)).clip(-4, 4)
    return roll + spread, np.zeros(len(sample), np.int64)
