"""How the kernels of this port are written, compiled and launched.

    @kernel("r* w*")
    def _silu(x, y):
        i = thread_index()
        if i < y.size:
            y[i] = x[i] / (x.dtype.type(1) + math.exp(-x[i]))

    _silu[y.size](x, y)                  # blocks for at least that many threads
    _softmax.blocks(rows)(x, y)          # that many blocks

accelerated/signatures.py explains "r* w*".  A kernel sees each array as one axis with its size.  Numba compiles a kernel for a dtype at its
first launch.  CuPy launches it on its current stream, in a fifth of the time of Numba's own launch.  The products of matrices go to the
same stream, so no launch has to wait for another stream.

Constants must have the dtype of the arrays, ``x.dtype.type(1)``.  A plain 1.0, or a division of integers, is float64, and so is every
result of it; most devices compute float64 64 times more slowly.  Indices are int64.  ``python -m benchmarks kernels`` finds float64.

Blocks have a power of two threads, for sums by halves: 256 by default, that is eight warps; the registers of every device since 2016 have
room for eight such blocks.  ``shared`` is the number of entries of shared memory per thread; a kernel gets them by
``cuda.shared.array(0, x.dtype)``.
"""

import importlib
import re
from typing import Any

import numpy as np

from accelerated.gpu.device import SIMULATED, cuda, xp
from accelerated.signatures import DTYPES, of_dtype, type_of

KERNELS: list = []  # all kernels of this port
DEVICE_FUNCTIONS: list = []  # all functions that kernels call
_block_size = 8 if SIMULATED else 256  # a thread of the simulator takes a millisecond


def set_block_size(threads):
    """Set the threads per block: a power of two, up to 1024."""
    global _block_size
    if threads not in [2**k for k in range(11)]:
        raise ValueError(f"a block must have a power of two threads, 1 to 1024, got {threads}")
    _block_size = threads


def block_size():
    """Threads per block."""
    return _block_size


def threads_per_row(n):
    """The threads of a block that share a row of n neighbouring entries: the power of two that covers n, at most the block."""
    return min(_block_size, 1 << (n - 1).bit_length())


def kernel(signature, shared=0, dtypes=tuple(DTYPES)):
    """A decorator: a kernel with arguments of these types.  ``dtypes``: the dtypes of its launches."""
    return lambda function: Kernel(function, signature.split(), shared, dtypes)


