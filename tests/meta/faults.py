"""Ops with a fault: a port that has one of them, and the reference's otherwise, must be refused."""

import threading

import numpy as np

from reference import ops


def in_precision(function, dtype):
    """The op on arrays that went through another precision."""
    through = lambda a: a.astype(dtype).astype(a.dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a

    def op(*args, **kwargs):
        results = function(*map(through, args), **kwargs)
        return tuple(map(through, results)) if isinstance(results, tuple) else through(results)

    return op


def transposed_weight_gradient(dy, x, w, out=None):
    dx, dw, db = ops.linear_backward(dy, x, w)
    return dx, np.ascontiguousarray(dw.T).reshape(dw.shape), db


def missing_bias_gradient(dy, x, w, stride=1, add=None, out=None):
    dx, dw, db, dadd = ops.conv2d_backward(dy, x, w, stride, add)
    return dx, dw, np.zeros_like(db), dadd


def unbiased_variance(x, scale, shift, groups, eps=1e-5, out=None):
    entries = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    mean, n = entries.mean(axis=(1, 3)), entries.shape[1] * entries.shape[3]
    rstd = (1 / np.sqrt(entries.var(axis=(1, 3)) * (n / max(n - 1, 1)) + eps)).astype(x.dtype)
    return ((entries - mean[:, None, :, None]) * rstd[:, None, :, None]).reshape(x.shape) * scale + shift, mean, rstd


def wrong_eps(x, scale, shift, groups, eps=1e-5, out=None):
    return ops.group_norm(x, scale, shift, groups, 1e-6)


def padding_off_by_one(x, w, b, stride=1, add=None, out=None):
    return ops.conv2d(np.roll(x, 1, axis=1) if len(w) == 3 else x, w, b, stride, add)


def stride_2_edge(x, w, b, stride=1, add=None, out=None):
    """The last row of an odd height is never reached: nothing is written there, and of a single row nothing can be."""
    y = ops.conv2d(x, w, b, stride, add)
    if stride == 2 and x.shape[1] == 1:
        raise IndexError("an image of one row")
    if stride == 2 and x.shape[1] % 2:
        y[:, -1] = 0
    return y


def noise_of_the_batch(seed, sample, step, purpose, shape, dtype=np.float64, out=None):
    return ops.normal(seed, np.arange(len(sample)), step, purpose, shape, dtype)


buffers = {}


def buffer_handed_out_twice(x, out=None):
    y = ops.silu(x)
    buffer = buffers.setdefault((y.shape, y.dtype), np.empty_like(y))
    buffer[...] = y
    return buffer


def element_never_written(x, y, out=None):
    z = np.full((*x.shape[:-1], x.shape[-1] + y.shape[-1]), np.nan, x.dtype)
    z[...] = ops.concat(x, y)
    z[..., -1:] = z[..., -1:] if z.size < 8 else np.nan
    return z


def race(dy, x, w, out=None):
    """Two threads add their halves to dw: both read it before either writes."""
    dx, dw, db = ops.linear_backward(dy, x, w)
    dw, both_have_read = np.zeros_like(dw), threading.Barrier(2)

    def add(half):
        old = dw.copy()
        both_have_read.wait()
        dw[...] = old + half

    threads = [threading.Thread(target=add, args=(x[part].T @ dy[part],)) for part in (slice(None, None, 2), slice(1, None, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dx, dw, db


FAULTS = {
    "transposed weight gradient": ("linear_backward", transposed_weight_gradient),
    "missing bias gradient": ("conv2d_backward", missing_bias_gradient),
    "unbiased variance": ("group_norm", unbiased_variance),
    "wrong eps": ("group_norm", wrong_eps),
    "padding off by one": ("conv2d", padding_off_by_one),
    "stride 2 edge": ("conv2d", stride_2_edge),
    "float64 that is float32 inside": ("softmax", in_precision(ops.softmax, np.float32)),
    "gradients in half precision": ("attention_backward", in_precision(ops.attention_backward, np.float16)),
    "noise that depends on the batch": ("normal", noise_of_the_batch),
    "buffer handed out twice": ("silu", buffer_handed_out_twice),
    "element never written": ("concat", element_never_written),
    "race": ("linear_backward", race),
}
