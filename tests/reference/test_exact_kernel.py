"""Sampling with the exact reverse kernel of a mixture: marginals, moments and joint distribution."""

import numpy as np
import pytest

from reference.diffusion.mixtures import Mixture, example_2_1
from reference.diffusion.schedules import linear, vp
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.exact import exact_kernel
from tests.oracle_tolerances import FALSE_ALARM, MIXTURE, assert_close, assert_mean, assert_printed, ks_distance
from tests.oracles import exact_noise

COUNT = 20_000
FULL = Mixture(
    np.array([0.2, 0.5, 0.3]),
    np.array([[-1.0, 0.5], [1.0, 1.0], [0.5, -1.5]]),
    np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.5, -0.3], [-0.3, 0.4]], [[0.1, 0.0], [0.0, 0.6]]]),
)


def start(distribution, schedule, count=COUNT):
    """Exact draws of x_T."""
    return distribution.noised(schedule.signal(schedule.T), schedule.noise_scale(schedule.T)).sample(21, np.arange(count))[0]


def distance(distribution, x):
    """The Kolmogorov-Smirnov distance of the sample x[n,1] from the distribution."""
    p, n = distribution.cdf(np.sort(x[:, 0])), len(x)
    return max((np.arange(1, n + 1) / n - p).max(), (p - np.arange(n) / n).max())


def test_the_exact_kernel_has_the_exact_marginals_on_a_coarse_grid():
    distribution, schedule = example_2_1(), vp(200)
    for t, x, x0 in exact_kernel(distribution, schedule, schedule.timesteps(10), start(distribution, schedule), 5, np.arange(COUNT)):
        noised = distribution.noised(schedule.signal(t), schedule.noise_scale(t))
        assert distance(noised, x) < ks_distance(COUNT, FALSE_ALARM / 10)
        assert x0 is None
    assert_printed(distribution.cdf(0.0), ".315925")
    assert_mean(x[:, 0] < 0, distribution.cdf(0.0))
    assert_mean(x, distribution.mean)
    assert_mean((x - distribution.mean) ** 2, distribution.covariance)


def test_ancestral_sampling_on_a_coarse_grid_has_wrong_marginals():
    distribution, schedule = example_2_1(), vp(200)
    run = ancestral(
        exact_noise(distribution, schedule), schedule, schedule.timesteps(10), start(distribution, schedule), 5, np.arange(COUNT)
    )
    assert distance(distribution, final_sample(run)) > 2 * ks_distance(COUNT)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_exact_kernel_has_the_exact_moments_in_2d(steps):
    schedule = linear(100)
    x = final_sample(exact_kernel(FULL, schedule, schedule.timesteps(steps), start(FULL, schedule), 6, np.arange(COUNT)))
    assert_mean(x, FULL.mean, 6)
    centred = x - FULL.mean
    assert_mean(centred[:, :, None] * centred[:, None], FULL.covariance, 6)


def test_the_exact_kernel_has_the_exact_joint_distribution():
    schedule = vp(50)
    T, t = 50, 10
    x_T = start(FULL, schedule)
    (_, x, _) = next(exact_kernel(FULL, schedule, [T, t], x_T, 7, np.arange(COUNT)))
    kept = schedule.signal(T) / schedule.signal(t)
    fresh = x_T - kept * x  # the noise of the forward step: independent of x
    assert_mean(fresh, 0, 3)
    assert_mean(fresh[:, :, None] * fresh[:, None], schedule.beta(T, t) * np.eye(2), 3)
    assert_mean(fresh[:, :, None] * x[:, None], np.zeros((2, 2)), 3)


def test_exact_kernel_samples_do_not_depend_on_their_batch():
    schedule, sample = vp(50), np.arange(8)
    run = lambda indices: final_sample(exact_kernel(FULL, schedule, schedule.timesteps(10), start(FULL, schedule, 8)[indices], 1, indices))
    together = run(sample)
    for i in range(8):
        assert_close(run(sample[i : i + 1])[0], together[i], MIXTURE, 4.0)


def test_the_exact_kernel_shares_no_randomness_with_data_of_the_same_seed():
    """The start is exact draws of p_t with the seed that the sampler also uses."""
    mixture, schedule, n = example_2_1(), linear(1000), 20_000
    x, _ = mixture.noised(schedule.signal(400), schedule.noise_scale(400)).sample(1, np.arange(n))
    x = final_sample(exact_kernel(mixture, schedule, [400, 0], x, 1, np.arange(n)))
    empirical = (np.arange(n) + 0.5) / n
    assert np.abs(mixture.cdf(np.sort(x[:, 0])) - empirical).max() < ks_distance(n) + 0.5 / n
