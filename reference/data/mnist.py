"""MNIST (LeCun, Cortes and Burges 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000
training images and 10,000 test images of 28x28 pixels in ten classes, in four IDX files.

The files are found in a folder, or downloaded.  Copies are compressed in different ways, so the
SHA-256 of the contents tells whether a file is the right one.
"""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference.data import formats
from reference.data.download import cache_folder, fetch

FOLDER_VARIABLE = "DIFFUSION_DATA_DIR"
SYSTEM_FOLDER = Path("/usr/share/datasets")  # of Debian's package dataset-fashion-mnist
BORDER = 2
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Source:
    """``hashes``: file -> SHA-256 of its contents, not compressed.  ``mirrors``: addresses that
    have the files with the ending .gz.
    """

    class_names: tuple[str, ...]
    hashes: dict[str, str]
    mirrors: tuple[str, ...]


SOURCES = {
    "fashion-mnist": Source(
        (
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        {
            TRAIN[0]: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            TRAIN[1]: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            TEST[0]: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            TEST[1]: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
    ),
    "mnist": Source(
        tuple("0123456789"),
        {
            TRAIN[0]: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            TRAIN[1]: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            TEST[0]: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            TEST[1]: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
}
FOLDER_HELP = (
    f"folder that holds the files of {' or '.join(SOURCES)}, or a folder of that name with them "
    f"(default: the one in {FOLDER_VARIABLE}, else {SYSTEM_FOLDER}, else the user's cache, "
    "which downloads fill)"
)


def read(name, folder=None):
    """(train images, train labels, test images, test labels, folder of the files) of the data set
    ``name``: images [n,32,32,1] in [-1, 1], with a border of two background pixels; labels [n].

    ``folder``: as ``find_folder`` takes it.  ValueError for files that are missing or wrong.
    """
    found = find_folder(name, folder)
    load = _from_folder if found else _from_cache
    found = found or cache_folder(name)
    x, y, test_x, test_y = (load(name, file, found) for file in (*TRAIN, *TEST))
    return _scaled(x), y.astype(np.int64), _scaled(test_x), test_y.astype(np.int64), found


def find_folder(name, folder=None):
    """The folder that should hold the files of the data set ``name``: ``folder``, else the one that
    the environment names, or the folder called ``name`` in it; else the system's.  None if there is
    none.  ValueError if a folder that is named does not exist.
    """
    named = folder or os.environ.get(FOLDER_VARIABLE)
    if not named:
        system = SYSTEM_FOLDER / name
        return system if system.is_dir() else None
    if not Path(named).is_dir():
        by = "data-dir" if folder else FOLDER_VARIABLE
        raise ValueError(f"{by} must be a folder with the files of {name}, got {named}")
    inner = Path(named, name)
    return inner if inner.is_dir() else Path(named)


def needs_download(name, folder=None):
    """Would ``read`` download files?  Arguments and errors are those of ``find_folder``."""
    if find_folder(name, folder):
        return False
    return not all((cache_folder(name) / f"{file}.gz").exists() for file in (*TRAIN, *TEST))


def _scaled(images):
    """Bytes [n,28,28] as float32 [n,32,32,1] in [-1, 1]; background pixels are -1."""
    widths = ((0, 0), (BORDER, BORDER), (BORDER, BORDER))
    scaled = np.pad(images, widths)[..., None].astype(np.float32)
    scaled /= 127.5
    scaled -= 1
    return scaled


def _from_folder(name, file, folder):
    names = (file, file.replace("-idx", ".idx"))
    candidates = [folder / f"{each}{end}" for each in names for end in ("", ".gz")]
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None:
        lacks = f"it has no {file}, plain or gzipped"
        raise ValueError(f"the folder {folder} must hold the files of {name}, but {lacks}")
    return _checked(name, file, path)


def _from_cache(name, file, folder):
    """From the user's cache, after a download if the file is missing or wrong there."""
    path = folder / f"{file}.gz"
    check = lambda path: _checked(name, file, path)
    if path.exists():
        try:
            return check(path)
        except ValueError as error:
            print(f"{error}: it is downloaded again", file=sys.stderr)
    try:
        return fetch(path.name, SOURCES[name].mirrors, folder, check)
    except ValueError as error:
        advice = f"name the folder of its files by --data-dir or {FOLDER_VARIABLE}"
        failed = f"{name} was found in no folder and can't be downloaded"
        raise ValueError(f"{failed} ({error}): {advice}") from None


def _checked(name, file, path):
    """The array of an IDX file.  ValueError if it is not ``file`` of the data set ``name``."""
    array = formats.read_idx(path)
    if array.dtype != np.uint8:
        raise ValueError(f"{path} must hold unsigned bytes, got {array.dtype}")
    header = np.array([0x800 + array.ndim, *array.shape], ">u4")
    contents = hashlib.sha256(header.tobytes())
    contents.update(array)
    found, wanted = contents.hexdigest(), SOURCES[name].hashes[file]
    if found != wanted:
        files = {sha: f"{f} of {n}" for n, own in SOURCES.items() for f, sha in own.hashes.items()}
        got = files.get(found, f"contents of SHA-256 {found} instead of {wanted}")
        raise ValueError(f"{path} must hold {file} of {name}, got {got}")
    return array
