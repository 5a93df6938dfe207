"""Solvers of dx/dt = f(x, t) on a grid of times, rising or falling (tutorial, Sec. 4.4).

An explicit Runge-Kutta method with s stages takes, for the step h from t,

    k_i = f(x + h sum_{j<i} a_ij k_j, t + c_i h),   x <- x + h sum_i b_i k_i,

and is given by a table of a, b and c.  (The tutorial's first stage has its arguments in the other
order: E13d.)  A step costs s evaluations.
"""

from itertools import pairwise

import numpy as np

from reference.samplers import check_grid

TABLES = {  # the rows of a, then b; c_i is the sum of row i
    "euler": (((),), (1.0,)),
    "midpoint": (((), (1 / 2,)), (0.0, 1.0)),
    "heun": (((), (1.0,)), (1 / 2, 1 / 2)),
    "rk4": (((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}


def runge_kutta(f, grid, x, method="heun"):
    """From x[b,...] at grid[0] to grid[-1]; yields (t, x, None) after every step.  Orders: euler 1,
    midpoint and heun 2, rk4 4.
    """
    if method not in TABLES:
        raise ValueError(f"method must be one of {', '.join(TABLES)}, got {method!r}")
    rows, b = TABLES[method]
    for t, t_next in pairwise(check_grid(grid)):
        h: float = t_next - t
        stages: list = []
        for row in rows:
            stages.append(f(_combine(x, h, row, stages), t + sum(row) * h))
        x = _combine(x, h, b, stages)
        yield t_next, x, None


def _combine(x, h, weights, stages):
    for weight, k in zip(weights, stages):
        if weight:
            x = x + (h * weight) * k
    return x


def rk45(f, grid, x, rtol=1e-5, atol=1e-5):
    """SciPy's Dormand-Prince 5(4), with steps as long as the tolerances allow; yields (t, x, None)
    at the times of the grid.

    All of x[b,...] is solved as one system, so a sample depends on its batch, within the
    tolerances.
    """
    from scipy.integrate import solve_ivp

    times = check_grid(grid)
    shaped = lambda y: y.reshape(x.shape).astype(x.dtype)
    flat = lambda y: y.ravel().astype(np.float64)
    span, low, high = (times[0], times[-1]), min(times), max(times)
    # SciPy before 1.14 evaluates f beyond the end to choose its first step
    slope = lambda t, y: flat(f(shaped(y), min(max(t, low), high)))
    solved = solve_ivp(slope, span, flat(x), method="RK45", t_eval=times[1:], rtol=rtol, atol=atol)
    if not solved.success:
        raise ValueError(
            f"rk45 failed on the way from t = {times[0]} to {times[-1]}: {solved.message}"
        )
    for t, y in zip(times[1:], solved.y.T):
        yield t, shaped(y), None
