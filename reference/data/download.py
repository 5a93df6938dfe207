"""Files from public addresses, downloaded by pooch into the user's cache."""

import os
import sys
import tempfile
from pathlib import Path

TIMEOUT = 10  # seconds without an answer
CHUNK = 2**16  # bytes received at once


def cache_folder(name):
    """The folder of the data set ``name`` in the user's cache, by the rules of XDG: below
    XDG_CACHE_HOME if that is an absolute path, else below ~/.cache.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    root = cache if os.path.isabs(cache) else os.path.expanduser("~/.cache")
    return Path(root, "diffusion-from-scratch", name)


def fetch(file, mirrors, folder, check):
    """Download ``file`` into ``folder`` from the first of ``mirrors`` that answers with the right
    contents, and return ``check(path)``, which raises ValueError for wrong ones.

    The file appears in the folder at once, after its check.  So a download that is stopped leaves
    no part of it there, and downloads at the same time do not disturb each other.  ValueError if no
    mirror has the file, or if pooch is missing.
    """
    try:
        import pooch
        from requests import RequestException
    except ImportError:
        raise ValueError("the package pooch is missing: pip install -e '.[data]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    download = pooch.HTTPDownloader(sys.stderr.isatty(), CHUNK, timeout=TIMEOUT)
    failures = []
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
        path = Path(scratch, file)
        for mirror in mirrors:
            print(f"downloading {mirror}{file} to {folder}", file=sys.stderr)
            try:
                download(mirror + file, str(path), None)
                contents = check(path)
            except RequestException as error:
                failures.append(f"{mirror}{file}: {_cause(error)}")
            except ValueError as error:
                failures.append(f"{mirror}{file}: {error}".replace(str(path), "the file"))
            else:
                os.replace(path, folder / file)
                return contents
    raise ValueError("; ".join(failures))


def _cause(error):
    """The first of the exceptions that led to ``error``, as text."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error).partition(" for url")[0]
