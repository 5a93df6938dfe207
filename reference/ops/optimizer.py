"""Adam (Kingma and Ba 2015), the moving average of parameters, and the norm of a gradient.  Names
ending in ``_`` update in place.

Adam's bias correction.  The first moment starts at m_0 = 0 and follows m_n = beta1 m_(n-1) + (1 -
beta1) g_n, so

    m_n = (1 - beta1) sum_{i=1}^n beta1^(n-i) g_i.

For gradients of mean E[g], E[m_n] = (1 - beta1) (1 + beta1 + ... + beta1^(n-1)) E[g] = (1 -
beta1^n) E[g]: too small by the factor 1 - beta1^n, which is 0.1 at the first step.  The same holds
of v with g^2.  Hence

    m^ = m_n / (1 - beta1^n),   v^ = v_n / (1 - beta2^n),   p_n = p_(n-1) - lr m^ / (sqrt(v^) + eps).

At n = 1 that is a step of length lr against the sign of g.
"""

import numpy as np

from reference.ops.checks import check, per_sample, takes_out, whole


def scalar(name, value, x):
    value = per_sample(name, value, x)
    if value.shape != ():
        raise ValueError(f"{name} must be a number, got shape {value.shape}")
    return value


def check_adam(p, g, m, v, step, lr, beta1, beta2, eps):
    """The numbers among them, as they enter the computation."""
    check("p[...] g[...] m[...] v[...]", p, g, m, v)
    lr = scalar("lr", lr, p)
    step = whole("step", step)
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step}")
    # a float64 scalar would have float32 arrays computed in float64
    beta1, beta2, eps = float(beta1), float(beta2), float(eps)
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps >= 0):
        raise ValueError(
            f"beta1 and beta2 must lie in [0, 1) and eps must not be negative, got {beta1}, {beta2}, {eps}"
        )
    return step, lr, beta1, beta2, eps


def adam_step_(p, g, m, v, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """p[...], g[...], m[...], v[...]: one step of Adam on p, m and v in place.  ``step`` counts
    from 1.
    """
    step, lr, beta1, beta2, eps = check_adam(p, g, m, v, step, lr, beta1, beta2, eps)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * (g * g)
    mhat = m / p.dtype.type(1 - beta1**step)
    vhat = v / p.dtype.type(1 - beta2**step)
    p[...] -= lr * mhat / (np.sqrt(vhat) + eps)


def ema_step_(average, p, decay):
    """average[...] = decay average + (1 - decay) p, in place.

    A constant decay remembers the first average for about 1 / (1 - decay) steps;
    ``training.ema_decay`` gives the sequence that does not.
    """
    check("average[...] p[...]", average, p)
    decay = scalar("decay", decay, average)
    average[...] = decay * average + (1 - decay) * p


def check_list(arrays):
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"arrays must be a list of arrays, got {type(arrays).__name__}")
    if not arrays:
        raise ValueError("arrays must hold at least one array")
    for array in arrays:
        check("arrays[...]", array)
        if array.dtype != arrays[0].dtype:
            raise TypeError(f"arrays must be {arrays[0].dtype} like the first, got {array.dtype}")


@takes_out
def global_norm(arrays):
    """The Euclidean norm of all entries of a list of arrays together, in their dtype; infinite from
    1.8e19 (float32), 1.3e154 on.
    """
    check_list(arrays)
    return np.sqrt(sum((array * array).sum() for array in arrays))
