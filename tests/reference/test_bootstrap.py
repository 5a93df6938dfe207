"""Bootstrap intervals: their coverage on known laws, and their random numbers."""

import numpy as np
import pytest
from scipy import stats

from reference.data.bootstrap import bootstrap
from reference.data.metrics import frechet_distance
from tests.oracle_tolerances import z_score


@pytest.mark.parametrize("level", [0.95, 0.6])
def test_intervals_for_the_mean_of_gaussian_samples_cover_it_at_their_level(level, trials=800, n=40):
    """Given the samples, a mean of resamples is nearly N(mean, s^2 / n), with the factor 1/n in s^2.  The interval covers the mean if
    |T| < z sqrt((n - 1) / n) for T of Student's law.  Ranks (B + 1) p of the B results make the level exact for any B."""
    rng = np.random.default_rng(1)
    low, high = np.array([bootstrap(np.mean, rng.standard_normal(n) + 3, resamples=199, seed=k, level=level) for k in range(trials)]).T
    expected = 1 - 2 * stats.t.sf(stats.norm.isf((1 - level) / 2) * ((n - 1) / n) ** 0.5, n - 1)
    assert abs(((low < 3) & (high > 3)).mean() - expected) < z_score(2) * (expected * (1 - expected) / trials) ** 0.5


def test_intervals_for_a_frechet_distance_cover_its_expectation(trials=100, n=50, d=3):
    """For the shift 1 in each coordinate of N(0, I) the expectation is d + 2/n (d + d (d + 1) / 4), to first order."""
    rng, expectation, covered = np.random.default_rng(2), d + 2 / n * (d + d * (d + 1) / 4), 0
    for k in range(trials):
        low, high = bootstrap(frechet_distance, rng.standard_normal((n, d)), rng.standard_normal((n, d)) + 1, resamples=100, seed=k)
        covered += low < expectation < high
    assert covered / trials > 0.95 - z_score() * (0.95 * 0.05 / trials) ** 0.5


def test_the_interval_of_a_biased_statistic_contains_the_statistic():
    """Two samples of one law: drawing both again doubles the Fréchet distance, far beyond its deviation."""
    x, y = np.random.default_rng(3).standard_normal((2, 60, 12))
    low, high = bootstrap(frechet_distance, x, y, resamples=200)
    assert low < frechet_distance(x, y) < high


def test_each_array_is_drawn_again_from_its_own_rows_independently():
    x, y, seen = np.arange(5.0), np.arange(50.0, 60.0), []

    def statistic(a, b):
        seen.append((a, b))
        return a.mean() + b.mean()

    bootstrap(statistic, x, y, resamples=300)
    drawn, others = (np.array(part) for part in zip(*seen[:300]))
    assert drawn.shape == (300, 5) and others.shape == (300, 10)
    counts = np.bincount(drawn.astype(int).ravel(), minlength=5)
    assert len(counts) == 5 and abs(counts - 300).max() < z_score(5) * (1500 * 0.2 * 0.8) ** 0.5
    assert set(np.unique(others)) == set(y)
    assert abs(np.corrcoef(drawn[:, 0], others[:, 0])[0, 1]) < z_score() / 300**0.5


def test_intervals_depend_on_the_seed_alone():
    x = np.random.default_rng(4).standard_normal(30)
    assert bootstrap(np.median, x) == bootstrap(np.median, x) != bootstrap(np.median, x, seed=6)
