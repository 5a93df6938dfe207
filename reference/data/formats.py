"""The user's data files as arrays of numbers: IDX, .npz, .npy, text with one point per line, and
folders of PNG pictures.

The module trusts no file: it never unpickles, and it checks declared sizes against the file before
it allocates memory.
"""

import csv
import gzip
import lzma
import math
import zipfile
import zlib
from array import array
from dataclasses import dataclass
from tokenize import TokenError

import numpy as np

from reference.data import png
from reference.data.png import MAX_ZIP_RATIO

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
KNOWN_FORMATS = "an IDX file (plain or gzipped), .npz, .npy, .csv, or a folder of PNG files"
HELP = (
    f"{KNOWN_FORMATS}; arrays: points [n,d] or images [n,h,w], [n,h,w,c] or [n,c,h,w]; names in "
    ".npz: x or images with labels in y or labels, or x_train, y_train, x_test, y_test"
)
# names of the samples; the names of labels and of test samples follow from them
NPZ_NAMES = ("x", "images", "x_train", "train_images")
READ_ERRORS = (  # a damaged file can raise any of these
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    TokenError,
)


@dataclass(frozen=True, eq=False)
class Contents:
    """x: points [n,d] or images [n,h,w,c] in the file's numbers; labels [n], or None.

    The last ``held_out`` samples are the file's own test samples.  ``notes``: the reader's
    decisions, one clause each.  ``class_names``: a name for each label, if the file has them.
    """

    x: np.ndarray
    labels: np.ndarray | None = None
    held_out: int = 0
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()


def read(path, labels_path=None):
    """The Contents of a file or a folder.  ``labels_path``: a file of labels for a file of images
    in IDX or .npy format.  ValueError if it can't be read.
    """
    reader = from_folder if path.is_dir() else READERS.get(path.suffix.lower(), from_idx)
    if labels_path is None:
        return reader(path)
    if reader not in (from_idx, from_npy):
        raise ValueError(f"labels go with a file of images in IDX or .npy format, not with {path}")
    return reader(path, labels_path)


def as_samples(x, path):
    """(points [n,d] or images [n,h,w,c], notes) from an array that may lack the channel axis or
    have the channels first.
    """
    if x.dtype.kind not in "buif":
        raise ValueError(f"{path} must hold numbers, got {x.dtype}")
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise ValueError(
            f"{path} must hold points [n,d] or images [n,h,w] or [n,h,w,c], got shape {x.shape}"
        )
    if x.ndim == 3:
        return x[..., None], ()
    if x.ndim == 2:
        return x, ()
    return _channels_last(x, path)


def _channels_last(x, path):
    """(images [n,h,w,c], notes) from [n,h,w,c] or [n,c,h,w], whichever has 1 to 4 channels; the
    former if both have.
    """
    first, last = (1 <= x.shape[axis] <= 4 for axis in (1, 3))
    if not first and not last:
        raise ValueError(
            f"{path} must hold images of 1 to 4 channels, [n,h,w,c] or [n,c,h,w], "
            f"got shape {x.shape}"
        )
    if not last:
        note = f"its shape {x.shape} is read as [n,c,h,w]: {x.shape[1]} channels, first"
        return x.transpose(0, 2, 3, 1), (note,)
    note = f"its shape {x.shape} is read as [n,h,w,c]: {x.shape[3]} channels, last"
    return x, (note,) if first else ()


