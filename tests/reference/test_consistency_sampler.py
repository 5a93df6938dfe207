"""The multistep sampler of consistency models."""

import numpy as np
import pytest

from reference import ops
from reference.samplers import final_sample
from reference.samplers.consistency import consistency, levels
from reference.samplers.edm import sigmas
from tests.oracle_tolerances import EXACT, LINEAR_SAMPLER, assert_close
from tests.oracles import ImpulsePort

VARIANCE = 0.25


class ImpulsesAdded(ImpulsePort):
    def add_noise(self, x, a, b, noise):
        return a * x + b * self.normal(*noise, x.shape[1:], x.dtype)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_samples_of_the_exact_function_have_the_law_of_the_data(steps):
    """From x_0 + sigma_max eps, any number of steps leads to N(0, c) exactly: one draw fewer than evaluations, none after the last."""
    grid = levels(steps, 0.002, 80.0)
    exact = lambda x, t: (VARIANCE / (VARIANCE + t**2)) ** 0.5 * x
    law = moments_of(lambda x, port: consistency(exact, grid, x, 1, np.arange(3), port), steps - 1, VARIANCE + grid[0] ** 2)
    assert_close(np.array(law), np.array([0.0, VARIANCE]), LINEAR_SAMPLER, VARIANCE)


def moments_of(sampler, count, variance):
    port = ImpulsesAdded(count + 1)
    offset, start, noise = port.weights(final_sample(sampler(port.x, port)))
    assert len(port.keys) == count, f"{len(port.keys)} draws, not {count}"
    return offset, start**2 * variance + noise @ noise


def test_the_sampler_evaluates_each_level_once_and_yields_the_samples():
    seen = []
    denoise = lambda x, t: seen.append(t) or 0.5 * x
    reached = list(consistency(denoise, [9.0, 2.0, 0.5], np.ones((2, 1)), 1, np.arange(2)))
    assert seen == [9.0, 2.0, 0.5] == [t for t, _, _ in reached]
    assert all(x is x0 for _, x, x0 in reached)
    x = reached[0][1]
    assert_close(x, np.full((2, 1), 0.5), EXACT)
    noise = ops.normal(1, np.arange(2), 1, ops.Purpose.STEP_NOISE, (1,), np.float64)
    assert_close(reached[1][1], 0.5 * (x + 2.0 * noise), EXACT, 3.0)


def test_levels_of_the_sampler_begin_at_the_largest_noise_and_leave_out_the_smallest():
    for steps in (1, 2, 5):
        found = levels(steps, 0.01, 50.0)
        assert len(found) == steps
        assert_close(np.array(found), sigmas(steps + 1, 0.01, 50.0)[:steps], EXACT)
        assert_close(found[0], 50.0, EXACT)
    for wrong in ([1.0, 1.0], [1.0, 2.0], [2.0, -1.0]):
        with pytest.raises(ValueError, match="fall strictly"):
            list(consistency(lambda x, t: x, wrong, np.ones((1, 1)), 1, np.arange(1)))
