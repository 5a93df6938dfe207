"""The Fokker-Planck step by scipy.linalg.solve_banded."""

import numpy as np
from scipy.linalg import solve_banded

from reference.ops.fokker_planck import face_rates


def set_threads(threads):
    """Nothing to do: measure.py sets the environment variables of the BLAS."""


def prepare(workload, bands_kept=False):
    """``bands_kept``: compute the matrices once, since the coefficients are constant; an op must compute them in every call."""
    p, drift, diffusion, dx, dt = workload.inputs()
    kept = bands(drift, diffusion, dx, dt) if bands_kept else None
    step = lambda p: solve(p, kept or bands(drift, diffusion, dx, dt))

    def results():
        q = p
        for _ in range(workload.steps):
            q = step(q)
        return {"density": {"p": q}}

    def call():
        nonlocal p
        p = step(p)

    return results, call


def bands(drift, diffusion, dx, dt):
    """(to_left, to_right) on the inner faces, times dt/2, and the bands of I - dt/2 A (reference/ops/fokker_planck.py)."""
    to_left, to_right = (dt / 2 * rates for rates in face_rates(drift, diffusion, dx))
    matrix = np.zeros((3, len(drift) - 1))
    matrix[0, 1:], matrix[1], matrix[2, :-1] = -to_left[1:-1], 1 + to_right[1:] + to_left[:-1], -to_right[1:-1]
    return to_left[1:-1], to_right[1:-1], matrix


def solve(p, of_step):
    to_left, to_right, matrix = of_step
    flux = to_left * p[1:] - to_right * p[:-1]
    right = p.copy()
    right[:-1] += flux
    right[1:] -= flux
    return solve_banded((1, 1), matrix, right, overwrite_b=True, check_finite=False)
