"""How the kernels of this port are compiled, cached and called.

    @kernel("r* r* w*")
    def _silu_backward(dy, x, dx): ...

compiles at the first call with arrays of a dtype, for that dtype alone.  The words are the arguments' types (signatures.py).  Arrays that
are read may have any layout and are made C-contiguous; arrays that are written must be C-contiguous.

A kernel divides its work by ``prange`` over blocks.  Their number depends on the shapes alone, so the bits are the same for any number of
threads.  For one thread the kernel is compiled as a plain loop.  Machine code is cached in a folder named after a hash of every source file
here, since Numba doesn't notice an edited helper in another file.
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

SOURCES = Path(__file__).parent
KERNELS: list = []  # every kernel of this port whose file is imported
MAX_CACHES = 4  # folders of machine code that are kept, each of a few megabytes
SPIN_VARIABLE, SPIN_COUNT = "GOMP_SPINCOUNT", "10000"  # polls of an idle OpenMP thread before it sleeps: some ten microseconds


def _start_threads():
    """Start Numba's threads with SPIN_COUNT, unless the user has chosen: by default idle threads spin for milliseconds."""
    if not {SPIN_VARIABLE, "OMP_WAIT_POLICY"} & {*os.environ}:
        os.environ[SPIN_VARIABLE] = SPIN_COUNT
        numba.get_num_threads()  # starts the threads, which read the variable
        del os.environ[SPIN_VARIABLE]


_start_threads()
_threads = numba.get_num_threads()


def threads():
    """Number of threads of the kernels: NUMBA_NUM_THREADS, or all processors, until ``set_threads``."""
    return _threads


def set_threads(count):
    """Use ``count`` threads, at least 1 and at most as many as Numba started with.  ValueError otherwise."""
    global _threads
    if not 1 <= count <= numba.config.NUMBA_NUM_THREADS:
        raise ValueError(f"threads must lie in 1 .. {numba.config.NUMBA_NUM_THREADS}, got {count}")
    numba.set_num_threads(count)
    _threads = count


def as_contiguous(array):
    """The array itself, or an aligned C-contiguous copy if it isn't one."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.require(array, requirements=("C", "A"))


def environment():
    """For reports: Numba's version, which the bits of a result depend on, and the number of threads, which they don't."""
    return {"threads": str(threads()), "numba": numba.__version__}


def kernel(signature):
    """A decorator that makes a function a ``Kernel`` with the argument types of ``signature``."""
    return lambda function: Kernel(function, signature.split())


class Kernel:
    """A function with its machine code, ``compiled[dtype, parallel]``."""

    def __init__(self, function, words):
        self.function, self.words = function, words
        self.file = function.__module__.rpartition(".")[2]
        self.name = f"{self.file}{function.__name__}"
        self.read_positions, self.flat_positions, self.dtype_position = read(words), flat(words), of_dtype(words)
        self.has_prange = "prange" in function.__code__.co_names
        self.compiled = {}
        KERNELS.append(self)

    def __call__(self, *args):
        args = list(args)
        for position in self.read_positions:
            args[position] = as_contiguous(args[position])
        for position in self.flat_positions:
            args[position] = args[position].reshape(-1)
        key = self.key(None if self.dtype_position is None else args[self.dtype_position].dtype, _threads > 1)
        return (self.compiled.get(key) or self.compile(*key))(*args)

    def key(self, dtype, parallel):
        """The key of ``compiled`` for a dtype, with several threads or one."""
        return None if self.dtype_position is None else dtype, self.has_prange and parallel

    def stamp_file(self, dtype, parallel):
        """A file that exists once the kernel has been compiled for this dtype and kind."""
        dtype, parallel = self.key(dtype, parallel)
        parent = cache_folder() / ("parallel" if parallel else "serial")  # Numba gives both kinds the same file names
        parent.mkdir(parents=True, exist_ok=True)
        return parent / f"{'-'.join(filter(None, (self.name, dtype and dtype.name)))}.done"

    def compile(self, dtype, parallel):
        """The machine code for one dtype, from the cache or new."""
        stamp = self.stamp_file(dtype, parallel)
        with _numba_cache_in(stamp.parent), _progress.of(stamp.stem.replace("-", " "), stamp):
            compiled = numba.njit(cache=True, nogil=True, parallel=parallel, error_model="numpy")(self.function)
            compiled.compile(tuple(type_of(word, dtype) for word in self.words))
            compiled.disable_compile()
        self.compiled[dtype, parallel] = compiled
        return compiled


@functools.cache
def cache_folder():
    """The folder for machine code: in NUMBA_CACHE_DIR if that is set; else here or in the user's cache, the first that is writable."""
    sources = b"".join(path.name.encode() + path.read_bytes() for path in sorted((*SOURCES.glob("*.py"), Path(signatures.__file__))))
    processor = f"{llvmlite.binding.get_host_cpu_name()} {llvmlite.binding.get_host_cpu_features().flatten()}"
    machine = f"{numba.__version__} {numba.config.OPT} {processor}"
    name = f"kernels-{hashlib.sha256(sources + machine.encode()).hexdigest()[:16]}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diffusion-from-scratch"
    given = os.environ.get("NUMBA_CACHE_DIR")
    for parent in (Path(given),) if given else (SOURCES / "__pycache__", user):
        with contextlib.suppress(OSError):
            (parent / name).mkdir(parents=True, exist_ok=True)
            if os.access(parent / name, os.W_OK):
                _prune_caches(parent, parent / name)
                return parent / name
    raise OSError(f"cannot write compiled kernels to {given or user}; set NUMBA_CACHE_DIR to a writable folder")


def _prune_caches(parent, used):
    """Keep the MAX_CACHES folders that were used last, and remove the others: another environment may share the parent folder."""
    with contextlib.suppress(OSError):  # another process may be removing them
        os.utime(used)
        for old in sorted(parent.glob("kernels-*"), key=lambda path: path.stat().st_mtime)[:-MAX_CACHES]:
            shutil.rmtree(old, ignore_errors=True)


class Progress:
    """Reports kernels as they are compiled: on a terminal in one line that changes, elsewhere in a line every ten seconds.

    ``reference.runs.progress`` iterates over a known number of items; how many kernels a program compiles is not known beforehand.
    """

    def __init__(self):
        self.begin, self.printed, self.count = None, 0.0, 0

    @contextlib.contextmanager
    def of(self, name, stamp):
        """Reports that kernel ``name`` is compiled inside of the context, unless its stamp file exists; creates the file at the end."""
        if stamp.exists():
            yield
            return
        now, terminal = time.perf_counter(), sys.stderr.isatty()
        if self.begin is None:
            self.begin = self.printed = now
            print("compiling kernels at first use, once on this machine; a whole network takes about a minute", file=sys.stderr)
        self.count += 1
        line = f"compiling {name}, kernel {self.count}, {now - self.begin:.0f} s"
        if terminal:
            print(f"\r{line:70}", end="", file=sys.stderr, flush=True)
        elif now - self.printed >= 10:
            print(line, file=sys.stderr, flush=True)
            self.printed = now
        yield
        if terminal:
            print(f"\r{'':70}\r", end="", file=sys.stderr, flush=True)
        stamp.touch()


_progress = Progress()


def silence_progress():
    """Compile without reports."""
    _progress.begin, _progress.printed = 0.0, float("inf")


@contextlib.contextmanager
def _numba_cache_in(folder):
    """Inside of the context, Numba caches what it compiles in ``folder``."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
