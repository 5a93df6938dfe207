"""Clipping, which limits the effect of network errors on samples, and warnings about wrong samples."""

import re
from argparse import Namespace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.commands.sampler_options import parse_sampler_options
from reference.data import datasets
from reference.diffusion.schedules import cosine, linear
from reference.diffusion.training import train
from reference.runs.config import build_config
from reference.runs.evaluation import quality
from reference.runs.gaussian_check import deviation_on_gaussian_data
from reference.runs.run import new_run, open_run
from reference.runs.sampler_options import OF_ONE_METHOD, SAMPLERS
from reference.runs.sampling import draw
from reference.runs.solvers import clipped_score
from reference.runs.views import score_of
from reference.samplers import final_sample
from reference.samplers.clipping import Clip
from reference.samplers.ddim import ddim
from tests.command_runs import run as command
from tests.oracle_tolerances import EXACT, EXACT32, LINEAR_SAMPLER, assert_close
from tests.reference.test_sampler_distributions import with_warnings

V = 0.5


@given(st.integers(0, 2**32))
def test_clipping_to_the_data_range_never_increases_the_distance_to_data(seed):
    rng = np.random.default_rng(seed)
    low, high = -rng.random(3), rng.random(3)
    truth, prediction = low + (high - low) * rng.random((20, 3)), 5 * rng.normal(size=(20, 3))
    held = Clip(low, high)(prediction)
    assert (np.abs(held - truth) <= np.abs(prediction - truth)).all() and (held >= low).all() and (held <= high).all()
    assert (held == prediction)[(prediction >= low) & (prediction <= high)].all()


def test_an_inactive_clip_changes_neither_samples_nor_evaluations():
    x0 = np.float32([[0.0, 0.9], [1.1, 0.0], [1.3, 0.0], [0.0, np.nan]])
    for active in (True, False):
        clip = Clip(-1.0, 1.0, active)
        assert clip.fraction_outside() == 0.0
        assert clip(x0).dtype == np.float32 and (clip(x0) is x0) == (not active)
        assert clip.fraction_outside() == 0.5 and clip.fraction_outside(0.2) == 0.25


@pytest.mark.parametrize("schedule, steps", [(cosine(), 50), (linear(), 50), (linear(), 5)], ids=["cosine", "linear", "few"])
@pytest.mark.parametrize("prediction", ["noise", "v", "x0"])
def test_an_error_of_the_first_prediction_grows_by_the_derived_factor(schedule, steps, prediction):
    """Gaussian data, and a model with an error d in its first prediction only; many steps follow."""
    d, grid = 1e-3, [*schedule.timesteps(steps)[:2], *(t for t in schedule.timesteps(1000) if t < schedule.timesteps(steps)[1])]
    x = np.zeros((1, 1))

    def model(error):
        def predict(x, t):
            alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
            x0 = alpha * V * x / (alpha**2 * V + sigma**2)
            eps = sigma * x / (alpha**2 * V + sigma**2)
            exact = {"noise": eps, "x0": x0, "v": alpha * eps - sigma * x0}[prediction]
            return exact + (error if t == schedule.T else 0.0)

        return predict

    start = lambda error: final_sample(ddim(model(error), schedule, grid, x, 0, np.arange(1), prediction=prediction))[0, 0]
    alpha, sigma = schedule.signal(grid[0]), schedule.noise_scale(grid[0])
    s, after = sigma / alpha, schedule.noise_scale(grid[1]) / schedule.signal(grid[1])
    of_noise = (s - after) / np.sqrt(V + after**2)
    expected = {"noise": of_noise, "v": alpha * of_noise, "x0": (1 - after / s) / np.sqrt(V + after**2)}[prediction]
    arrived = abs(start(d) - start(0.0)) / (d * V**0.5)
    # DDIM in many steps keeps slightly less of a deviation than the flow
    power = np.prod([deviation_kept(schedule, t, t_prev) for t, t_prev in pairwise(grid[1:])])
    assert_close(arrived, expected * power, LINEAR_SAMPLER)
    assert 0.9 < power <= 1 and (prediction == "noise" or expected <= V**-0.5)


def deviation_kept(schedule, t, t_prev):
    """cos(phi_t - phi_prev) for tan(phi) = sigma / (alpha sqrt(v)): DDIM on Gaussian data, relative to the exact deviation."""
    angle = lambda t: np.arctan2(schedule.noise_scale(t), schedule.signal(t) * V**0.5)
    return np.cos(angle(t) - angle(t_prev))


# The grid of all combinations

SCHEDULED = {
    "linear": {"schedule": "linear"},
    "cosine": {"schedule": "cosine"},
    "vp": {"schedule": "vp"},
    "scaled-linear": {"schedule": "scaled-linear"},
    "constant": {"schedule": "constant"},
    "zero-terminal-snr": {"zero_terminal_snr": True},
}
SERVING = [name for name in SAMPLERS if name not in (*OF_ONE_METHOD, "langevin", "ddpm")]
STEPS = {"euler-maruyama": 100, "milstein": 100, "stochastic-heun": 80, "predictor-corrector": 60, "annealed-langevin": 4, "ode-euler": 50}
GRID = [("points", name, prediction) for name in SCHEDULED for prediction in ("noise", "x0", "v")]
GRID += [("images", "linear", "noise"), ("images", "linear", "x0"), ("images", "cosine", "noise"), ("images", "zero-terminal-snr", "v")]


def trained(folder, kind, name, prediction):
    data, own = datasets.load_dataset("mixture2d" if kind == "points" else "digits"), SCHEDULED[name] | {"prediction": prediction}
    options = own | {"data": data.name, "net": "mlp", "width": 32, "depth": 2}
    found = new_run(folder, build_config("ddpm", data, options))
    for _ in train(found.model, data.train, data.train_labels, found.settings, found.state, 400):
        pass
    return found


