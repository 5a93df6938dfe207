"""Adam (Kingma and Ba 2015), the moving average of parameters, and the norm of a gradient.  An op
with a name ending in ``_`` updates its arguments in place.

Adam's bias correction.  The first moment starts at m_0 = 0 and follows
m_n = beta1 m_{n-1} + (1 - beta1) g_n, so

    m_n = (1 - beta1) sum_{i=1}^n beta1^{n-i} g_i.

For gradients with mean E[g],

    E[m_n] = (1 - beta1) (1 + beta1 + ... + beta1^{n-1}) E[g] = (1 - beta1^n) E[g].

The factor 1 - beta1^n makes m_n too small; for beta1 = 0.9 it is 0.1 at the first step.  The same
holds for v with g^2 and beta2.  Hence

    m̂ = m_n / (1 - beta1^n),   v̂ = v_n / (1 - beta2^n),
    p_n = p_{n-1} - lr m̂ / (sqrt(v̂) + eps).

At n = 1 this is a step of length lr against the sign of g.
"""

from collections.abc import Sequence

import numpy as np

from reference.ops.checks import Array, Coefficient, check, per_sample, takes_out, whole


def scalar(name: str, value: Coefficient, x: Array) -> Array:
    """A number in the dtype of ``x``."""
    number = per_sample(name, value, x)
    if number.shape != ():
        raise ValueError(f"{name} must be a number, got shape {number.shape}")
    return number


def check_adam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    lr: Coefficient,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[int, Array, float, float, float]:
    """Check the arguments of ``adam_step_``, and return step, lr, beta1, beta2 and eps as numbers
    that keep the dtype of p.
    """
    check("p[...] g[...] m[...] v[...]", p, g, m, v)
    rate = scalar("lr", lr, p)
    step = whole("step", step)
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step}")
    # NumPy would compute float32 arrays with a np.float64 scalar in float64
    beta1, beta2, eps = float(beta1), float(beta2), float(eps)
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps >= 0):
        raise ValueError(
            "beta1 and beta2 must lie in [0, 1) and eps must not be negative,"
            f" got {beta1}, {beta2}, {eps}"
        )
    return step, rate, beta1, beta2, eps


def adam_step_(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    lr: Coefficient,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> None:
    """p[...], g[...], m[...], v[...]: one step of Adam on p, m and v in place.  ``step`` counts
    from 1.
    """
    step, lr, beta1, beta2, eps = check_adam(p, g, m, v, step, lr, beta1, beta2, eps)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * (g * g)
    m_hat = m / p.dtype.type(1 - beta1**step)
    v_hat = v / p.dtype.type(1 - beta2**step)
    p[...] -= lr * m_hat / (np.sqrt(v_hat) + eps)


def ema_step_(average: Array, p: Array, decay: Coefficient) -> None:
    """average[...], p[...]: average = decay average + (1 - decay) p, in place.

    With a constant decay the first average keeps weight for about 1 / (1 - decay) steps;
    ``training.ema_decay`` gives a sequence of decays that avoids this.
    """
    check("average[...] p[...]", average, p)
    decay = scalar("decay", decay, average)
    average[...] = decay * average + (1 - decay) * p


def check_list(arrays: Sequence[Array]) -> None:
    """Check the argument of ``global_norm``."""
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"arrays must be a list of arrays, got {type(arrays).__name__}")
    if not arrays:
        raise ValueError("arrays must hold at least one array")
    for array in arrays:
        check("arrays[...]", array)
        if array.dtype != arrays[0].dtype:
            raise TypeError(f"arrays must be {arrays[0].dtype} like the first, got {array.dtype}")


@takes_out
def global_norm(arrays: Sequence[Array]) -> Array:
    """The Euclidean norm of all entries of a list of arrays together, in their dtype.  It is
    infinite if it would exceed 1.8e19 (float32) or 1.3e154 (float64).
    """
    check_list(arrays)
    norm: Array = np.sqrt(sum((array * array).sum() for array in arrays))
    return norm
