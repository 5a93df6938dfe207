"""Data sets: a few points and images that need no download, and the user's files (``formats.py``)
in the network's units (``units.py``).

Images are NHWC float32 in [-1, 1]; the swiss roll lies in [-1, 1]^2, too.  Mixtures keep the
coordinates in which the tutorial states its numbers.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reference.data import captions, formats, mnist
from reference.data.captions import Captions
from reference.data.units import Units, scale_images, scale_points
from reference.diffusion.mixtures import Mixture, example_2_1, ring
from reference.ops.random import Purpose, normal, uniform

SYNTHETIC_SAMPLES = 20_000
HELD_OUT_SHARE = 0.2
NAMES = ("digits", *mnist.SOURCES, "captions", "mixture1d", "mixture2d", "swiss-roll")


@dataclass(frozen=True, eq=False)
class Dataset:
    """train [n,...] and held_out [m,...], float32, with their labels: integers, or the tokens of
    their captions (``labelled_by_captions``).

    ``mixture``: the exact distribution, if it is known.  ``bin_width``: the spacing of the lattice
    of pixel values, 0 for data that is not quantised.  ``units``: maps samples back to the file's
    numbers; None for built-in data.  ``notes``: the reader's decisions, one clause each.
    ``class_names``: a name for each label, in order; empty if the labels have no names.  Without
    ``has_labels`` all labels are 0.  ``captions``: of images with captions, else None.
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
    has_labels: bool = True
    class_names: tuple[str, ...] = ()
    captions: Captions | None = None

    @property
    def shape(self):
        """The shape of one sample: (h, w, c) for images, (d,) for points."""
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
        """(low, high) of a sample's values: (-1.0, 1.0) for images; for points the range of the
        training data, [d] each.
        """
        return (-1.0, 1.0) if self.is_image else (self.train.min(axis=0), self.train.max(axis=0))

    def labelled_by_captions(self):
        """The same images, the tokens [n,8] of their captions as labels."""
        own: Any = self.captions
        plain = replace(self, has_labels=False, class_names=())
        return replace(plain, train_labels=own.train, held_out_labels=own.held_out)

    def padded(self, shape):
        """The images padded at the bottom and on the right to ``shape`` (h, w, c), with copies of
        their last row and column.
        """
        if shape == self.shape:
            return self
        widths = ((0, 0), *((0, new - old) for new, old in zip(shape, self.shape)))
        train, held_out = (np.pad(images, widths, "edge") for images in (self.train, self.held_out))
        return replace(self, train=train, held_out=held_out)


def load_dataset(name, seed=0, labels=None, data_dir=None):
    """The built-in data set ``name``, or the data of the file or folder ``name``.  ValueError for
    an unknown name or a bad file.  ``labels``: a file of labels for a file of images.
    ``data_dir``: the folder of the files of mnist or fashion-mnist, else found or downloaded.

    Test samples of the data set or the file are held out.  For other data 1/5 of the samples is
    held out, those with the smallest random numbers of (seed, index).
    """
    if data_dir is not None and name not in mnist.SOURCES:
        raise ValueError(f"data-dir goes with {' or '.join(mnist.SOURCES)}, not with {name}")
    if name not in NAMES:
        return _from_file(name, seed, labels)
    if labels is not None:
        raise ValueError(f"labels go with a file of images in IDX or .npy format, not with {name}")
    if name in mnist.SOURCES:
        return _mnist(name, data_dir)
    if name == "captions":
        return _captions(seed)
    if name == "digits":
        x, y = digits()
    elif name == "swiss-roll":
        x, y = swiss_roll(seed, np.arange(SYNTHETIC_SAMPLES))
    else:
        x, y = exact_distribution(name).sample(seed, np.arange(SYNTHETIC_SAMPLES))
    held_out = _held_out_indices(name, len(x), seed)
    bin_width = 2 / 16 if name == "digits" else 0.0
    fields = {"mixture": exact_distribution(name), "has_labels": name != "swiss-roll"}
    return _split(name, x, y, held_out, bin_width=bin_width, **fields)


def needs_download(name, data_dir=None):
    """Would ``load_dataset`` download files?"""
    return name in mnist.SOURCES and mnist.needs_download(name, data_dir)


