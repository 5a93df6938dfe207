"""The sampler of InDI: from a degraded image to a clean one in small steps (ddpm/indi.py).

    x_{t-tau} = (1 - tau/t) x_t + (tau/t) denoise(x_t, t)
                + sqrt(w(t-tau)^2 - ((t-tau)/t)^2 w(t)^2) z,

with w(t) = t eps_t, the standard deviation of the noise on the path.  For a constant eps_t the root
is 0.  For Brownian noise it is epsilon sqrt((t-tau) tau / t): a Brownian bridge from x_t to the
estimate.  The last step returns denoise(x_t, t) itself.  With one step in all, this is the estimate
of least mean squared error.
"""

from itertools import pairwise

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose


def indi(denoise, grid, x, seed, sample, deviation=None, ops=reference_ops):
    """From x[b,...] at grid[0] down the times ``grid`` to 0; yields (t_prev, x, x0).  At grid[0] =
    1, x is y plus noise of deviation w(1).

    ``denoise(x, t)`` estimates x_0; ``deviation(t)`` is w(t), None for a path without noise.
    """
    for step, (t, t_prev) in enumerate(pairwise(grid)):
        if not 0 <= t_prev < t:
            raise ValueError(f"grid must decrease to a time not below 0, got {t_prev} after {t}")
        kept, x0 = t_prev / t, denoise(x, t)
        fresh = _fresh_deviation(deviation, t, t_prev) if deviation and t_prev else 0.0
        noise = Key(seed, sample, step, Purpose.STEP_NOISE) if fresh else None
        x = ops.reverse_step(x, x0, kept, 1 - kept, fresh, noise)
        yield t_prev, x, x0


def _fresh_deviation(deviation, t, t_prev):
    """The root in the formula above, 0 where the difference under it is only rounding error."""
    wanted, carried = deviation(t_prev) ** 2, (t_prev / t * deviation(t)) ** 2
    if wanted - carried < -1e-12 * carried:
        raise ValueError(f"deviation(t) / t must not grow with t, but it does from {t_prev} to {t}")
    return (wanted - carried) ** 0.5 if wanted - carried > 1e-12 * carried else 0.0


def ode_drift(denoise):
    """The limit of small steps, dx/dt = f(x, t) = (x - denoise(x, t)) / t, to be solved from t = 1
    down to a t > 0.
    """
    return lambda x, t: (x - denoise(x, t)) / t
