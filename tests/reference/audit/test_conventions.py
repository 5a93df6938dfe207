"""The audit names the conventions of each column of the table in reference/README.md, as far as a target can show its rows."""

from pathlib import Path

import numpy as np
import pytest

from reference.audit.adapters import targets
from reference.audit.audit import audit
from reference.audit.target import Target

GUIDE = Path(__file__).parents[3] / "reference" / "README.md"
BETAS = np.linspace(1e-4, 0.02, 1000)


def ours():
    (target,) = targets.find("reference:ddpm", {}, 60.0)
    target.claims = {}
    return target


def ddpm(variance="fixed small"):
    """Ho et al.'s code: t = 0 .. T - 1, one step at a time, the mean of the posterior at the predicted x_0, which is clipped."""
    alpha_bar = np.cumprod(1 - BETAS)
    before = np.append(1.0, alpha_bar[:-1])

    def step(prediction, t, x, noise):
        x0 = ((x - np.sqrt(1 - alpha_bar[t]) * prediction) / np.sqrt(alpha_bar[t])).clip(-1, 1)
        mean = np.sqrt(before[t]) * BETAS[t] * x0 + np.sqrt(1 - BETAS[t]) * (1 - before[t]) * x
        posterior = BETAS[t] * (1 - before[t]) / (1 - alpha_bar[t])
        deviation = np.sqrt(BETAS[t] if variance == "fixed large" else posterior)
        return mean / (1 - alpha_bar[t]) + (t > 0) * deviation * noise

    return {
        "betas": BETAS,
        "add_noise": lambda x0, noise, t: np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise,
        "step": step,
    }


def diffusers(last=1.0):
    """DDIM as diffusers has it: tables in float32, a leading grid, the step before the first at ``final_alpha_cumprod``."""
    table = np.cumprod(1 - BETAS.astype(np.float32))

    def step(model_output, timestep, sample, prev_timestep):
        at = table[timestep]
        prev = table[prev_timestep] if prev_timestep >= 0 else np.float32(last or table[0])
        x0 = (sample - (1 - at) ** 0.5 * model_output) / at**0.5
        return prev**0.5 * x0 + (1 - prev) ** 0.5 * model_output

    return {
        "alpha_bar": table,
        "add_noise": lambda original_samples, noise, timesteps: (
            table[timesteps] ** 0.5 * original_samples + (1 - table[timesteps]) ** 0.5 * noise
        ),
        "timesteps": lambda num_inference_steps: np.arange(num_inference_steps)[::-1] * (1000 // num_inference_steps),
        "step": step,
    }


def score_sde():
    """The variance-preserving SDE of Song et al.: real times, the network predicts the score."""
    integral = lambda t: 0.1 * t + 9.95 * t**2
    return {
        "marginal": lambda t: np.array([np.exp(-integral(t) / 2), np.sqrt(-np.expm1(-integral(t)))]),
        "add_noise": lambda x0, noise, t: np.exp(-integral(t) / 2) * x0 + np.sqrt(-np.expm1(-integral(t))) * noise,
    }


def edm():
    """Karras et al.'s code: no time but sigma, from 80 to 0.002 and 0."""
    levels = lambda n: np.append(np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), n) ** 7, 0.0)

    def step(prediction, t, x, t_prev):
        return x + (t_prev - t) * (x - prediction) / t

    return {"add_noise": lambda x0, noise, sigma: x0 + sigma * noise, "timesteps": levels, "step": step}


def k_diffusion():
    """k-diffusion's ancestral step, the sigmas of Stable Diffusion's betas."""
    alpha_bar = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    sigmas = np.sqrt((1 - alpha_bar) / alpha_bar)

    def step(prediction, t, x, noise, t_prev):
        up = (t_prev**2 * (t**2 - t_prev**2) / t**2) ** 0.5
        return x + ((t_prev**2 - up**2) ** 0.5 - t) * (x - prediction) / t + up * noise

    return {"sigmas": sigmas, "add_noise": lambda x0, noise, t: x0 + t * noise, "step": step}


COLUMNS = {  # column -> (its pieces, the conventions that the audit names)
    "here": (
        ours,
        {
            "time": "1-based",
            "form of x": "variance preserving",
            "prediction": "noise",
            "grid of timesteps": "trailing",
            "variance of a step": "posterior",
        },
    ),
    "DDPM": (
        ddpm,
        {"time": "0-based", "form of x": "variance preserving", "prediction": "noise", "variance of a step": "posterior"},
    ),
    "DDPM, fixed large": (
        lambda: ddpm("fixed large"),
        {"time": "0-based", "prediction": "noise"},
    ),
    "diffusers": (
        diffusers,
        {
            "time": "0-based",
            "form of x": "variance preserving",
            "prediction": "noise",
            "grid of timesteps": "leading",
            "variance of a step": "none",
        },
    ),
    "score_sde": (score_sde, {"time": "real", "form of x": "variance preserving"}),
    "EDM": (edm, {"time": "sigma", "form of x": "variance exploding", "prediction": "x0", "variance of a step": "none"}),
    "k-diffusion": (
        k_diffusion,
        {"time": "sigma", "form of x": "variance exploding", "prediction": "x0", "variance of a step": "posterior"},
    ),
}


def report_on(make):
    made = make()
    return audit(made if isinstance(made, Target) else Target("target", made), 20)


@pytest.mark.parametrize("make, words", COLUMNS.values(), ids=COLUMNS)
def test_the_conventions_of_a_column_are_named_and_no_fault(make, words):
    report = report_on(make)
    found = {row.name: row.target for row in report.conventions}
    assert {name: found.get(name) for name in words} == words
    assert not report.faults, [(check.name, check.expected, check.came) for check in report.faults]


def verdict_of(report, name):
    return next(check.verdict for check in report.checks if check.name == name)


def test_a_table_in_single_precision_is_a_convention():
    assert verdict_of(report_on(diffusers), "precision of 1 - alpha_bar") == "convention"
    assert verdict_of(report_on(ours), "precision of 1 - alpha_bar") == "right"


def test_the_last_step_is_right_where_alpha_bar_is_1():
    assert all(verdict_of(report_on(make), "last step") == "right" for make in (ours, ddpm, diffusers, edm, k_diffusion))


def test_a_last_step_that_ends_at_the_first_level_leaves_noise():
    (fault,) = report_on(lambda: diffusers(last=None)).faults
    assert fault.name == "last step"


@pytest.mark.parametrize("schedule", ["linear", "scaled-linear", "vp"])
def test_another_T_takes_other_points_of_our_curves(schedule):
    (target,) = targets.find("reference:ddpm", {"schedule": schedule}, 60.0)
    report = audit(target, 5)
    assert verdict_of(report, "schedule end at T = 200") == verdict_of(report, "schedule end") != "fault"


def test_the_same_betas_at_another_T_keep_more_of_the_signal():
    report = report_on(lambda: {"betas": lambda T: np.linspace(1e-4, 0.02, T)})
    assert [check.name for check in report.faults] == ["schedule end at T = 200"]


def test_the_rows_are_those_of_the_table():
    rows = GUIDE.read_text(encoding="utf-8")
    for row in ("time", "sub-grid of n steps", "last step", "another T", "the usual prediction", "tables", "variance of a step"):
        assert f"\n| {row} | " in rows, row