def as_labels(y, count, name):
    """``count`` whole numbers from 0 on, int64.  ``name`` is for the error message."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (count,) or y.dtype.kind not in "bui" or y.min(initial=0) < 0:
        raise ValueError(
            f"{name} must hold {count} whole numbers from 0 on, one per sample, "
            f"got {y.dtype} of shape {y.shape}"
        )
    return y.astype(np.int64)


def from_npz(path):
    """Samples x or images, x_train or train_images, or the only array; labels y or labels; test
    samples x_test or test_images.
    """
    arrays = _read_or_refuse(path, _read_npz)
    names = [name for name in NPZ_NAMES if name in arrays] or [*arrays] * (len(arrays) == 1)
    if len(names) != 1:
        known = f"{', '.join(NPZ_NAMES[1:-1])} or {NPZ_NAMES[-1]}"
        raise ValueError(
            f"{path} must hold one array, or one called x, {known}, with labels in y or labels, "
            f"got {', '.join(arrays) or 'none'}"
        )
    name, test_name = names[0], names[0].replace("train", "test")
    x, y, notes = _pop_samples(arrays, name, path)
    held_out = 0
    if test_name in arrays:
        test, test_y, _ = _pop_samples(arrays, test_name, path)
        if test.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"{path} must hold samples of one shape, got {x.shape[1:]} in {name} "
                f"and {test.shape[1:]} in {test_name}"
            )
        if (y is None) != (test_y is None):
            raise ValueError(
                f"{path} must hold labels of both {name} and {test_name}, or of neither"
            )
        x, held_out = np.concatenate((x, test)), len(test)
        y = None if y is None else np.concatenate((y, test_y))
    return Contents(x, y, held_out, (*notes, f"not used: {', '.join(arrays)}") if arrays else notes)


def _pop_samples(arrays, name, path):
    """(samples, labels or None, notes).  Removes the samples and the labels from ``arrays``."""
    x, notes = as_samples(arrays.pop(name), path)
    label_names = (name.replace("images", "labels").replace("x", "y"), "y", "labels")
    label_name = next((known for known in label_names if known in arrays), None)
    if label_name is None:
        return x, None, notes
    return x, as_labels(arrays.pop(label_name), len(x), f"the labels {label_name} of {path}"), notes


def from_npy(path, labels_path=None):
    x, notes = as_samples(_read_or_refuse(path, _read_npy), path)
    return Contents(x, _labels_file(labels_path, len(x)), notes=notes)


def from_idx(path, labels_path=None):
    """Images [n,h,w] of an IDX file (MNIST, Fashion-MNIST), plain or gzipped, with labels from
    ``labels_path``.

    Without ``labels_path``, the labels come from a file beside it, plain or gzipped, with
    ``labels`` for ``images`` and ``idx1`` for ``idx3`` in its name, if there is one.
    """
    other = f", nor has it the ending of another format; data can be {KNOWN_FORMATS}"
    x = read_idx(path, other)
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"{path} must hold images [n,h,w], got shape {x.shape}")
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    if labels_path is None and name != path.name:
        other = name.removesuffix(".gz") if name.endswith(".gz") else name + ".gz"
        candidates = (path.with_name(each) for each in (name, other))
        labels_path = next((candidate for candidate in candidates if candidate.is_file()), None)
    return Contents(x[..., None], _labels_file(labels_path, len(x)))


def _labels_file(path, count):
    if path is None:
        return None
    y = _read_or_refuse(path, _read_npy) if path.suffix.lower() == ".npy" else read_idx(path)
    return as_labels(y, count, str(path))


def from_csv(path):
    """One point per line, columns separated by commas, semicolons, tabs or spaces.  The first line
    may hold names; lines that start with # are comments.

    A column called label holds labels.  A first column without a name, as pandas writes it, holds
    line numbers and is left out.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            names, values = _read_table(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    if names and not names[0] and len(names) > 1:
        names, values = names[1:], values[:, 1:]
        notes = ("its first column has no name and is left out",)
    if "label" in names and len(names) > 1:
        column = names.index("label")
        labels, values = values[:, column], np.delete(values, column, axis=1)
    x, _ = as_samples(values, path)
    if labels is not None:
        if (labels == np.rint(labels)).all() and np.abs(labels).max() < 2**53:
            labels = labels.astype(np.int64)
        labels = as_labels(labels, len(x), f"the column label of {path}")
    return Contents(x, labels, notes=notes)


def _read_table(file, path):
    """(names, values [n,d]) of an open text file; names is [] if the first line holds numbers."""
    names, values, width = [], array("d"), 0
    first = next((line for line in file if line.strip() and not line.lstrip().startswith("#")), "")
    file.seek(0)
    delimiter = next((character for character in ";\t," if character in first), " ")
    rows = csv.reader(
        (line.strip(" \r\n") for line in file), delimiter=delimiter, skipinitialspace=True
    )
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if not width and not any(_is_number(cell) for cell in cells):
            names, width = [cell.lower() for cell in cells], len(cells)
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise ValueError(
                f"{path}, line {rows.line_num}: expected {width} columns, got {len(cells)}"
            )
        for number, cell in enumerate(cells, 1):
            if not _is_number(cell):
                raise ValueError(
                    f"{path}, line {rows.line_num}, column {number}: expected a number, "
                    f"got {cell[:40]!r}"
                )
        values.extend(map(float, cells))
    return names, np.array(values).reshape(-1, max(width, 1))


def _is_number(cell):
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def from_folder(path):
    """PNG pictures of one size and mode in a folder.  If the folder holds none, its subfolders are
    classes, with pictures in each.
    """
    files, classes = _pictures(path), []
    if not files:
        classes = [
            folder for folder in sorted(path.iterdir()) if folder.is_dir() and _pictures(folder)
        ]
        files = [file for folder in classes for file in _pictures(folder)]
    if not files:
        raise ValueError(f"the folder {path} holds no PNG files, and neither do the folders in it")
    shape, mode = _check_pictures(files)
    x = np.stack([_read_or_refuse(file, lambda file: png.pixels(file, mode)) for file in files])
    x = x.reshape(len(files), *shape, -1)
    if not classes:
        return Contents(x)
    labels = np.repeat(np.arange(len(classes)), [len(_pictures(folder)) for folder in classes])
    names = tuple(folder.name for folder in classes)
    return Contents(x, labels, notes=(f"classes: {', '.join(names)}",), class_names=names)


def picture(path):
    """The pixels [h,w,c] of one PNG file, as ``png.pixels``.  ValueError if it can't be read."""

    def read(path):
        size, mode = png.header(path)
        return png.pixels(path, mode).reshape(*size[::-1], -1)

    return _read_or_refuse(path, read)


def _pictures(folder):
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() == ".png" and not file.name.startswith(".")
    )


