"""Data: a few points and images that need no download, and files of one's own.

Images are NHWC float32 in [-1, 1]; so is the swiss roll.  Mixtures keep their coordinates, in which the tutorial states its numbers.
Files are never trusted: no pickle, and sizes are checked against the file before memory is taken.
"""

import gzip
import lzma
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from reference.mixtures import Mixture, example_2_1, ring
from reference.ops.random import Purpose, normal, uniform

POINTS = 20_000  # drawn for a synthetic data set
HELD_OUT = 0.2
MOST_ZIPPED = 1100  # bytes that a zipped byte can stand for: deflate reaches 1032
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAMES = ("digits", "mixture1d", "mixture2d", "swiss-roll")


@dataclass(frozen=True, eq=False)
class Dataset:
    """train [n,...] and held_out [m,...] float32, with their labels (integers).  ``mixture``: the exact law, where there is one.

    ``bin_width``: the spacing of the lattice that pixel values lie on, 0 for data that is not quantised.
    """

    name: str
    train: np.ndarray
    held_out: np.ndarray
    train_labels: np.ndarray
    held_out_labels: np.ndarray
    mixture: Mixture | None = None
    bin_width: float = 0.0

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
        """(low, high) of the values that a sample can take: (-1.0, 1.0) for images, [d] each for points, by the training data."""
        return (-1.0, 1.0) if self.is_image else (self.train.min(axis=0), self.train.max(axis=0))


def load(name, seed=0, labels=None):
    """The data set called ``name``, or read from the file of that name; ``labels``: an IDX file of labels for an IDX file of images.

    A share of 1/5 is held out: that of the samples with the smallest random numbers of (seed, index).
    """
    mixture, bin_width, path = law(name), 0.0, Path(name)
    if labels is not None and (name in NAMES or path.suffix == ".npz"):
        raise ValueError(f"labels go with a file of images in IDX format, not with {name}")
    if name == "digits":
        x, y = digits()
        bin_width = 2 / 16
    elif mixture:
        x, y = mixture.sample(seed, np.arange(POINTS))
    elif name == "swiss-roll":
        x, y = swiss_roll(seed, np.arange(POINTS))
    elif not path.is_file():
        raise ValueError(f"unknown data set {name!r}: expected {', '.join(NAMES)}, or a file in IDX or .npz format")
    elif path.suffix == ".npz":
        x, y, bin_width = from_npz(path)
    else:
        x, y, bin_width = from_idx(path, None if labels is None else Path(labels))
    return _split(name, np.ascontiguousarray(x, np.float32), y, seed, mixture, bin_width)


def law(name):
    """The mixture that the data set called ``name`` is drawn from, None for all others."""
    return {"mixture1d": example_2_1, "mixture2d": ring}.get(name, lambda: None)()


def _split(name, x, y, seed, mixture, bin_width):
    held = int(len(x) * HELD_OUT)
    if held < 1:
        raise ValueError(f"{name} holds {len(x)} samples: at least 5 are needed, to hold one out of five")
    order = np.argsort(uniform(seed, np.arange(len(x)), 0, Purpose.SPLIT, (1,))[:, 0], kind="stable")
    out, kept = np.sort(order[:held]), np.sort(order[held:])
    return Dataset(name, x[kept], x[out], y[kept], y[out], mixture, bin_width)


def digits():
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (Alpaydin and Kaynak 1998), from scikit-learn."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images[..., None] / 8 - 1, bunch.target


def swiss_roll(seed, sample, noise=0.02):
    """The spiral r = angle / (4.5 pi), angle from 1.5 pi to 4.5 pi, with noise, within [-1, 1]^2; the label is 0 everywhere."""
    angle = (1.5 + 3 * uniform(seed, sample, 0, Purpose.COMPONENT, (1,))) * np.pi
    roll = np.concatenate((np.cos(angle), np.sin(angle)), axis=1) * angle / (4.5 * np.pi) * (1 - 4 * noise)
    spread = noise * normal(seed, sample, 0, Purpose.DATA, (2,)).clip(-4, 4)
    return roll + spread, np.zeros(len(sample), np.int64)


