"""What the audit finds out about a loss, and the loss values that it reports."""

import numpy as np
import pytest

from reference.audit.audit import audit
from reference.audit.target import Target

T = 100
ALPHA_BAR = np.cumprod(1 - np.linspace(1e-3, 0.12, T))


def level(t):
    return ALPHA_BAR[t] ** 0.5, (1 - ALPHA_BAR[t]) ** 0.5


def squared(target, weight=lambda a, s: 1.0):
    """A loss of the prediction ``target(x0, noise, alpha, sigma)``."""

    def loss(denoise, x0, t, noise):
        alpha, sigma = level(t)
        return weight(alpha, sigma) * ((denoise(alpha * x0 + sigma * noise, t) - target(x0, noise, alpha, sigma)) ** 2).mean()

    return loss


noise_target = lambda x0, noise, alpha, sigma: noise
TARGETS = {
    "noise": noise_target,
    "x0": lambda x0, noise, alpha, sigma: x0,
    "v": lambda x0, noise, alpha, sigma: alpha * noise - sigma * x0,
    "score": lambda x0, noise, alpha, sigma: -noise / sigma,
    "velocity": lambda x0, noise, alpha, sigma: noise - x0,
    "reversed velocity": lambda x0, noise, alpha, sigma: x0 - noise,
}


def report(loss, **claims):
    return audit(Target("a loss", {"alpha_bar": ALPHA_BAR, "loss": loss}, {"time": "0-based", **claims}))


def convention(found, name):
    return next((row.target for row in found.conventions if row.name == name), None)


def check(found, name):
    return next((row for row in found.checks if row.name == name), None)


@pytest.mark.parametrize("name", TARGETS)
def test_each_prediction_is_recognised_and_no_other(name):
    found = report(squared(TARGETS[name]))
    assert convention(found, "prediction") == name
    assert not [row for row in found.faults if row.name.startswith("loss")]


