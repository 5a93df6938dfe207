"""The audit on the samplers of k-diffusion, and their results on Gaussian data against the closed form of the probability flow."""

import importlib.util

import numpy as np
import pytest

from reference import ops
from reference.audit.adapters import k_diffusion, targets
from reference.audit.audit import audit
from reference.audit.target import TargetError
from reference.diffusion.mixtures import example_2_1
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.edm import edm, sigmas
from tests.command_runs import run
from tests.oracle_tolerances import MIXTURE, assert_close

installed = importlib.util.find_spec("k_diffusion") is not None and importlib.util.find_spec("torch") is not None
needs_package = pytest.mark.skipif(not installed, reason="needs k-diffusion and torch")
SAMPLERS = (
    "euler euler_ancestral heun dpm_2 dpm_2_ancestral lms dpm_fast dpm_adaptive dpmpp_2s_ancestral dpmpp_sde dpmpp_2m dpmpp_2m_sde "
    "dpmpp_3m_sde"
).split()
VARIANCE, LARGEST = 0.25, 80.0
SECONDS = 600.0  # the Brownian trees of the stochastic samplers take most of a minute on a busy machine
ONE_STEP = {"dpmpp_2m_sde", "dpmpp_3m_sde"}  # they read the length of a step that they have not taken


def target(name, **options):
    (found,) = targets.find(f"k_diffusion:sample_{name}", options, SECONDS)
    return found


@needs_package
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_has_no_fault_but_that_of_one_step(name):
    faults = {check.name: check.came for check in audit(target(name), 10).faults}
    assert set(faults) == ({"sample at few and many steps"} if name in ONE_STEP else set()), faults


@needs_package
@pytest.mark.parametrize("name", sorted(ONE_STEP))
def test_one_step_of_two_samplers_raises(name):
    import torch

    with pytest.raises(UnboundLocalError):
        target(name).pieces["sample"](lambda x, sigma: 0 * x, torch.ones(1, 4, dtype=torch.float64), 1, 0)


@needs_package
def test_all_samplers_are_targets():
    names = [found.name for found in targets.find("k_diffusion:all", {}, SECONDS)]
    assert names == [f"k_diffusion:sample_{name}" for name in SAMPLERS]


def gain(name, steps, **options):
    """The factor from x at the largest sigma to the sample, for data N(0, VARIANCE)."""
    denoise = lambda x, sigma: x * (VARIANCE / (VARIANCE + sigma.reshape(-1, 1) ** 2))
    x = np.full((1, 4), LARGEST)
    found = target(name, **options)
    import torch

    result = found.pieces["sample"](denoise, torch.from_numpy(x), steps, 0)
    return float(result[0, 0]) / LARGEST


@needs_package
@pytest.mark.parametrize(
    "name, options, order",
    [
        ("euler", {}, 1),
        ("euler_ancestral", {"eta": 0.0}, 1),
        ("heun", {}, 2),
        ("dpm_2", {}, 2),
        ("dpm_2_ancestral", {"eta": 0.0}, 2),
        ("dpmpp_2s_ancestral", {"eta": 0.0}, 2),
        ("dpmpp_2m", {}, 2),
        ("lms", {}, 4),
    ],
)
def test_without_noise_a_sampler_converges_to_the_closed_form_of_the_flow(name, options, order):
    exact = (VARIANCE / (VARIANCE + LARGEST**2)) ** 0.5
    errors = [abs(gain(name, steps, **options) / exact - 1) for steps in (80, 160)]
    # measured 0.99 to 3.8; the next order is 1 away
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.3 and errors[1] < 0.02


def test_a_missing_package_is_one_sentence(monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "k_diffusion" else find_spec(name, *rest))
    k_diffusion._import.cache_clear()
    assert run("audit", "k_diffusion:sample_euler") == 2
    assert capsys.readouterr().err == "python -m reference: k_diffusion is not installed: pip install k-diffusion\n"


@needs_package
@pytest.mark.parametrize(
    "name, options, message",
    [
        ("ddim", {}, "k_diffusion has the samplers sample_euler, .* and not 'sample_ddim'"),
        ("euler", {"eta": 1.0}, "k_diffusion:sample_euler has the options s_churn, .*, and not eta"),
        ("euler", {"grid": "cosine"}, "grid must be one of karras, exponential"),
    ],
)
def test_an_unknown_sampler_or_option_is_refused(name, options, message):
    with pytest.raises(TargetError, match=message):
        target(name, **options)


@needs_package
@pytest.mark.parametrize("options", [{}, {"churn": 5.0}, {"churn": 1e6, "churn_noise": 1.1}, {"churn": 9.0, "churn_interval": (0.05, 5.0)}])
def test_heuns_sampler_with_churn_is_edm(options, monkeypatch):
    """With the same noise and levels, in float64, on a mixture."""
    import torch

    mixture, levels, sample = example_2_1(), sigmas(20), np.arange(8)
    low, high = options.get("churn_interval", (0.0, np.inf))
    draws = (torch.tensor(ops.normal(3, sample, step, Purpose.STEP_NOISE, (1,), np.float64)) for step in range(20))  # used or not
    monkeypatch.setattr("torch.randn_like", lambda x: next(draws))
    x = LARGEST * ops.normal(3, sample, 0, Purpose.PRIOR, (1,), np.float64)
    mean = lambda x, sigma: mixture.posterior_mean(x, 1.0, sigma)
    pairs = {"churn": "s_churn", "churn_noise": "s_noise"}
    own = {name: options[key] for key, name in pairs.items() if key in options} | {"s_tmin": low, "s_tmax": high}
    model = lambda x, sigma: torch.tensor(mean(x.numpy(), float(sigma[0])))
    theirs = k_diffusion._import().sample_heun(model, torch.tensor(x), torch.tensor(levels), disable=True, **own)
    ours = final_sample(edm(mean, levels, x, 3, sample, **options))
    assert_close(ours, theirs.numpy(), 20 * MIXTURE, 1 + np.abs(x).max())
