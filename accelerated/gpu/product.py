"""Products of matrices by cuBLAS itself, since CuPy refuses to call it while a graph is recorded (replay.py).

cuBLAS chooses how to sum by the shapes and the device: the same bits on every run of one device, other ones for another batch.  It reads
matrices column by column, and so takes ours, which lie row by row, for their transposes: c' = b' a'.
"""

import ctypes
import threading

import numpy as np

from accelerated.gpu.device import SIMULATED, xp

WORKSPACE = 2**25  # bytes, as cuBLAS would have them on a Hopper: while a graph is recorded it must not ask for any
INT, LONG, SIZE, POINTER = ctypes.c_int, ctypes.c_longlong, ctypes.c_size_t, ctypes.c_void_p
FUNCTIONS = {
    np.dtype(np.float32): ("cublasSgemmStridedBatched", ctypes.c_float),
    np.dtype(np.float64): ("cublasDgemmStridedBatched", ctypes.c_double),
}


def product(a, b, out=None, add=False):
    """a[m,k] b[k,n] -> [m,n], or of as many as there are, [x,m,k] [x,k,n] -> [x,m,n]; into ``out``, or added to what is there."""
    out = xp.empty((*a.shape[:-1], b.shape[-1]), a.dtype) if out is None else out
    if SIMULATED or not a.size:
        out[...] = xp.matmul(a, b) + out if add else xp.matmul(a, b)
    elif out.size:
        (a, *of_a), (b, *of_b), (_, _, *of_out) = map(readable, (a, b, out))
        name, number = FUNCTIONS[out.dtype]
        one, factor = ctypes.byref(number(1)), ctypes.byref(number(add))
        cublas.call(name, *gemm(a, b, out, of_a, of_b, of_out, one, factor, lambda x: x.data.ptr))
    return out


def gemm(a, b, out, of_a, of_b, of_out, one, factor, pointer):
    """The arguments of cuBLAS's function behind the handle.  ``of_a``: as ``readable`` says."""
    count = len(out) if out.ndim == 3 else 1
    sizes = out.shape[-1], out.shape[-2], a.shape[-1]
    matrices = pointer(b), *of_b[1:], pointer(a), *of_a[1:], factor, pointer(out), *of_out
    return of_b[0], of_a[0], *sizes, one, *matrices, count


def readable(x):
    """x, or a copy of it; whether it lies by columns; numbers from a row, or column, to the next, and from a matrix to the next."""
    rows, columns = x.shape[-2:]
    by_row, by_column = x.strides[-2] // x.itemsize, x.strides[-1] // x.itemsize
    step = x.strides[0] // x.itemsize if x.ndim == 3 else 0
    if by_column == 1 and by_row >= columns:
        return x, 0, by_row, step
    if by_row == 1 and by_column >= rows:
        return x, 1, by_column, step
    return readable(xp.ascontiguousarray(x))


class Cublas(threading.local):
    """The library, and for each thread a handle."""

    library, stream = None, None

    def load(self):
        from cuda import pathfinder

        self.library = library = ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
        matrix = POINTER, INT, LONG
        for name, _ in FUNCTIONS.values():
            getattr(library, name).argtypes = [POINTER, *[INT] * 5, POINTER, *matrix, *matrix, POINTER, *matrix, INT]
        library.cublasCreate_v2.argtypes = [POINTER]
        library.cublasSetStream_v2.argtypes = [POINTER, POINTER]
        library.cublasSetWorkspace_v2.argtypes = [POINTER, POINTER, SIZE]
        self.handle, self.workspace = POINTER(), xp.empty(WORKSPACE, np.uint8)
        _check(library.cublasCreate_v2(ctypes.byref(self.handle)))

    def call(self, name, *args):
        """On CuPy's current stream."""
        if self.library is None:
            self.load()
        stream = xp.cuda.get_current_stream().ptr
        if stream != self.stream:
            _check(self.library.cublasSetStream_v2(self.handle, stream))
            _check(self.library.cublasSetWorkspace_v2(self.handle, self.workspace.data.ptr, WORKSPACE))
            self.stream = stream
        _check(getattr(self.library, name)(self.handle, *args))


cublas = Cublas()


def _check(status):
    if status:
        raise RuntimeError(f"cuBLAS refuses with status {status}")
