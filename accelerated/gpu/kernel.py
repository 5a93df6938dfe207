"""How the kernels of this port are written, compiled and launched.

    @kernel("r* w*")
    def _silu(x, y):
        i = index()
        if i < y.size:
            y[i] = x[i] / (x.dtype.type(1) + math.exp(-x[i]))

    _silu[y.size](x, y)                  # at least so many threads
    _softmax.blocks(rows)(x, y)          # so many blocks

The words are those of signatures.py; all arrays are laid out as one axis, and every kernel knows their sizes.  Numba compiles a kernel for
a dtype at its first launch.  CuPy launches it, in a fifth of the time that Numba's own launch takes, and on its current stream, to which
its products of matrices go, too: nothing has to wait.

Constants must have the arrays' dtype, ``x.dtype.type(1)``: a plain 1.0, or a division of whole numbers, makes float64 of all it meets,
which most devices compute 64 times more slowly.  Indices are int64.  The compile lane (benchmarks/kernels.py) looks for either.

Blocks have a power of two threads, for sums by halves: 256 by default, eight warps, of which the registers of every device since 2016 hold
eight blocks.  ``shared`` says how many numbers of the dtype a block shares for each of its threads: in the kernel ``shared(x)``.
"""

import importlib
import re
import warnings
from typing import Any

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
        compiled(blocks, _threads, self.shared * _threads * dtype.itemsize, args)

    def compile(self, dtype):
        """What launches it: a function of blocks, threads in one, bytes that these share, and arguments."""
        prepare = self.simulated if SIMULATED else self.loaded
        self.compiled[dtype] = launch = prepare(dtype)
        return launch

    def simulated(self, dtype):
        jitted = cuda.jit(self.function)

        def launch(blocks, threads, shared, args):
            given = [_flat(word, arg) if word[0] in "rw" else NUMBERS[word](dtype, arg) for word, arg in zip(self.words, args, strict=True)]
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # a device does not warn of overflows
                jitted[blocks, threads, 0, shared](*given)

        return launch

    def loaded(self, dtype):
        digits = xp.cuda.Device().compute_capability
        function = load(*self.ptx(dtype, (int(digits[:-1]), int(digits[-1]))))

        def launch(blocks, threads, shared, args):
            function((blocks,), (threads,), self.arguments(dtype, args), shared)

        return launch

    def arguments(self, dtype, args):
        """As machine code takes them, one after the other."""
        given: list = []
        for word, arg in zip(self.words, args, strict=True):
            given += _struct(word, arg) if word[0] in "rw" else (NUMBERS[word](dtype, arg),)
        return tuple(given)

    def types(self, dtype):
        """Numba's types of the arguments."""
        return tuple(type_of(word, dtype).copy(readonly=False) if word[0] in "rw" else type_of(word, dtype) for word in self.words)

    def ptx(self, dtype, capability):
        """(PTX for devices of that capability (major, minor), "sm_90" for (9, 0))."""
        return cuda.compile_ptx(self.function, self.types(dtype), cc=capability)[0], "sm_{}{}".format(*capability)


def load(ptx, arch):
    """The kernel of some PTX, as CuPy launches it."""
    module = xp.cuda.function.Module()
    module.load(link(ptx, arch)[0])
    return module.get_function(re.findall(r"\.entry (\w+)", ptx)[0])


def link(ptx, arch):
    """(machine code, what nvJitLink says of it): a driver by itself refuses PTX that is newer than it is."""
    nvjitlink: Any = importlib.import_module("cuda.bindings.nvjitlink")
    code, link = ptx.encode(), nvjitlink.create(3, [f"-arch={arch}", "-verbose", "-O3"])
    nvjitlink.add_data(link, nvjitlink.InputType.PTX, code, len(code), "kernel")
    nvjitlink.complete(link)
    cubin, log = bytearray(nvjitlink.get_linked_cubin_size(link)), bytearray(nvjitlink.get_info_log_size(link))
    nvjitlink.get_linked_cubin(link, cubin)
    nvjitlink.get_info_log(link, log)
    nvjitlink.destroy(link)
    return bytes(cubin), log.decode()


NUMBERS: dict = {
    "s": lambda dtype, value: dtype.type(value),
    "i": lambda dtype, value: int(value),
    "d": lambda dtype, value: float(value),
    "b": lambda dtype, value: np.bool_(value),
}


def _contiguous(word, array):
    if array.flags.c_contiguous:
        return array
    if word[0] == "w":
        raise ValueError("an array that a kernel writes to must be contiguous")
    return xp.ascontiguousarray(array)


def _flat(word, array):
    return _contiguous(word, array).array.reshape(-1)


def _struct(word, array):
    """As Numba takes an array of one axis: two pointers of its own, the size, an element's bytes, the numbers, shape and strides."""
    array = _contiguous(word, array)
    size, each = array.size, array.itemsize
    return 0, 0, size, each, array, size, each


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