def _mnist(name, data_dir):
    x, y, test_x, test_y, folder = mnist.read(name, data_dir)
    names = mnist.SOURCES[name].class_names
    border = f"images with a border of {mnist.BORDER} background pixels"
    return Dataset(
        name,
        x,
        test_x,
        y,
        test_y,
        bin_width=2 / 255,
        notes=(border, f"classes: {', '.join(names)}", f"files in {folder}"),
        class_names=names,
    )


def _captions(seed):
    """Training images show training digits, and held-out images held-out digits."""
    found, held = load_dataset("digits", seed), int(SYNTHETIC_SAMPLES * HELD_OUT_SHARE)
    train, held_out = np.split(np.arange(SYNTHETIC_SAMPLES), [SYNTHETIC_SAMPLES - held])
    x, shown, tokens = captions.draw(seed, train, found.train, found.train_labels, True)
    test_x, test_shown, test_tokens = captions.draw(
        seed, held_out, found.held_out, found.held_out_labels, False
    )
    colours, places = ", ".join(captions.COLOURS), ", ".join(captions.PLACES)
    rule = "not in training where colour + digit + place, counted from 0, is a multiple of 5"
    caption = captions.decode(tokens[0])
    return Dataset(
        "captions",
        x,
        test_x,
        shown.digit,
        test_shown.digit,
        bin_width=2 / 16,
        notes=(f"digits in {colours}, at {places}", rule, f"the first caption is {caption!r}"),
        class_names=captions.DIGITS,
        captions=Captions(tokens, test_tokens, captions.is_held_out(test_shown)),
    )


def _from_file(name, seed, labels):
    if not Path(name).exists():
        raise ValueError(
            f"unknown data set {name!r}: there is no such file; data can be"
            f" {', '.join(NAMES)}, or {formats.KNOWN_FORMATS}"
        )
    found = formats.read(Path(name), None if labels is None else Path(labels))
    if found.x.ndim == 4:
        x, units, bin_width, note = scale_images(found.x, name)
    else:
        x, units, note = scale_points(found.x, name)
        bin_width = 0.0
    y = np.zeros(len(x), np.int64) if found.labels is None else found.labels
    if found.held_out:
        held_out = np.arange(len(x) - found.held_out, len(x))
    else:
        held_out = _held_out_indices(name, len(x), seed)
    fields = {"bin_width": bin_width, "units": units, "notes": (*found.notes, note)}
    labels = {"has_labels": found.labels is not None, "class_names": found.class_names}
    return _split(name, x, y, held_out, **fields, **labels)


def exact_distribution(name):
    """The mixture that generates the data set ``name``; None for any other name."""
    return {"mixture1d": example_2_1(), "mixture2d": ring()}.get(name)


def _held_out_indices(name, count, seed):
    """The indices of the held-out samples, in increasing order."""
    held = int(count * HELD_OUT_SHARE)
    if held < 1:
        raise ValueError(
            f"{name} holds {count} samples, but at least 5 are needed: one fifth is held out"
        )
    order = np.argsort(uniform(seed, np.arange(count), 0, Purpose.SPLIT, (1,))[:, 0], kind="stable")
    return np.sort(order[:held])


def _split(name, x, y, held_out, **fields):
    train = np.delete(np.arange(len(x)), held_out)
    x = np.ascontiguousarray(x, np.float32)
    return Dataset(name, x[train], x[held_out], y[train], y[held_out], **fields)


def digits():
    """(images, labels) of 1,797 handwritten digits of 8x8 pixels with 17 grey levels (Alpaydin and
    Kaynak 1998), from scikit-learn.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images[..., None] / 8 - 1, bunch.target


def swiss_roll(seed, sample, noise=0.02):
    """(points, labels) on the spiral r = angle / (4.5 pi), angle from 1.5 pi to 4.5 pi, with noise,
    within [-1, 1]^2.  All labels are 0.
    """
    angle = (1.5 + 3 * uniform(seed, sample, 0, Purpose.COMPONENT, (1,))) * np.pi
    direction = np.concatenate((np.cos(angle), np.sin(angle)), axis=1)
    roll = direction * angle / (4.5 * np.pi) * (1 - 4 * noise)
    spread = noise * normal(seed, sample, 0, Purpose.DATA, (2,)).clip(-4, 4)
    return roll + spread, np.zeros(len(sample), np.int64)
