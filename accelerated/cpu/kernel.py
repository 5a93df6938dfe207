"""How the kernels of this port are compiled, kept and called.

    @kernel("r* r* w*")
    def _silu_backward(dy, x, dx): ...

compiles at the first call with arrays of a dtype, for that dtype alone.  The words are the arguments' types (signatures.py).  Arrays that
are read may come in any layout and are made C-contiguous; those that are written must be so.

A kernel shares its work by ``prange`` over blocks whose number depends on the shapes alone.  With one thread it is compiled as a plain
loop; the bits are the same for any number of threads.  The machine code is kept in a folder whose name is a hash of every source file
here, since Numba does not notice an edited helper in another file.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np

from accelerated import signatures
from accelerated.signatures import flat, of_dtype, read, type_of

HERE = Path(__file__).parent
KERNELS: list = []  # all of this port
KEPT = 4  # folders of machine code, each of a few megabytes
SPIN = "GOMP_SPINCOUNT", "10000"  # how often a thread looks for new work before it sleeps, some ten microseconds


def _start_threads():
    """Numba's threads, started with another default: OpenMP's own is to look for milliseconds, which on a busy machine makes all wait."""
    if not {SPIN[0], "OMP_WAIT_POLICY"} & {*os.environ}:
        os.environ[SPIN[0]] = SPIN[1]
        numba.get_num_threads()
        del os.environ[SPIN[0]]


_start_threads()
_threads = numba.get_num_threads()


def threads():
    """How many threads the kernels use: ``NUMBA_NUM_THREADS``, or all processors, until ``set_threads``."""
    return _threads


def set_threads(count):
    """Use ``count`` threads, at least 1 and at most as many as Numba started with.  ValueError beyond."""
    global _threads
    if not 1 <= count <= numba.config.NUMBA_NUM_THREADS:
        raise ValueError(f"threads must lie in 1 .. {numba.config.NUMBA_NUM_THREADS}, got {count}")
    numba.set_num_threads(count)
    _threads = count


def contiguous(array):
    """The array itself, or a copy where its memory is no C-contiguous one."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.require(array, requirements=("C", "A"))


def environment():
    """What the bits of a result depend on, beside the code and the processor; the number of threads is only told."""
    return {"threads": str(threads()), "numba": numba.__version__}


def kernel(signature):
    """A decorator: the function compiled for the argument types that ``signature`` spells."""
    return lambda function: Kernel(function, signature.split())


class Kernel:
    def __init__(self, function, words):
        self.function, self.words = function, words
        self.file = function.__module__.rpartition(".")[2]
        self.name = f"{self.file}{function.__name__}"
        self.read, self.flat, self.of_dtype = read(words), flat(words), of_dtype(words)
        self.has_parts = "prange" in function.__code__.co_names
        self.compiled = {}
        KERNELS.append(self)

    def __call__(self, *args):
        args = list(args)
        for position in self.read:
            args[position] = contiguous(args[position])
        for position in self.flat:
            args[position] = args[position].reshape(-1)
        key = self.key(None if self.of_dtype is None else args[self.of_dtype].dtype, _threads > 1)
        return (self.compiled.get(key) or self.compile(*key))(*args)

    def key(self, dtype, parallel):
        """Which machine code serves a dtype with several threads or one."""
        return None if self.of_dtype is None else dtype, self.has_parts and parallel

    def mark(self, dtype, parallel):
        """The file that says that this was compiled."""
        dtype, parallel = self.key(dtype, parallel)
        place = folder() / ("parallel" if parallel else "serial")  # in one folder either would overwrite the other
        place.mkdir(parents=True, exist_ok=True)
        return place / f"{'-'.join(filter(None, (self.name, dtype and dtype.name)))}.done"

    def compile(self, dtype, parallel):
        """The machine code for one dtype, from the cache or new."""
        mark = self.mark(dtype, parallel)
        with _cache(mark.parent), _progress.of(mark.stem.replace("-", " "), mark):
            compiled = numba.njit(cache=True, nogil=True, parallel=parallel, error_model="numpy")(self.function)
            compiled.compile(tuple(type_of(word, dtype) for word in self.words))
            compiled.disable_compile()
        self.compiled[dtype, parallel] = compiled
        return compiled


@functools.cache
def folder():
    """Where machine code is kept: below ``NUMBA_CACHE_DIR``, this folder, or the user's cache, whichever can be written first."""
    sources = b"".join(path.name.encode() + path.read_bytes() for path in sorted((*HERE.glob("*.py"), Path(signatures.__file__))))
    processor = f"{llvmlite.binding.get_host_cpu_name()} {llvmlite.binding.get_host_cpu_features().flatten()}"
    machine = f"{numba.__version__} {numba.config.OPT} {processor}"
    name = f"kernels-{hashlib.sha256(sources + machine.encode()).hexdigest()[:16]}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diffusion-from-scratch"
    given = os.environ.get("NUMBA_CACHE_DIR")
    for parent in (Path(given),) if given else (HERE / "__pycache__", user):
        with contextlib.suppress(OSError):
            (parent / name).mkdir(parents=True, exist_ok=True)
            if os.access(parent / name, os.W_OK):
                _forget_others(parent, parent / name)
                return parent / name
    raise OSError(f"no folder can be written in which compiled kernels could be kept: set NUMBA_CACHE_DIR, {given or user} is none")


def _forget_others(parent, used):
    """Remove what other sources left behind, but for the few that were used last: another environment may share this folder."""
    with contextlib.suppress(OSError):  # another process may be at it
        os.utime(used)
        for old in sorted(parent.glob("kernels-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


class Progress:
    """Says once that kernels are compiled, and then which: on a terminal in one line that changes, elsewhere every ten seconds."""

    def __init__(self):
        self.begin, self.said, self.count = None, 0.0, 0

    @contextlib.contextmanager
    def of(self, what, mark):
        """Within: ``what`` is compiled; ``mark`` is a file that tells later processes that it was."""
        if mark.exists():
            yield
            return
        now, terminal = time.perf_counter(), sys.stderr.isatty()
        if self.begin is None:
            self.begin = self.said = now
            print("compiling the kernels that are needed, once on this machine; a whole network takes about a minute", file=sys.stderr)
        self.count += 1
        line = f"compiling {what}, the {self.count}. kernel, {now - self.begin:.0f} s"
        if terminal:
            print(f"\r{line:70}", end="", file=sys.stderr, flush=True)
        elif now - self.said >= 10:
            print(line, file=sys.stderr, flush=True)
            self.said = now
        yield
        if terminal:
            print(f"\r{'':70}\r", end="", file=sys.stderr, flush=True)
        mark.touch()


_progress = Progress()


def quiet():
    """Compile without a word."""
    _progress.begin, _progress.said = 0.0, float("inf")


@contextlib.contextmanager
def _cache(place):
    """Within: Numba keeps what it compiles there."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(place)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
