"""Products of matrices by cuBLAS, called directly because CuPy refuses to call it during the capture of a graph (graphs.py).

cuBLAS chooses the order of sums by shapes and device: one device gives the same bits at every run, but other bits for another batch size.
cuBLAS stores matrices by columns.  Ours are stored by rows, so cuBLAS sees their transposes and computes cᵀ = bᵀ aᵀ.
"""

import ctypes
import threading

import numpy as np

from accelerated.gpu.device import SIMULATED, xp

WORKSPACE = 2**25  # bytes, cuBLAS's default on Hopper GPUs; it must not allocate during capture
INT, LONG, SIZE, POINTER = ctypes.c_int, ctypes.c_longlong, ctypes.c_size_t, ctypes.c_void_p
FUNCTIONS = {
    np.dtype(np.float32): ("cublasSgemmStridedBatched", ctypes.c_float),
    np.dtype(np.float64): ("cublasDgemmStridedBatched", ctypes.c_double),
}


def product(a, b, out=None, add=False):
    """a[m,k] b[k,n] -> [m,n], or a batch, a[x,m,k] b[x,k,n] -> [x,m,n]; written to ``out``, or added to it with ``add``."""
    out = xp.empty((*a.shape[:-1], b.shape[-1]), a.dtype) if out is None else out
    if SIMULATED or not a.size:
        out[...] = xp.matmul(a, b) + out if add else xp.matmul(a, b)
    elif out.size:
        (a, *layout_a), (b, *layout_b), (_, _, *layout_out) = map(blas_layout, (a, b, out))
        name, number = FUNCTIONS[out.dtype]
        alpha, beta = ctypes.byref(number(1)), ctypes.byref(number(add))
        cublas.call(name, *gemm(a, b, out, layout_a, layout_b, layout_out, alpha, beta, lambda x: x.data.ptr))
    return out


def gemm(a, b, out, layout_a, layout_b, layout_out, alpha, beta, pointer):
    """The arguments of cublasXgemmStridedBatched after the handle.  The layouts are those of ``blas_layout``."""
    count = len(out) if out.ndim == 3 else 1
    sizes = out.shape[-1], out.shape[-2], a.shape[-1]
    matrices = pointer(b), *layout_b[1:], pointer(a), *layout_a[1:], beta, pointer(out), *layout_out
    return layout_b[0], layout_a[0], *sizes, alpha, *matrices, count


def blas_layout(x):
    """(x, or a contiguous copy of it; 1 if it is stored by columns, else 0; its leading dimension; entries from a matrix to the next)."""
    rows, columns = x.shape[-2:]
    by_row, by_column = x.strides[-2] // x.itemsize, x.strides[-1] // x.itemsize
    step = x.strides[0] // x.itemsize if x.ndim == 3 else 0
    if by_column == 1 and by_row >= columns:
        return x, 0, by_row, step
    if by_row == 1 and by_column >= rows:
        return x, 1, by_column, step
    return blas_layout(xp.ascontiguousarray(x))


class Cublas(threading.local):
    """The library, and a handle for each thread of Python."""

    library, stream = None, None

    def open(self):
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
        """Call a function of the library on CuPy's current stream."""
        if self.library is None:
            self.open()
        stream = xp.cuda.get_current_stream().ptr
        if stream != self.stream:
            _check(self.library.cublasSetStream_v2(self.handle, stream))
            _check(self.library.cublasSetWorkspace_v2(self.handle, self.workspace.data.ptr, WORKSPACE))
            self.stream = stream
        _check(getattr(self.library, name)(self.handle, *args))


cublas = Cublas()


def _check(status):
    if status:
        raise RuntimeError(f"cuBLAS failed with status {status}")