def _scaled(array, what):
    """Whole numbers by their type's range, real ones by their own range, to [-1, 1]; and the spacing of the whole numbers."""
    if array.dtype.kind in "ui" and array.dtype.itemsize == 1:
        low, high = float(np.iinfo(array.dtype).min), float(np.iinfo(array.dtype).max)
    elif array.dtype.kind in "uif":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    else:
        raise ValueError(f"{what} must hold numbers, got {array.dtype}")
    if not math.isfinite(high - low):
        raise ValueError(f"{what} holds values that are not finite, or too far apart")
    if array.min() == array.max():
        raise ValueError(f"{what} holds {array.size} values that are all alike: there is nothing to learn")
    scaled = array.astype(np.float32 if array.dtype.itemsize == 1 else np.float64)
    scaled -= low
    scaled *= 2 / (high - low)
    scaled -= 1
    return scaled, 2 / (high - low) if array.dtype.kind in "ui" else 0.0


def _labels(y, count, what):
    if y.shape != (count,) or y.dtype.kind not in "ui" or (y.size and y.min() < 0):
        raise ValueError(f"{what} must hold {count} whole numbers from 0 on, one a sample, got {y.dtype} of shape {y.shape}")
    return y.astype(np.int64)


def from_npz(path):
    """Array ``x``, or the only array: points [n,d] or images [n,h,w] or [n,h,w,c]; labels in ``y`` or ``labels``, if there."""
    try:
        arrays = _read_npz(path)
    except (OSError, ValueError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, TokenError) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    if "x" not in arrays and len(arrays) != 1:
        raise ValueError(f"{path} must hold one array, or one called x, got {', '.join(arrays) or 'none'}")
    x = arrays["x"] if "x" in arrays else next(iter(arrays.values()))
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim not in (2, 4) or 0 in x.shape:
        raise ValueError(f"{path} must hold points [n,d] or images [n,h,w] or [n,h,w,c], got shape {x.shape}")
    y = next((arrays[name] for name in ("y", "labels") if name in arrays), None)
    y = np.zeros(len(x), np.int64) if y is None else _labels(y, len(x), f"the labels of {path}")
    scaled, bin_width = _scaled(x, str(path))
    return scaled, y, bin_width


def _read_npz(path):
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            _check_member(archive, member)
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _check_member(archive, member):
    """An array's header must promise what its member holds: a lying one could ask for any amount of memory."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        promised, held = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
    if dtype.hasobject:
        raise ValueError(f"{member.filename} must hold numbers, not objects")
    if promised != held or member.file_size > MOST_ZIPPED * member.compress_size:
        raise ValueError(f"{member.filename} promises {promised} bytes and holds {held}")


def from_idx(path, labels_path=None):
    """Images [n,h,w] of an IDX file (MNIST, Fashion-MNIST), plain or gzip, and labels from ``labels_path``.

    Without one, the file beside it with ``labels`` for ``images`` and ``idx1`` for ``idx3`` in its name is taken, if there is one.
    """
    x = read_idx(path)
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"{path} must hold images [n,h,w], got shape {x.shape}")
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if labels_path is None and beside != path and beside.is_file():
        labels_path = beside
    y = np.zeros(len(x), np.int64) if labels_path is None else _labels(read_idx(labels_path), len(x), str(labels_path))
    scaled, bin_width = _scaled(x, str(path))
    return scaled[..., None], y, bin_width


def read_idx(path):
    """An array from an IDX file: two zero bytes, the type, the number of axes, their sizes as big-endian uint32, then the entries."""
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        stored = path.stat().st_size
        with gzip.open(path) if zipped else open(path, "rb") as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not 1 <= magic[3] <= 8:
                raise ValueError(f"{path} is not an IDX file: it begins with {magic.hex(' ') or 'nothing'}")
            header = stream.read(4 * magic[3])
            if len(header) < 4 * magic[3]:
                raise ValueError(f"{path} is truncated: its header ends after {4 + len(header)} bytes")
            shape, dtype = np.frombuffer(header, ">u4").tolist(), np.dtype(IDX_TYPES[magic[2]])
            promised = math.prod(shape) * dtype.itemsize
            most = MOST_ZIPPED * stored if zipped else stored - 4 - len(header)
            entries = stream.read(promised + 1) if promised <= most else b""
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    if len(entries) != promised:
        held = "more" if len(entries) > promised else "fewer"
        raise ValueError(f"{path} is truncated or wrong: its header promises {promised} bytes of entries, the file holds {held}")
    return np.frombuffer(entries, dtype).reshape(shape).astype(dtype.newbyteorder("="))
