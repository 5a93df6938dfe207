"""Writing files so that a kill, a full disk or a mistyped name loses nothing."""

import contextlib
import os
from pathlib import Path


def write_atomically(path, data):
    """The bytes ``data`` under ``path``: whole, or as if nothing had happened.

    They go to a temporary name in the same folder and to the disk, take their name, and the folder
    goes to the disk too.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # where nothing can be written, nothing can be removed, and nothing is there
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    if hasattr(os, "O_DIRECTORY"):  # elsewhere than on POSIX a folder can't be flushed
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_together(folder, files):
    """``files``, bytes by name, into ``folder`` by ``write_atomically``: if one fails, those that
    are new there are removed again.

    A name may lie in a folder below, which is made.
    """
    begun: list = []
    try:
        for name, data in files.items():
            path = Path(folder) / name
            if not path.parent.exists():
                path.parent.mkdir()
                begun.append(path.parent)
            begun += [] if path.exists() else [path]
            write_atomically(path, data)
    except BaseException:
        for path in reversed(begun):
            with contextlib.suppress(OSError):  # the error that is said is the first one
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def exclusive(folder):
    """Within, no other process is: a ValueError there.  The lock is the system's, on the folder
    itself, and ends with the process.
    """
    try:
        import fcntl
    except ImportError:  # elsewhere than on POSIX there is no such lock
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is training in {folder}") from None
        yield
    finally:
        os.close(descriptor)


def output_path(name, suffixes):
    """``name`` as a path that can be written: of one of the suffixes, its folder made, and not
    there yet.  ValueError otherwise.
    """
    path = Path(name)
    if path.suffix not in suffixes:
        raise ValueError(f"--out must end in {' or '.join(suffixes)}, got {name}")
    if path.exists() or path.is_symlink():
        raise ValueError(f"{name} exists already: name another --out, or remove it first")
    output_folder(path.parent, path.name)
    return path


def output_folder(name, file=".writable"):
    """The folder ``name``, made with its parents, and found to take a ``file``.  ValueError
    otherwise.
    """
    folder = Path(name)
    probe = folder / f"{file}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{name} can't be written: {error.strerror or error}") from None
    return folder


def new_folder(name):
    """As ``output_folder``, and nothing is in it.  ValueError otherwise."""
    if Path(name).is_dir() and any(Path(name).iterdir()):
        raise ValueError(
            f"{name} exists already and is not empty: name another --out, or remove it first"
        )
    return output_folder(name)
