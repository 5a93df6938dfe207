"""Adam, the exponential moving average of parameters, and the norm of a gradient: formulas as in reference/ops/optimizer.py."""

import math

import numpy as np
from numba import njit, prange

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.contiguous import dot
from accelerated.cpu.elementary import FUSED
from accelerated.cpu.kernel import as_contiguous, kernel
from reference.ops.checks import check, takes_out
from reference.ops.optimizer import check_adam, check_list, scalar


def _writable(*targets):
    """Contiguous arrays for a kernel to write to: the targets themselves, or copies of the targets that aren't contiguous."""
    if not all(target.flags.writeable for target in targets):
        raise ValueError("assignment destination is read-only")
    return [as_contiguous(target) for target in targets]


def _write_back(targets, results):
    """Copy the kernel's results to the targets that the kernel wrote copies of."""
    for target, result in zip(targets, results):
        if result is not target:
            target[...] = result


def adam_step_(p, g, m, v, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """p[...], g[...], m[...], v[...]: one step of Adam on p, m and v in place.  ``step`` counts from 1."""
    step, lr, beta1, beta2, eps = check_adam(p, g, m, v, step, lr, beta1, beta2, eps)
    targets = _writable(p, m, v)
    _adam(*targets, g, beta1, 1 - beta1, beta2, 1 - beta2, float(lr) / (1 - beta1**step), 1 / (1 - beta2**step), eps)
    _write_back((p, m, v), targets)


@kernel("w* w* w* r* s s s s s s s")
def _adam(p, m, v, g, beta1, rest1, beta2, rest2, lr, correction, eps):
    for block in prange(block_count(p.size)):
        begin, end = span(block, p.size)
        _adam_part(p[begin:end], m[begin:end], v[begin:end], g[begin:end], beta1, rest1, beta2, rest2, lr, correction, eps)


@njit(fastmath=FUSED)
def _adam_part(p, m, v, g, beta1, rest1, beta2, rest2, lr, correction, eps):
    for i in range(len(p)):
        first = beta1 * m[i] + rest1 * g[i]
        second = beta2 * v[i] + rest2 * (g[i] * g[i])
        m[i] = first
        v[i] = second
        p[i] -= lr * first / (np.sqrt(second * correction) + eps)


def ema_step_(average, p, decay):
    """average[...] = decay average + (1 - decay) p, in place."""
    check("average[...] p[...]", average, p)
    decay = scalar("decay", decay, average)
    targets = _writable(average)
    _ema(*targets, p, decay, 1 - decay)
    _write_back([average], targets)


@kernel("w* r* s s")
def _ema(average, p, decay, rest):
    for block in prange(block_count(p.size)):
        begin, end = span(block, p.size)
        _ema_part(average[begin:end], p[begin:end], decay, rest)


@njit(fastmath=FUSED)
def _ema_part(average, p, decay, rest):
    for i in range(len(p)):
        average[i] = decay * average[i] + rest * p[i]


@takes_out
def global_norm(arrays):
    """The Euclidean norm of all entries of a list of arrays together, in their dtype."""
    check_list(arrays)
    return arrays[0].dtype.type(math.sqrt(sum(_sum_of_squares(array) for array in arrays)))


@kernel("r*")
def _sum_of_squares(x):
    """The sum within a block in x's dtype, over the blocks in float64."""
    parts = np.empty(block_count(x.size))
    for block in prange(len(parts)):
        begin, end = span(block, x.size)
        parts[block] = dot(x[begin:end], x[begin:end])
    return _ordered_sum(parts)


@njit
def _ordered_sum(parts):
    """The sum from the first part to the last."""
    total = 0.0
    for part in parts:
        total += part
    return total
