"""Many samples on their way to a file FILE.npz or FILE.npy: a folder of batches, FILE.npz.parts, in
bounded memory.

    settings.json      of the samples, the port and the size of a batch
    FIRST.npz          the arrays of the batch whose first sample has the index FIRST; its network
                       evaluations, and how many of its predictions lie outside of the data

A command that was stopped finds in it the batches that it has drawn, with any number of processes.
"""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from reference.runs.files import exclusive_lock, replaced, write_atomically

SETTINGS = "settings.json"


def folder_of(path):
    return Path(f"{path}.parts")


def begin(folder, settings, firsts, opened):
    """Create the folder, or open the one of the same settings, locked until ``opened``, an
    ExitStack, is closed.  Returns those of ``firsts`` whose batch it lacks.
    """
    folder.mkdir(exist_ok=True)
    opened.enter_context(exclusive_lock(folder, "drawing into"))
    path, text = folder / SETTINGS, json.dumps(settings)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder} holds samples of other settings, of a command that was stopped: remove it,"
            " or name another --out"
        )
    write_atomically(path, text.encode())
    missing = [first for first in firsts if not _part(folder, first).exists()]
    if len(missing) < len(firsts):
        kept = f"{len(firsts) - len(missing)} of {len(firsts)} batches"
        print(f"{folder} holds {kept} of a command that was stopped, which are kept")
    else:
        print(f"{folder} holds the batches until the last: after a stop the same command goes on")
    return missing


def _part(folder, first):
    return folder / f"{first:010}.npz"


def write(folder, batch, arrays):
    """Keep the ``arrays`` of a ``sampling.Batch`` by name."""
    stream = io.BytesIO()
    np.savez(stream, **arrays, counts=[batch.evaluations, batch.beyond])
    write_atomically(_part(folder, batch.first), stream.getvalue())


def read(folder, first):
    """(arrays by name, evaluations, beyond) of a batch."""
    path = _part(folder, first)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return arrays, *arrays.pop("counts")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} can't be read: {error}; remove it to draw its samples again"
        ) from None


def join(path, firsts, n, settings):
    """Write the file ``path`` from its folder: byte for byte as ``np.savez`` or ``np.save`` writes
    the n samples at once.
    """
    folder, (arrays, *_) = folder_of(path), read(folder_of(path), firsts[0])
    with replaced(path) as file:
        if path.suffix == ".npy":
            _write_array(file, folder, firsts, n, "x", arrays["x"])
            return
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    _write_array(entry, folder, firsts, n, name, array)
            with archive.open("settings.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.array(json.dumps(settings)))


def _write_array(file, folder, firsts, n, name, like):
    """The n entries of an array, batch after batch, in NumPy's format."""
    header = np.lib.format.header_data_from_array_1_0(like)
    np.lib.format.write_array_header_1_0(file, header | {"shape": (n, *like.shape[1:])})
    for first in firsts:
        file.write(np.ascontiguousarray(read(folder, first)[0][name]).data)


def remove(folder):
    """Remove the folder, after its file is written."""
    shutil.rmtree(folder)
