"""Safe writing: a kill, a full disk or a mistyped name loses no data."""

import contextlib
import errno
import os
from pathlib import Path


def write_atomically(path, data):
    """Write the bytes ``data`` to ``path``: completely, or without any change.  OSError if that
    fails.
    """
    with replaced(path) as file:
        file.write(data)


@contextlib.contextmanager
def replaced(path):
    """A context with a binary file to write, which replaces ``path`` at its end: completely, or
    without any change.  OSError if that fails.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and renamed;
    then the folder is flushed.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # on a read-only disk the removal fails, too, but there is nothing to remove
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    if hasattr(os, "O_DIRECTORY"):  # only POSIX can flush a folder
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_together(folder, files):
    """Write ``files``, name -> bytes, into ``folder`` by ``write_atomically``.  If one fails, the
    new files are removed again.

    A name may contain a subfolder; it is created if needed.
    """
    created: list = []
    try:
        for name, data in files.items():
            path = Path(folder) / name
            if not path.parent.exists():
                path.parent.mkdir()
                created.append(path.parent)
            created += [] if path.exists() else [path]
            write_atomically(path, data)
    except BaseException:
        for path in reversed(created):
            with contextlib.suppress(OSError):  # the first error is the one to report
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def exclusive_lock(folder, work="training in"):
    """A context that only one process at a time can enter, for its ``work`` in the folder; the
    others get a ValueError.

    It holds the operating system's lock on the folder.  The lock ends with the process.  A file
    system without locks keeps no process out.
    """
    try:
        import fcntl
    except ImportError:  # only POSIX has this lock
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is {work} {folder}") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
                raise
        yield
    finally:
        os.close(descriptor)


def output_path(name, suffixes, option="--out"):
    """``name``, the value of ``option``, as the path of a new file; its folder is created.
    ValueError if the suffix is not one of ``suffixes``, if the file exists, or if it can't be
    written.
    """
    path = Path(name)
    if path.suffix not in suffixes:
        known = " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))
        raise ValueError(f"{option} must end in {known}, got {name}")
    if path.exists() or path.is_symlink():
        raise ValueError(f"{name} exists already: name another {option}, or remove it first")
    output_folder(path.parent, path.name)
    return path


def output_folder(name, file=".writable"):
    """The folder ``name``, created with its parents if needed.  ValueError if the file ``file``
    can't be written there.
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
    """As ``output_folder``, but ValueError if the folder exists and is not empty."""
    if Path(name).is_dir() and any(Path(name).iterdir()):
        raise ValueError(
            f"{name} exists already and is not empty: name another --out, or remove it first"
        )
    return output_folder(name)
