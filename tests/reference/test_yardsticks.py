"""The linear and the memorising denoiser on data with known posterior means, and their losses on Fashion-MNIST."""

import numpy as np
import pytest

from reference.data.datasets import load_dataset
from reference.diffusion import yardsticks
from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import cosine, linear, zero_terminal_snr
from reference.diffusion.yardsticks import (
    LinearDenoiser,
    linear_denoiser_loss,
    linear_denoiser_mean_loss,
    memorising_denoiser,
    moments,
    noise_loss,
)
from reference.ops.random import Purpose, normal
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, assert_close, assert_mean, assert_printed, z_score

RNG = np.random.default_rng(0)
MEAN, ROOT = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 0.0, 0.0], [0.8, 0.3, 0.0], [-0.5, 0.2, 0.1]])
GAUSSIAN = Mixture(np.ones(1), MEAN[None], (ROOT @ ROOT.T)[None])


def denoiser_of_gaussian():
    return LinearDenoiser(MEAN, *np.linalg.eigh(ROOT @ ROOT.T))


def test_moments_in_blocks_equal_the_mean_and_the_covariance(monkeypatch):
    monkeypatch.setattr(yardsticks, "BLOCK", 7)
    x = 5 + RNG.standard_normal((30, 2, 2, 1)) @ RNG.standard_normal((2, 1, 1))
    mean, covariance = moments(x)
    flat = x.reshape(30, -1)
    assert_close(mean, flat.mean(axis=0), LINEAR_ALGEBRA, abs(flat).max())
    assert_close(covariance, np.cov(flat.T, bias=True), LINEAR_ALGEBRA, (flat**2).max())


@pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
def test_the_linear_denoiser_is_the_posterior_mean_of_gaussian_data(sigma):
    x = 3 * RNG.standard_normal((20, 3))
    expected = GAUSSIAN.posterior_mean(x, 1.0, sigma)
    assert_close(denoiser_of_gaussian().posterior_mean(x, sigma), expected, LINEAR_ALGEBRA, np.abs(x).max())


@pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
def test_the_linear_loss_is_the_trace_of_the_gaussian_posterior_covariance(sigma):
    covariance = GAUSSIAN.posterior_covariance(np.zeros((1, 3)), 1.0, sigma)[0]
    found = linear_denoiser_loss(np.linalg.eigvalsh(ROOT @ ROOT.T), sigma)
    assert_close(found, np.trace(covariance) / (3 * sigma**2), LINEAR_ALGEBRA)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
def test_the_loss_of_the_linear_denoiser_has_the_expected_mean(sigma):
    n, denoiser = 20_000, denoiser_of_gaussian()
    x0 = GAUSSIAN.sample(1, np.arange(n))[0]
    noise = normal(2, np.arange(n), 0, Purpose.EVALUATION, (3,))
    x = x0 + sigma * noise
    x0_hat = denoiser.posterior_mean(x, sigma)
    losses = noise_loss(x0_hat, x0, sigma)
    assert_close(losses, (((x - x0_hat) / sigma - noise) ** 2).mean(axis=1), LINEAR_ALGEBRA, 1 + (x0**2).max() / sigma**2)
    assert_mean(losses, linear_denoiser_loss(denoiser.eigenvalues, sigma), tests=3)


def test_a_fitted_linear_denoiser_has_the_least_loss_of_affine_functions():
    """With the noise's moments put in for those of the draws, least squares on the pairs (x, x_0) is the oracle."""
    train, sigma = RNG.uniform(-1, 1, (500, 2, 2, 1)) ** 3 @ RNG.standard_normal((1, 1)), 0.4
    flat = train.reshape(500, 4)
    centred = flat - flat.mean(axis=0)
    gram = centred.T @ centred + 500 * sigma**2 * np.eye(4)  # E[(x - m)(x - m)ᵀ] for x = x_0 + sigma eps
    x = RNG.standard_normal((9, 2, 2, 1))
    expected = flat.mean(axis=0) + (x.reshape(9, 4) - flat.mean(axis=0)) @ np.linalg.solve(gram, centred.T @ centred)
    assert_close(LinearDenoiser.fit(train).posterior_mean(x, sigma), expected.reshape(x.shape), LINEAR_ALGEBRA, np.abs(x).max())


def test_the_linear_loss_depends_on_the_ratio_of_noise_and_signal():
    eigenvalues, sigma, alpha = np.array([2.0, 0.5, 0.0]), np.array([0.3, 0.7]), np.array([0.9, 0.1])
    assert_close(linear_denoiser_loss(eigenvalues, sigma, alpha), linear_denoiser_loss(eigenvalues, sigma / alpha), EXACT)
    assert linear_denoiser_loss(eigenvalues, 1.0).shape == ()


@pytest.mark.parametrize("schedule", [linear(7), zero_terminal_snr(linear(7))], ids=["linear", "zero terminal SNR"])
def test_the_mean_linear_loss_of_a_schedule_averages_the_times_from_1_to_T(schedule):
    powers = np.exp([schedule.log_alpha_bar[t] for t in range(1, 8)])
    expected = np.mean([[p * lam / (p * lam + 1 - p) for lam in (2.0, 0.5)] for p in powers])
    assert_close(linear_denoiser_mean_loss(np.array([2.0, 0.5]), schedule), expected, LINEAR_ALGEBRA)


