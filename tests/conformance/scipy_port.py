"""An example of a port from outside this project: a few ops in plain SciPy.

    python -m accelerated check --port tests/conformance/scipy_port.py
    pytest tests/conformance --port tests/conformance/scipy_port.py

``check`` and ``takes_out`` are optional: they add the errors and the ``out=`` of the contract.
"""

import numpy as np
from scipy import linalg, ndimage, special

from reference.ops.checks import check, takes_out


@takes_out
def linear(x, w, b=None):
    check("x[n,i] w[i,o]", x, w) if b is None else check("x[n,i] w[i,o] b[o]", x, w, b)
    if not x.size:
        return np.zeros((len(x), w.shape[1]), x.dtype)
    (gemm,) = linalg.get_blas_funcs(("gemm",), (x, w))
    y = gemm(1, w.T, x.T).T  # BLAS is column-major
    return np.ascontiguousarray(y) if b is None else y + b


@takes_out
def upsample_nearest(x):
    check("x[b,h,w,c]", x)
    return ndimage.zoom(x, (1, 2, 2, 1), order=0, grid_mode=True, mode="nearest") if x.size else np.repeat(np.repeat(x, 2, 1), 2, 2)


@takes_out
def silu(x):
    check("x[...]", x)
    return x * special.expit(x)


@takes_out
def softmax(x):
    check("x[...,n]", x)
    if x.shape[-1] == 0:
        raise ValueError(f"x must have at least one entry on its last axis, got shape {x.shape}")
    return special.softmax(x, axis=-1)


@takes_out
def global_norm(arrays):
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"arrays must be a list of arrays, got {type(arrays).__name__}")
    for array in arrays:
        check("arrays[...]", array)
    return np.float64(linalg.norm([linalg.norm(np.ravel(array)) for array in arrays])).astype(arrays[0].dtype)