class Kernel:
    """A kernel and its machine code for each dtype."""

    def __init__(self, function, signature, shared, dtypes):
        self.function, self.signature, self.shared, self.dtypes = function, signature, shared, dtypes
        self.name = f"{function.__module__.rpartition('.')[2]}{function.__name__}"
        self.of_dtype, self.launchers = of_dtype(signature), {}
        KERNELS.append(self)

    def __getitem__(self, threads):
        """The function of the arguments that launches blocks for at least that many threads."""
        return self.blocks(-(-threads // _block_size))

    def blocks(self, count):
        """The function of the arguments that launches that many blocks."""
        return lambda *args: self.launch(count, args)

    def launch(self, blocks, args):
        """Launch that many blocks, compiled for the dtype of the arguments."""
        if blocks == 0:
            return
        dtype = np.dtype(np.float32) if self.of_dtype is None else args[self.of_dtype].dtype
        launcher = self.launchers.get(dtype) or self.compile(dtype)
        launcher(blocks, _block_size, self.shared * _block_size * dtype.itemsize, args)

    def compile(self, dtype):
        """The launcher for a dtype: a function (blocks, threads per block, bytes of shared memory per block, arguments)."""
        if SIMULATED:
            from accelerated.gpu.simulator.launch import launcher
        else:
            launcher = Kernel.launcher
        self.launchers[dtype] = launcher(self, dtype)
        return self.launchers[dtype]

    def launcher(self, dtype):
        """What ``compile`` returns for a device: Numba compiles the kernel to PTX, CuPy launches it."""
        digits = xp.cuda.Device().compute_capability
        function = load_ptx(*self.ptx(dtype, (int(digits[:-1]), int(digits[-1]))))

        def launch(blocks, threads, shared, args):
            function((blocks,), (threads,), self.parameters(dtype, args), shared)

        return launch

    def parameters(self, dtype, args):
        """The parameters of the compiled kernel for these arguments: seven for an array, one for a number."""
        parameters: list = []
        for letter, arg in zip(self.signature, args, strict=True):
            parameters += _array_parameters(letter, arg) if letter[0] in "rw" else (SCALARS[letter](dtype, arg),)
        return tuple(parameters)

    def types(self, dtype):
        """Numba's types of the arguments."""
        types = [type_of(letter, dtype) for letter in self.signature]
        return tuple(kind.copy(readonly=False) if letter[0] in "rw" else kind for letter, kind in zip(self.signature, types))

    def ptx(self, dtype, capability):
        """(PTX for devices of that compute capability (major, minor), the name of their architecture: "sm_90" for (9, 0))."""
        return cuda.compile_ptx(self.function, self.types(dtype), cc=capability)[0], "sm_{}{}".format(*capability)


def load_ptx(ptx, arch):
    """CuPy's function of the kernel in some PTX."""
    module = xp.cuda.function.Module()
    module.load(link(ptx, arch)[0])
    return module.get_function(re.findall(r"\.entry (\w+)", ptx)[0])


def link(ptx, arch):
    """(machine code, log) of nvJitLink.  The driver alone refuses PTX of a newer CUDA than its own."""
    nvjitlink: Any = importlib.import_module("cuda.bindings.nvjitlink")
    code, link = ptx.encode(), nvjitlink.create(3, [f"-arch={arch}", "-verbose", "-O3"])
    nvjitlink.add_data(link, nvjitlink.InputType.PTX, code, len(code), "kernel")
    nvjitlink.complete(link)
    cubin, log = bytearray(nvjitlink.get_linked_cubin_size(link)), bytearray(nvjitlink.get_info_log_size(link))
    nvjitlink.get_linked_cubin(link, cubin)
    nvjitlink.get_info_log(link, log)
    nvjitlink.destroy(link)
    return bytes(cubin), log.decode()


SCALARS: dict = {
    "s": lambda dtype, value: dtype.type(value),
    "i": lambda dtype, value: int(value),
    "d": lambda dtype, value: float(value),
    "b": lambda dtype, value: np.bool_(value),
}


def contiguous(letter, array):
    """The array, or a contiguous copy of it if the kernel only reads it."""
    if array.flags.c_contiguous:
        return array
    if letter[0] == "w":
        raise ValueError("an array that a kernel writes to must be contiguous")
    return xp.ascontiguousarray(array)


def _array_parameters(letter, array):
    """The seven parameters that Numba's ABI passes for an array of one axis.

    Numba flattens its array structure, ``ArrayModel`` of numba-cuda's numba/cuda/datamodel/cuda_models.py, into the parameters

        meminfo, parent    pointers that serve reference counts on the host: null
        nitems, itemsize   int64: entries, bytes of an entry
        data               pointer: CuPy passes the address of an array
        shape, strides     int64 for each axis: entries, bytes from an entry to the next

    The risk: this is Numba's internal ABI, which no documentation promises.  If a release changes it, kernels read wrong parameters
    without an error.  tests/benchmarks/test_kernels.py compares number and sizes of the parameters with the compiled PTX, and every
    op is compared with the reference on a device.
    """
    array = contiguous(letter, array)
    size, itemsize = array.size, array.itemsize
    return 0, 0, size, itemsize, array, size, itemsize


def device_function(function):
    """A decorator: a function that kernels call."""
    DEVICE_FUNCTIONS.append(cuda.jit(device=True)(function))
    return DEVICE_FUNCTIONS[-1]


@device_function
def thread_index():
    """The index of this thread among all threads of the launch."""
    return np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)


@device_function
def block_sum(shared, value):
    """The sum of ``value`` over the threads of a block.  ``shared`` has an entry for each thread, as in all of these functions."""
    return row_sum(shared, value, cuda.threadIdx.x, cuda.blockDim.x)


@device_function
def block_max(shared, value):
    """The maximum of ``value`` over the threads of a block; NaN if one is NaN."""
    return row_max(shared, value, cuda.threadIdx.x, cuda.blockDim.x)


@device_function
def array_sum(shared, x):
    """The sum of the entries of an array, by one block."""
    partial = x.dtype.type(0)
    for i in range(cuda.threadIdx.x, x.size, cuda.blockDim.x):
        partial += x[i]
    return block_sum(shared, partial)


@device_function
def row_sum(shared, value, thread_in_row, row_threads):
    """The sum of ``value`` over a row of threads.  A block has one or more rows of a power of two threads.

    Halves are added pairwise: the order, and so each bit, is the same at every run.
    """
    thread = cuda.threadIdx.x
    half = row_threads // 2
    shared[thread] = value
    cuda.syncthreads()
    while half > 0:
        if thread_in_row < half:
            shared[thread] += shared[thread + half]
        cuda.syncthreads()
        half //= 2
    result = shared[thread - thread_in_row]
    cuda.syncthreads()  # before a next sum overwrites it
    return result


@device_function
def row_max(shared, value, thread_in_row, row_threads):
    """The maximum of ``value`` over a row of threads; NaN if one is NaN."""
    thread = cuda.threadIdx.x
    half = row_threads // 2
    shared[thread] = value
    cuda.syncthreads()
    while half > 0:
        if thread_in_row < half:
            other = shared[thread + half]
            if not other <= shared[thread] and shared[thread] == shared[thread]:
                shared[thread] = other
        cuda.syncthreads()
        half //= 2
    result = shared[thread - thread_in_row]
    cuda.syncthreads()
    return result
