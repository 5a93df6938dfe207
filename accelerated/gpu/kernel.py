"""How the kernels of this port are written, compiled and launched.

    @kernel("r* w*")
    def _silu(x, y):
        i = index()
        if i < y.size:
            y[i] = x[i] / (x.dtype.type(1) + math.exp(-x[i]))

    _silu[y.size](x, y)                  # at least so many threads
    _softmax.blocks(rows)(x, y)          # so many blocks

The words are those of signatures.py; all arrays are laid out as one axis, and every kernel knows their sizes.  A kernel is compiled for a
dtype at its first launch, and goes to CuPy's current stream, which is also that of its products of matrices: nothing has to wait.

Constants must have the arrays' dtype, ``x.dtype.type(1)``: a plain 1.0, or a division of whole numbers, makes float64 of all it meets,
which most devices compute 64 times more slowly.  Indices are int64.  The compile lane (benchmarks/kernels.py) looks for either.

Blocks have a power of two threads, for sums by halves: 256 by default, eight warps, of which the registers of every device since 2016 hold
eight blocks.  ``shared`` says how many numbers of the dtype a block shares for each of its threads: in the kernel ``shared(x)``.
"""

import contextlib
import warnings

import numpy as np

from accelerated.gpu.device import SIMULATED, cuda, xp
from accelerated.signatures import DTYPES, of_dtype, type_of

KERNELS: list = []  # all of this port
FUNCTIONS: list = []  # that they call
_threads = 8 if SIMULATED else 256  # a simulated thread costs a millisecond
launches = 0  # since the process began
dry = False  # whether kernels are counted and not launched


def set_block(threads):
    """How many threads a block has: a power of two, up to 1024."""
    global _threads
    if threads not in [2**k for k in range(11)]:
        raise ValueError(f"a block must have a power of two threads, 1 to 1024, got {threads}")
    _threads = threads


def block():
    """How many threads a block has."""
    return _threads


def lanes(n):
    """How many threads of a block, a power of two, take n neighbouring numbers."""
    return min(_threads, 1 << (n - 1).bit_length())


def kernel(signature, shared=0, dtypes=tuple(DTYPES)):
    """A decorator: the kernel with arguments as ``signature`` spells them.  ``dtypes``: those that it is used with."""
    return lambda function: Kernel(function, signature.split(), shared, dtypes)


class Kernel:
    def __init__(self, function, words, shared, dtypes):
        self.function, self.words, self.shared, self.dtypes = function, words, shared, dtypes
        self.name = f"{function.__module__.rpartition('.')[2]}{function.__name__}"
        self.of_dtype, self.compiled = of_dtype(words), {}
        KERNELS.append(self)

    def __getitem__(self, threads):
        """The launch of at least so many threads."""
        return self.blocks(-(-threads // _threads))

    def blocks(self, count):
        """The launch of so many blocks."""
        return lambda *args: self.launch(count, args)

    def launch(self, blocks, args):
        global launches
        if blocks == 0:
            return
        launches += 1
        if dry:
            return
        dtype = np.dtype(np.float32) if self.of_dtype is None else args[self.of_dtype].dtype
        compiled = self.compiled.get(dtype) or self.compile(dtype)
        args = [_argument(word, arg, dtype) for word, arg in zip(self.words, args, strict=True)]
        quiet = warnings.catch_warnings(action="ignore", category=RuntimeWarning)  # a device does not warn of overflows
        with quiet if SIMULATED else contextlib.nullcontext():
            compiled[blocks, _threads, _stream(), self.shared * _threads * dtype.itemsize](*args)

    def types(self, dtype):
        """Numba's types of the arguments."""
        return tuple(type_of(word, dtype).copy(readonly=False) if word[0] in "rw" else type_of(word, dtype) for word in self.words)

    def compile(self, dtype):
        compiled = cuda.jit(self.function) if SIMULATED else cuda.jit(self.types(dtype))(self.function)
        self.compiled[dtype] = compiled
        return compiled


def _argument(word, value, dtype):
    if word[0] in "rw":
        value = xp.ascontiguousarray(value) if word[0] == "r" else value
        value = value.reshape(-1)
        return value.array if SIMULATED else value
    return dtype.type(value) if word == "s" else {"i": int, "b": bool, "d": float}[word](value)


_streams: dict = {}


def _stream():
    """Numba's name for CuPy's current stream."""
    if SIMULATED:
        return 0
    pointer = xp.cuda.get_current_stream().ptr
    if pointer not in _streams:
        _streams[pointer] = cuda.external_stream(pointer)
    return _streams[pointer]


def device(function):
    """A function that kernels call."""
    if SIMULATED:
        return function
    FUNCTIONS.append(cuda.jit(device=True)(function))
    return FUNCTIONS[-1]


@device
def index():
    """This thread's number among all of the launch."""
    return np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)


@device
def total(shared, value):
    """The sum of the values of a block's threads.  ``shared``: a number for each."""
    return total_of_row(shared, value, cuda.threadIdx.x, cuda.blockDim.x)


@device
def largest(shared, value):
    """The largest of the values of a block's threads; NaN if one is."""
    return largest_of_row(shared, value, cuda.threadIdx.x, cuda.blockDim.x)


@device
def total_of_all(shared, x):
    """The sum of the numbers of an array, by one block."""
    part = x.dtype.type(0)
    for i in range(cuda.threadIdx.x, x.size, cuda.blockDim.x):
        part += x[i]
    return total(shared, part)


@device
def total_of_row(shared, value, lane, wide):
    """The sum over a row of threads, of which a block has several: lanes 0 .. wide - 1, a power of two.  By halves: the same bits."""
    thread, half = cuda.threadIdx.x, wide // 2
    shared[thread] = value
    cuda.syncthreads()
    while half > 0:
        if lane < half:
            shared[thread] += shared[thread + half]
        cuda.syncthreads()
        half //= 2
    result = shared[thread - lane]
    cuda.syncthreads()  # before a next sum overwrites it
    return result


@device
def largest_of_row(shared, value, lane, wide):
    thread, half = cuda.threadIdx.x, wide // 2
    shared[thread] = value
    cuda.syncthreads()
    while half > 0:
        if lane < half:
            other = shared[thread + half]
            if not other <= shared[thread] and shared[thread] == shared[thread]:
                shared[thread] = other
        cuda.syncthreads()
        half //= 2
    result = shared[thread - lane]
    cuda.syncthreads()
    return result
