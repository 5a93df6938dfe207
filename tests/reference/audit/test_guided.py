"""What the audit finds out about guidance and about the identities between predictions."""

import numpy as np
import pytest

from reference.audit.audit import audit
from reference.audit.levels import PREDICTIONS
from reference.audit.target import Target
from reference.diffusion.guided_gaussian import ode_variance

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-3, 0.12, 100))


def report(guided, **claims):
    return audit(Target("guidance", {"guided": guided}, claims))


def convention(found, name):
    return next((row.target for row in found.conventions if row.name == name), None)


def check(found, name):
    return next((row for row in found.checks if row.name == name), None)


FORMS = {
    "conditional at 1": lambda c, u, w: w * c + (1 - w) * u,
    "conditional at 0": lambda c, u, w: c + w * (c - u),
    "conditional at 10, unconditional at 0": lambda c, u, w: u + w / 10 * (c - u),
    "conditional at -1, unconditional at -2": lambda c, u, w: c + (w + 1) * (c - u),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_weight_is_recognised(name):
    found = report(FORMS[name])
    assert convention(found, "guidance") == name and not found.faults


def test_the_order_of_the_arguments_is_that_of_their_names():
    found = report(lambda uncond, cond, scale: uncond + scale * (cond - uncond))
    assert convention(found, "guidance") == "conditional at 1" and not found.faults


@pytest.mark.parametrize("phi", [0.3, 1.0])
def test_guidance_rescale_is_recognised(phi):
    def guided(c, u, w):
        mixed = u + w * (c - u)
        return phi * mixed * c.std(axis=1, keepdims=True) / mixed.std(axis=1, keepdims=True) + (1 - phi) * mixed

    found = report(guided)
    assert convention(found, "guidance rescale") == f"{phi:.4g}" and not found.faults


def test_clipping_of_large_predictions_does_not_hide_the_weight():
    found = report(lambda c, u, w: np.clip(u + w * (c - u), -1, 1))
    assert convention(found, "guidance") == "conditional at 1" and not found.faults


def test_single_precision_is_no_fault():
    found = report(lambda c, u, w: u + np.float32(w) * (c - u), dtype="float32")
    assert convention(found, "guidance") == "conditional at 1" and not found.faults


def test_a_constant_that_is_added_is_a_fault():
    found = report(lambda c, u, w: u + w * (c - u) + 0.1)
    assert [row.name for row in found.faults] == ["guidance combines both predictions"]


def test_nan_at_weight_0_is_a_fault():
    found = report(lambda c, u, w: (u * w / w if w else u * np.nan) + w * (c - u))
    assert [row.name for row in found.faults] == ["guidance finite"]


def test_a_fault_says_what_it_does_to_gaussian_samples():
    found = report(lambda c, u, w: c if w <= 1 else u + w * (c - u))
    assert f"the ODE gives {ode_variance(1.0, 2.0, 1.0):.4g}," in found.faults[0].effect


def level(t):
    return ALPHA_BAR[t] ** 0.5, (1 - ALPHA_BAR[t]) ** 0.5


def identities(claims=None, **pieces):
    return audit(Target("identities", {"alpha_bar": ALPHA_BAR, **pieces}, {"time": "0-based", **(claims or {})}))


def x0_of(name, clip=np.inf):
    def predict_x0(prediction, t, x):
        alpha, sigma = level(t)
        r0, r1 = PREDICTIONS[name](alpha, sigma)
        return np.clip((r1 * x - sigma * prediction) / (alpha * r1 - sigma * r0), -clip, clip)

    return predict_x0


def own(found):
    """The faults, without those of the short schedule."""
    return [row.name for row in found.faults if "schedule" not in row.name]


@pytest.mark.parametrize("name", PREDICTIONS)
def test_the_prediction_of_predict_x0_is_recognised(name):
    found = identities(predict_x0=x0_of(name))
    assert convention(found, "prediction") == name and not own(found)


@pytest.mark.parametrize("name", ["noise", "v", "score"])
def test_clipping_is_a_convention(name):
    found = identities(predict_x0=x0_of(name, clip=1.0))
    assert convention(found, "clipping in predict_x0") == "x_0 is clipped at 1" and not own(found)


def test_predict_x0_against_a_claim_is_a_fault():
    assert own(identities({"prediction": "noise"}, predict_x0=x0_of("v"))) == ["claimed prediction"]


VELOCITIES = {
    "v": lambda x0, noise, t: level(t)[0] * noise - level(t)[1] * x0,
    "reversed v": lambda x0, noise, t: level(t)[1] * x0 - level(t)[0] * noise,
    "velocity": lambda x0, noise, t: noise - x0,
    "reversed velocity": lambda x0, noise, t: x0 - noise,
}


@pytest.mark.parametrize("name", VELOCITIES)
def test_the_velocity_is_recognised(name):
    found = identities(velocity=VELOCITIES[name])
    assert convention(found, "velocity") == name and not own(found)


def test_the_x0_of_a_velocity_is_x0():
    found = identities(velocity=VELOCITIES["v"], predict_x0=x0_of("v"))
    assert check(found, "x_0 of the velocity").verdict == "right" and not own(found)


def test_a_velocity_beside_a_prediction_of_the_noise_is_no_contradiction():
    assert not own(identities(velocity=VELOCITIES["v"], predict_x0=x0_of("noise")))


def test_without_levels_nothing_is_decided():
    found = audit(Target("identities", {"predict_x0": lambda prediction, t, x: x}))
    assert check(found, "predict_x0").verdict == "not decidable" and not found.faults