def _check_pictures(files):
    """(shape (h, w), mode) that all files share, from their headers."""
    size, mode = _read_or_refuse(files[0], png.header)
    for file in files:
        if (other := _read_or_refuse(file, png.header)) != (size, mode):
            raise ValueError(
                f"PNG files must be alike: {files[0]} has {size[0]}x{size[1]} pixels of mode "
                f"{mode}, {file} has {other[0][0]}x{other[0][1]} of {other[1]}"
            )
    return size[::-1], mode


def _read_or_refuse(path, reader):
    """``reader(path)``; its errors become a ValueError of one sentence."""
    try:
        return reader(path)
    except READ_ERRORS as error:
        raise ValueError(f"{path} can't be read: {error}") from None


def _read_npz(path):
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                _check_header(stream, member.filename, member.file_size)
            if member.file_size > MAX_ZIP_RATIO * member.compress_size:
                raise ValueError(
                    f"{member.filename} declares {member.file_size} bytes, "
                    f"more than its {member.compress_size} can hold"
                )
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        lower = {name.lower(): array for name, array in arrays.items()}
        if len(lower) < len(arrays):
            raise ValueError("names of arrays must differ by more than upper and lower case")
        return lower


def _read_npy(path):
    with open(path, "rb") as file:
        _check_header(file, path, path.stat().st_size)
        file.seek(0)
        return np.load(file, allow_pickle=False)


def _check_header(stream, name, size):
    """The shape in an array's header must match the file's ``size`` bytes: a wrong header could
    request any amount of memory.
    """
    numpy_format = np.lib.format
    if numpy_format.read_magic(stream) == (1, 0):
        shape, _, dtype = numpy_format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = numpy_format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise ValueError(f"{name} must hold numbers, not objects")
    declared, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if declared != held:
        raise ValueError(f"{name} declares {declared} bytes and holds {held}")


def read_idx(path, advice=""):
    """An array from an IDX file: two zero bytes, the type, the number of axes, their sizes as
    big-endian uint32, then the entries.  ``advice``: follows in the error for another file.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as stream:
            shape, dtype, header_size = _read_idx_header(stream, path, advice)
            declared = math.prod(shape) * dtype.itemsize
            stored = path.stat().st_size
            most = MAX_ZIP_RATIO * stored if zipped else stored - header_size
            entries = stream.read(declared + 1) if declared <= most else b""
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    if len(entries) != declared:
        held = "more" if len(entries) > declared else "fewer"
        raise ValueError(
            f"{path} is truncated or wrong: its header declares {declared} bytes of entries, "
            f"the file holds {held}"
        )
    return np.frombuffer(entries, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_idx_header(stream, path, advice):
    """(shape, dtype, size of the header in bytes)."""
    magic = stream.read(4)
    if (
        len(magic) < 4
        or magic[:2] != b"\0\0"
        or magic[2] not in IDX_TYPES
        or not 1 <= magic[3] <= 8
    ):
        raise ValueError(f"{path} is not an IDX file{advice}")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"{path} is truncated: its header ends after {4 + len(sizes)} bytes")
    return np.frombuffer(sizes, ">u4").tolist(), np.dtype(IDX_TYPES[magic[2]]), 4 + len(sizes)


READERS = {".npz": from_npz, ".npy": from_npy, **dict.fromkeys((".csv", ".tsv", ".txt"), from_csv)}