def test_the_memorising_denoiser_of_two_points_is_a_hyperbolic_tangent():
    """w_1 - w_2 = tanh((x_1 - x_2) · (x - (x_1 + x_2) / 2) / (2 sigma^2))."""
    train, x, sigma = RNG.standard_normal((2, 2, 1, 1)), RNG.standard_normal((5, 2, 1, 1)), 0.8
    (first, second), middle = train.reshape(2, 2), train.reshape(2, 2).mean(axis=0)
    weight = np.tanh((x.reshape(5, 2) - middle) @ (first - second) / (2 * sigma**2))
    expected = middle + weight[:, None] * (first - second) / 2
    assert_close(memorising_denoiser(x, sigma, train).reshape(5, 2), expected, EXACT, 10.0)


def test_the_memorising_denoiser_in_blocks_is_the_limit_of_narrow_components(monkeypatch):
    """The posterior mean of a mixture with variance h^2 at each point differs by h^2 / (h^2 + sigma^2) times distances below 8."""
    monkeypatch.setattr(yardsticks, "TABLE", 40)
    train, x = RNG.standard_normal((20, 3)), RNG.standard_normal((7, 3))
    mixture = Mixture(np.full(20, 1 / 20), train, np.full(20, 1e-14))
    assert_close(memorising_denoiser(x, 0.7, train), mixture.posterior_mean(x, 1.0, 0.7), LINEAR_ALGEBRA + 1e-12, 8.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_memorising_denoiser_with_little_noise_is_the_nearest_point(dtype):
    train = np.array([[0.0, 30.0], [40.0, 0.0], [-20.0, -20.0]], dtype)
    x = train[[2, 0, 1, 1]] + dtype(0.25)
    with np.errstate(all="ignore"):  # a warning of overflow is a result that is not finite
        found = memorising_denoiser(x, 1e-3, train)
    assert found.dtype == dtype and (found == train[[2, 0, 1, 1]]).all()


# Fashion-MNIST

LEVELS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
TABLES = {  # the loss of the best linear denoiser at LEVELS, and its means over the linear and the cosine schedule
    "32x32": (slice(None), ("0.642", "0.508", "0.2337", "0.0588", "0.0130", "0.0021"), ("0.0666", "0.1272")),
    "28x28": (slice(2, 30), ("0.839", "0.664", "0.3053", "0.0768", "0.0170", "0.0027"), ("0.0870", "0.1661")),
}
# the loss of the memorising denoiser at (sigma, data), 28x28
MEMORISED = {
    (0.3, "held_out"): 0.782,
    (1.0, "held_out"): 0.0721,
    (3.0, "held_out"): 0.0116,
    (1.0, "train"): 0.00045,
    (3.0, "train"): 0.0089,
}


@pytest.fixture(scope="module")
def fashion():
    return load_dataset("fashion-mnist")


@pytest.mark.fashion_mnist
@pytest.mark.parametrize("size", TABLES)
def test_the_linear_loss_on_fashion_mnist_has_its_known_values(fashion, size):
    cut, by_level, means = TABLES[size]
    denoiser = LinearDenoiser.fit(fashion.train[:, cut, cut])
    for loss, printed in zip(linear_denoiser_loss(denoiser.eigenvalues, LEVELS), by_level):
        assert_printed(loss, printed)
    for schedule, printed in zip((linear(1000), cosine(1000)), means):
        assert_printed(linear_denoiser_mean_loss(denoiser.eigenvalues, schedule), printed)
    x0 = fashion.train[:1000, cut, cut]
    for k, sigma in enumerate(LEVELS):
        x = x0 + sigma * normal(6, np.arange(1000), k, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
        expected = linear_denoiser_loss(denoiser.eigenvalues, sigma)
        assert_mean(noise_loss(denoiser.posterior_mean(x, sigma), x0, sigma), expected, tests=len(LEVELS) * len(TABLES))


@pytest.mark.fashion_mnist
@pytest.mark.parametrize(("sigma", "part"), MEMORISED)
def test_the_memorising_loss_on_fashion_mnist_has_its_known_values(fashion, sigma, part):
    """Two estimates from 1,000 images each, with other noise: their difference has twice the variance of one."""
    train, x0 = fashion.train[:, 2:30, 2:30], getattr(fashion, part)[:1000, 2:30, 2:30]
    x = x0 + np.float32(sigma) * normal(7, np.arange(1000), 0, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
    losses = noise_loss(memorising_denoiser(x, sigma, train), x0, sigma)
    error = z_score(len(MEMORISED)) * (2 / 1000) ** 0.5 * losses.std()
    assert abs(losses.mean() - MEMORISED[sigma, part]) < error


@pytest.mark.fashion_mnist
def test_the_memorising_loss_on_fashion_mnist_training_images_prints_as_0(fashion):
    train, x0 = fashion.train[:, 2:30, 2:30], fashion.train[:200, 2:30, 2:30]
    x = x0 + np.float32(0.3) * normal(8, np.arange(200), 0, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
    assert_printed(noise_loss(memorising_denoiser(x, 0.3, train), x0, 0.3).mean(), "0.0000")
