"""Right steps in every combination of schedule, prediction, time base, variance, grid and precision: no fault, all recognised."""

import itertools

import numpy as np
import pytest

from reference.audit.audit import audit
from reference.audit.target import Target

VARIANCES = {"none": 0.0, "eta": 0.25, "posterior": 1.0, "beta": 1.0}  # the share of the posterior's that the mean leaves to the noise
COMBINATIONS = list(
    itertools.product(
        ("linear", "cosine"),
        (100, 1000),
        ("noise", "x0", "v", "score"),
        (0, 1),
        VARIANCES,
        ("float64", "float32"),
        ("leading", "linspace", ""),
    )
)


def alpha_bar_of(schedule, T):
    if schedule == "linear":
        return np.cumprod(1 - np.linspace(0.1 / T, 20 / T, T))
    u = (np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2
    return np.cumprod(1 - np.minimum(1 - np.cos(u[1:]) ** 2 / np.cos(u[:-1]) ** 2, 0.999))


def target_of(schedule, T, prediction, base, variance, dtype, grid):
    table = np.append(1.0, alpha_bar_of(schedule, T)).astype(dtype)
    one = table[0]
    power = lambda t: table[t + 1 - base]

    def parts(value, t, x):
        alpha, sigma = np.sqrt(power(t)), np.sqrt(one - power(t))
        match prediction:
            case "noise":
                return (x - sigma * value) / alpha, value
            case "x0":
                return value, (x - alpha * value) / sigma
            case "v":
                return alpha * x - sigma * value, alpha * value + sigma * x
        return (x + sigma**2 * value) / alpha, -sigma * value

    def step(value, t, x, z, t_prev):
        now, past = power(t), power(t_prev)
        (x0, eps), beta = parts(value, t, x), one - now / past
        left = VARIANCES[variance] * (one - past) / (one - now) * beta
        added = beta if variance == "beta" and past < one else left
        return np.sqrt(past) * x0 + np.sqrt(np.maximum(one - past - left, 0)) * eps + np.sqrt(added) * z

    times = {
        "leading": lambda n: base + np.arange(n)[::-1] * (T // n),
        "linspace": lambda n: np.linspace(base + T - 1, base, n).round().astype(int),
    }
    pieces = {"alpha_bar": table[1:], "step": step}
    return Target("a step", pieces | ({"timesteps": times[grid]} if grid else {}))


# 17 has no factor in common with their number, so that each value of each axis is met
@pytest.mark.parametrize("combination", COMBINATIONS[::17], ids=lambda combination: "-".join(map(str, combination)))
def test_a_right_step_has_no_fault_and_is_recognised(combination):
    _, _, prediction, base, variance, _, grid = combination
    report = audit(target_of(*combination))
    assert not report.faults
    found = {row.name: row.target for row in report.conventions}
    assert found["prediction"] == prediction
    assert found["time"] == ("0-based", "1-based")[base]
    assert found["variance of a step"] == variance
    assert not grid or found["grid of timesteps"] == grid
