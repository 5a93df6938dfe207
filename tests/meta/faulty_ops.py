"""Faulty ops: a port with one of them, and otherwise the ops of the reference, must fail the conformance tests.

FAULTS are wrong at any size, FAULTS_AT_LARGE_SIZES only beyond a certain size.
"""

import threading

import numpy as np

from reference import ops


def rounded_to(function, dtype):
    """The op with its arguments and results rounded to another precision."""
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
    """The last row of an odd height is never written; an image of a single row is an error."""
    y = ops.conv2d(x, w, b, stride, add)
    if stride == 2 and x.shape[1] == 1:
        raise IndexError("an image of one row")
    if stride == 2 and x.shape[1] % 2:
        y[:, -1] = 0
    return y


def attention_without_mask(q, k, v, heads, mask=None, out=None):
    return ops.attention(q, k, v, heads)


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
    """Two threads add their halves to dw; both read dw before either writes."""
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
    "float64 that is float32 inside": ("softmax", rounded_to(ops.softmax, np.float32)),
    "gradients in half precision": ("attention_backward", rounded_to(ops.attention_backward, np.float16)),
    "a mask that is ignored": ("attention", attention_without_mask),
    "noise that depends on the batch": ("normal", noise_of_the_batch),
    "buffer handed out twice": ("silu", buffer_handed_out_twice),
    "element never written": ("concat", element_never_written),
    "race": ("linear_backward", race),
}


def off_by_one(name, index):
    """(name, op): the op with 1 added to its first result at ``index(result, *arguments)``."""

    def op(*args, **kwargs):
        results = getattr(ops, name)(*args, **kwargs)
        result = args[0] if results is None else results[0] if isinstance(results, tuple) else results
        result[index(result, *args)] += 1
        return results

    return name, op


def entries_from(n):
    return lambda result, *_: np.arange(result.size).reshape(result.shape) >= n


def places_from(n, axis):
    return lambda result, *_: (*[slice(None)] * axis, slice(n, None))


def if_condition(condition):
    return lambda result, *args: slice(None) if condition(*args) else slice(0)


def norm_of_the_first_arrays(arrays, out=None):
    return ops.global_norm(arrays[:1024])


FAULTS_AT_LARGE_SIZES = {
    "linear beyond 65,535 rows": off_by_one("linear", places_from(65_535, 0)),
    "linear beyond column 4,095": off_by_one("linear", places_from(4096, 1)),
    "linear of more than 1,024 terms": off_by_one("linear", if_condition(lambda x, *_: x.shape[1] > 1024)),
    "linear_backward beyond 65,535 rows": off_by_one("linear_backward", places_from(65_535, 0)),
    "conv2d of more than 64 channels": off_by_one("conv2d", if_condition(lambda x, *_: x.shape[3] > 64)),
    "conv2d beyond channel 127": off_by_one("conv2d", places_from(128, 3)),
    "conv2d beyond 65,535 samples": off_by_one("conv2d", places_from(65_535, 0)),
    "conv2d_backward beyond row 255": off_by_one("conv2d_backward", places_from(256, 1)),
    "group_norm of more than 4,096 pixels": off_by_one("group_norm", if_condition(lambda x, *_: x[0, ..., 0].size > 4096)),
    "group_norm of more than 1,024 groups": off_by_one("group_norm", if_condition(lambda x, scale, shift, groups, *_: groups > 1024)),
    "group_norm_backward of more than 64 channels a group": off_by_one(
        "group_norm_backward", if_condition(lambda dy, x, scale, shift, groups, *_: x.shape[-1] // groups > 64)
    ),
    "group_norm_silu beyond 65,535 samples": off_by_one("group_norm_silu", places_from(65_535, 0)),
    "group_norm_silu_backward beyond row 255": off_by_one("group_norm_silu_backward", lambda dx, *_: (slice(None), slice(256, None))),
    "silu from entry 65,536 on": off_by_one("silu", entries_from(65_536)),
    "silu_backward from entry 65,536 on": off_by_one("silu_backward", entries_from(65_536)),
    "silu_second from entry 65,536 on": off_by_one("silu_second", entries_from(65_536)),
    "softmax beyond 65,535 rows": off_by_one("softmax", places_from(65_535, 0)),
    "softmax of more than 1,024 entries": off_by_one("softmax", if_condition(lambda x: x.shape[-1] > 1024)),
    "attention beyond query 127": off_by_one("attention", places_from(128, 1)),
    "attention of more than 128 keys": off_by_one("attention", if_condition(lambda q, k, *_: k.shape[1] > 128)),
    "attention of more than 128 heads": off_by_one("attention", if_condition(lambda q, k, v, heads, *_: heads > 128)),
    "attention_backward of heads wider than 64": off_by_one(
        "attention_backward", if_condition(lambda dy, q, k, v, heads, *_: q.shape[2] > 64 * heads)
    ),
    "upsample_nearest beyond row 65,535": off_by_one("upsample_nearest", places_from(65_536, 1)),
    "average_pool beyond 65,535 samples": off_by_one("average_pool", places_from(65_535, 0)),
    "concat beyond channel 1,023": off_by_one("concat", lambda z, *_: (..., slice(1024, None))),
    "concat_backward beyond 65,535 samples": off_by_one("concat_backward", places_from(65_535, 0)),
    "timestep_embedding beyond 65,535 samples": off_by_one("timestep_embedding", places_from(65_535, 0)),
    "embedding of labels beyond 65,535": off_by_one("embedding", lambda y, labels, table: labels > 65_535),
    "embedding_backward of more than 4,096 labels": off_by_one("embedding_backward", if_condition(lambda dy, *_: len(dy) > 4096)),
    "mse_backward from entry 65,536 on": off_by_one("mse_backward", entries_from(65_536)),
    "gaussian_kl beyond 65,535 samples": off_by_one("gaussian_kl", places_from(65_535, 0)),
    "cross_entropy_backward beyond 65,535 samples": off_by_one("cross_entropy_backward", places_from(65_535, 0)),
    "cross_entropy_backward of more than 1,024 classes": off_by_one(
        "cross_entropy_backward", if_condition(lambda d, logits, *_: logits.shape[1] > 1024)
    ),
    "adam_step_ from entry 65,536 on": off_by_one("adam_step_", entries_from(65_536)),
    "ema_step_ from entry 65,536 on": off_by_one("ema_step_", entries_from(65_536)),
    "global_norm of more than 1,024 arrays": ("global_norm", norm_of_the_first_arrays),
    "philox_bits beyond block 65,535": off_by_one("philox_bits", places_from(4 * 65_536, 1)),
    "normal beyond block 65,535": off_by_one("normal", places_from(4 * 65_536, 1)),
    "uniform beyond 65,535 samples": off_by_one("uniform", places_from(65_535, 0)),
    "mixture_log_density beyond 65,535 points": off_by_one("mixture_log_density", places_from(65_535, 0)),
    "mixture_score of more than 1,024 components": off_by_one("mixture_score", if_condition(lambda x, weights, *_: len(weights) > 1024)),
    "mixture_score of more than 64 coordinates": off_by_one("mixture_score", if_condition(lambda x, *_: x.shape[1] > 64)),
    "add_noise beyond 65,535 samples": off_by_one("add_noise", places_from(65_535, 0)),
    "reverse_step from entry 65,536 on": off_by_one("reverse_step", entries_from(65_536)),
    "fokker_planck_step of more than 1,024 cells": off_by_one("fokker_planck_step", if_condition(lambda p, *_: len(p) > 1024)),
    "fokker_planck_step_2d beyond column 255": off_by_one("fokker_planck_step_2d", places_from(256, 1)),
}