WEIGHTS = {
    "1 on the prediction": lambda a, s: 1.0,
    "min(SNR, 5) on x_0 (min-SNR)": lambda a, s: min((a / s) ** 2, 5) / (a / s) ** 2,
    "max(SNR, 1) on x_0": lambda a, s: max((a / s) ** 2, 1) / (a / s) ** 2,
    "1 + SNR on x_0, 1 on v": lambda a, s: (1 + (a / s) ** 2) / (a / s) ** 2,
    "1 on x_0": lambda a, s: (s / a) ** 2,
    "sigma^2 on the prediction": lambda a, s: s**2,
    "1 / sigma^2 on the prediction": lambda a, s: s**-2,
    "(sigma^2 + s^2) / (sigma s)^2 on x_0 with s = 0.5 (EDM)": lambda a, s: (1 + (a / s) ** 2 / 4) / (a / s) ** 2,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_weight_of_a_loss_of_the_noise_is_recognised(name):
    assert convention(report(squared(noise_target, WEIGHTS[name])), "loss weight").startswith(name)


def test_an_unknown_weight_is_a_convention():
    found = report(squared(noise_target, lambda a, s: np.cos(3 * a) + 2))
    assert convention(found, "loss weight").startswith("no known function")
    assert not [row for row in found.faults if row.name.startswith("loss")]


SHAPES = {
    "squared error": lambda error: (error**2).mean(),
    "absolute error": lambda error: abs(error).mean(),
    "norm, the root of the squared error": lambda error: (error**2).sum(axis=1) ** 0.5,
    "Huber, squared for small errors and absolute for large ones": lambda error: ((1 + error**2) ** 0.5 - 1).mean(),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_loss_of_an_error_is_recognised(name):
    def loss(denoise, x0, t, noise):
        alpha, sigma = level(t)
        return SHAPES[name](denoise(alpha * x0 + sigma * noise, t) - noise)

    found = report(loss)
    assert convention(found, "loss of an error") == name
    assert not [row for row in found.faults if row.name.startswith("loss")]


REDUCTIONS = {
    "mean over the batch, mean over entries": lambda square: square.mean(),
    "sum over the batch, sum over entries": lambda square: square.sum(),
    "mean over the batch, sum over entries": lambda square: square.sum(axis=1).mean(),
    "one for each sample over the batch, mean over entries": lambda square: square.mean(axis=1),
    "none over the batch, mean over entries": lambda square: square,
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_the_reduction_of_a_loss_is_recognised(name):
    def loss(denoise, x0, t, noise):
        alpha, sigma = level(t)
        return REDUCTIONS[name]((denoise(alpha * x0 + sigma * noise, t) - noise) ** 2)

    assert convention(report(loss), "reduction of the loss") == name


@pytest.mark.parametrize("name", TARGETS)
def test_the_reported_value_is_the_loss_of_the_exact_denoiser_of_gaussian_data(name):
    details = check(report(squared(TARGETS[name])), "loss value").details
    rng = np.random.default_rng(0)
    x0, noise = rng.standard_normal((2, 100_000, 1))
    for row in details[::3]:
        alpha, sigma = level(row["t"])
        x, target = alpha * x0 + sigma * noise, TARGETS[name](x0, noise, alpha, sigma)
        exact = (target * x).mean() / (x * x).mean() * x
        # the mean of 10^5 squares of Gaussian numbers has a relative standard error of 0.0045; five of them
        assert row["exact denoiser"] == pytest.approx(((target - exact) ** 2).mean(), rel=0.0225)
        assert row["output 0"] == pytest.approx((target**2).mean(), rel=0.0225)


def test_the_mean_over_t_of_the_noise_loss_of_gaussian_data_is_that_of_alpha_bar():
    came = check(report(squared(noise_target)), "loss value").came
    assert came.startswith(f"{ALPHA_BAR.mean():.6g} for the exact denoiser")


def test_the_reported_value_of_a_loss_of_x0_with_exploding_variance_is_that_of_its_exact_denoiser():
    loss = lambda denoise, x0, t, noise: ((denoise(x0 + t * noise, t) - x0) ** 2).mean()
    found = audit(Target("a loss", {"loss": loss}, {"time": "sigma"}))
    for row in check(found, "loss value").details:
        assert row["exact denoiser"] == pytest.approx(row["t"] ** 2 / (1 + row["t"] ** 2), rel=1e-6)


def test_the_negative_of_v_is_not_decidable_without_a_claim_and_a_fault_with_one():
    reversed_v = squared(lambda x0, noise, alpha, sigma: sigma * x0 - alpha * noise)
    undecided = check(report(reversed_v), "loss prediction")
    assert undecided.verdict == "not decidable" and undecided.came.endswith("v with its sign reversed")
    assert check(report(reversed_v, prediction="v"), "loss prediction").verdict == "fault"


def test_a_loss_that_draws_its_own_times_is_not_decidable():
    rng = np.random.default_rng(0)

    def loss(denoise, x0, t, noise):
        t = int(rng.integers(T))
        return squared(noise_target)(denoise, x0, t, noise)

    found = report(loss)
    assert check(found, "loss x").verdict == "not decidable" and not found.faults[1:]


def test_a_loss_that_counts_its_times_from_1_beside_a_table_from_0_is_a_convention():
    found = audit(
        Target(
            "a loss",
            {
                "alpha_bar": ALPHA_BAR,
                "add_noise": lambda x0, noise, t: level(t)[0] * x0 + level(t)[1] * noise,
                "loss": lambda denoise, x0, t, noise: squared(noise_target)(denoise, x0, max(t - 1, 0), noise),
            },
        )
    )
    assert convention(found, "time of the loss") == "another time than t" and not found.faults


def test_an_input_in_unit_variance_is_a_convention():
    def loss(denoise, x0, t, noise):
        return ((denoise((x0 + t * noise) / (1 + t**2) ** 0.5, np.log(t) / 4) - x0) ** 2).mean()

    found = audit(Target("a loss", {"sigmas": np.geomspace(0.01, 80, 100), "loss": loss}, {"time": "sigma"}))
    assert convention(found, "input of the network in the loss") and not found.faults


def test_a_loss_that_takes_one_time_for_each_sample_only_is_a_convention():
    def loss(denoise, x0, t, noise):
        alpha, sigma = level(t[:, None])
        return ((denoise(alpha * x0 + sigma * noise, t) - noise) ** 2).mean()

    found = report(loss)
    assert convention(found, "times of a call") == "one for each sample in loss"
    assert check(found, "loss with a time for each sample").verdict == "right"


def test_a_loss_in_its_own_range_is_a_convention():
    def loss(denoise, x0, t, noise):
        return squared(noise_target)(denoise, 2 * x0 - 1, t, noise)

    found = report(loss)
    assert convention(found, "x_0 of the network") == "2 x_0 - 1" and convention(found, "prediction") == "noise"
    assert not [row for row in found.faults if row.name.startswith("loss")]


def test_a_loss_without_a_range_of_its_own_names_none():
    assert convention(report(squared(noise_target)), "x_0 of the network") is None


def test_a_loss_without_levels_says_so():
    def loss(denoise, x0, t, noise):
        denoise(x0, t)
        raise KeyError("t")

    found = audit(Target("a loss", {"loss": loss}))
    assert any("KeyError" in row.came for row in found.faults)


def test_a_loss_that_never_asks_the_network_is_a_fault():
    found = audit(Target("a loss", {"alpha_bar": ALPHA_BAR, "loss": lambda denoise, x0, t, noise: 0.0}))
    assert [row.came for row in found.faults if row.name == "loss"] == ["loss does not call denoise"]
