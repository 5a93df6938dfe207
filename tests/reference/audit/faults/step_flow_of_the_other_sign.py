"""Euler's step of a flow adds (t - t_prev) v: it walks to more noise.

The direction of time differs between texts of flow matching; v = eps - x_0 needs t_prev - t.
"""

CAUGHT_BY = "claimed prediction"
CLAIMS = {"time": "real", "schedule": "flow", "prediction": "velocity"}


def timesteps(n):
    return [1 - i / n for i in range(n)]


def step(velocity, t, x, t_prev):
    return x + (t - t_prev) * velocity