def sampled(run, sampler, n, clip="data", **how):
    fields = {name for names in SAMPLERS.values() for name in names}
    own = parse_sampler_options(run, Namespace(**(dict.fromkeys(fields) | {"sampler": sampler, "seed": 0, "clip": clip} | how)))
    return draw(run, ops, n, **own)[0]


@pytest.mark.parametrize("kind, name, prediction", GRID)
def test_every_sampler_is_within_3_times_ancestral_error_or_warns(kind, name, prediction, tmp_path):
    """A small network with little training has large errors.  The distances are computed as in ``evaluate``."""
    if (name, prediction) == ("zero-terminal-snr", "noise"):
        with pytest.raises(ValueError, match="prediction noise can't tell x_0 from x_T = 0 x_0"):
            trained(tmp_path, kind, name, prediction)
        return
    run, n = trained(tmp_path, kind, name, prediction), 300 if kind == "points" else 64
    distance = lambda x: next(iter(quality(x, run.data).values()))
    with np.errstate(all="ignore"):
        ancestral = distance(sampled(run, "ddpm", n, steps=min(100, run.model.schedule.T)))
        for sampler in SERVING:
            x, warned = with_warnings(sampled, run, sampler, n, **({"steps": STEPS[sampler]} if sampler in STEPS else {}))
            assert warned or distance(x) <= 3 * ancestral, (sampler, distance(x), ancestral)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_an_inactive_bound_leaves_the_score_unchanged(tmp_path, prediction):
    run, x = trained(tmp_path, "points", "linear", prediction), np.linspace(-2, 2, 10, dtype=np.float32).reshape(5, 2)
    bounded = clipped_score(run, ops, Clip(-np.inf, np.inf))
    for alpha, sigma in ((1.0, 0.1), (0.7, 0.7), (0.1, 0.9)):
        size = (
            (np.abs(x).max() + 1) * (alpha + sigma) / sigma**2 / min(alpha, 1)
        )  # size of the terms in the conversions through x_0 and through the noise
        assert_close(bounded(x, alpha, sigma), score_of(run)(x, alpha, sigma), EXACT32, size)


@pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")
def test_without_the_bound_a_cosine_noise_network_samples_far_off_the_data(tmp_path):
    """The bound prevents this fault: DDIM's first step divides sigma / alpha by several hundred."""
    run = trained(tmp_path, "points", "cosine", "noise")
    free, held = (np.abs(sampled(run, "ddim", 400, clip)).max() for clip in ("none", "data"))
    assert held < 2 < 5 < free


def test_samples_far_outside_the_data_range_give_a_warning(tmp_path):
    run = trained(tmp_path, "points", "linear", "x0")
    run.state.ema = {name: 3 * array for name, array in run.state.ema.items()}
    _, messages = with_warnings(sampled, run, "ddim", 100)
    assert any(re.match(r"the network's predictions of \d+% of the samples end far outside of the range", text) for text in messages)


@pytest.mark.parametrize("steps, warned", [(50, False), (3, True)])
def test_too_few_steps_for_gaussian_data_give_a_warning(tmp_path, steps, warned):
    run = trained(tmp_path, "points", "linear", "v")
    schedule, v = run.model.schedule, run.model.data_variance
    kept = np.prod([np.cos(phi(schedule, t, v) - phi(schedule, s, v)) for t, s in pairwise(schedule.timesteps(steps))])
    found = deviation_on_gaussian_data(run, "ddim", seed=0, steps=steps, eta=0.0)
    assert abs(found / kept - 1) < 5 / np.sqrt(2 * 1024)  # five standard errors of the Monte Carlo estimate
    _, messages = with_warnings(sampled, run, "ddim", 10, steps=steps)
    assert any("even with a perfect network" in text for text in messages) == warned


def phi(schedule, t, v):
    return np.arctan2(schedule.noise_scale(t), schedule.signal(t) * v**0.5)


@pytest.mark.parametrize(
    "options, prediction",
    [
        ({}, "noise"),
        ({"schedule": "cosine"}, "v"),
        ({"zero_terminal_snr": True}, "v"),
        ({"schedule": "cosine", "prediction": "noise"}, "noise"),
    ],
)
def test_default_prediction_is_v_for_schedules_that_end_in_almost_pure_noise(options, prediction):
    config = build_config("ddpm", datasets.load_dataset("mixture1d"), {"data": "mixture1d"} | options)
    assert config["prediction"] == prediction
    assert_close(config["data_range"], np.array(datasets.load_dataset("mixture1d").range), EXACT)


def test_sample_and_evaluate_use_the_same_sampler_and_bound(tmp_path, capsys):
    assert command("train", "ddpm", "--data", "mixture1d", "--steps", 4, "--width", 8, "--batch", 4, "--out", tmp_path / "run") == 0
    assert command("sample", tmp_path / "run", "--steps", 5, "--out", tmp_path / "x.npz") == 0
    assert command("evaluate", tmp_path / "run", "--steps", 5, "--samples", 16) == 0
    assert capsys.readouterr().out.count("ddim, 5 steps") == 2
    low, high = open_run(tmp_path / "run").config["data_range"]
    with np.load(tmp_path / "x.npz") as arrays:
        assert (arrays["x"] >= np.float32(low)).all() and (arrays["x"] <= np.float32(high)).all()
    assert command("sample", tmp_path / "run", "--clip", "some", "--out", tmp_path / "y.npz") == 2
    assert "argument --clip: invalid choice: 'some'" in capsys.readouterr().err
