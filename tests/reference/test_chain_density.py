"""The distribution of a chain on a grid."""

import numpy as np
import pytest
from scipy import stats

from reference.samplers.chain_density import transition
from tests.oracle_tolerances import QUADRATURE, assert_close


def test_a_linear_chain_stays_gaussian_with_the_recursion_moments():
    x, mean, variance = np.linspace(-6, 6, 241), 1.0, 0.25
    p = stats.norm.pdf(x, mean, variance**0.5)
    for a, b, deviation in ((0.9, 0.1, 0.3), (1.0, -0.2, 0.2), (-0.5, 0.0, 0.4)):
        p, mean, variance = transition(x, a * x + b, deviation) @ p, a * mean + b, a**2 * variance + deviation**2
        assert_close(p, stats.norm.pdf(x, mean, variance**0.5), QUADRATURE, 1.0)


def test_mass_is_conserved_until_it_leaves_the_grid():
    x = np.linspace(-6, 6, 241)
    mass = transition(x, x, 0.3).sum(axis=0)  # mass that was at each point
    np.testing.assert_allclose(mass[60:-60], 1, rtol=QUADRATURE)
    assert mass[-1] < 0.6


@pytest.mark.parametrize("slope, deviation", [(1.0, 0.09), (8.0, 0.5)])
def test_a_grid_too_coarse_for_the_noise_is_refused(slope, deviation):
    x = np.linspace(-6, 6, 241)
    with pytest.raises(ValueError, match=f"neighbouring points and their means are at most {deviation / 2:g}, half a deviation, apart"):
        transition(x, slope * x, deviation)
