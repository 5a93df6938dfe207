"""The command line on each method: its network, the samplers that run on it, scores and resumed training."""

import json
import shutil

import numpy as np
import pytest

from reference import ops
from reference.ddpm.indi import Degradation
from reference.diffusion.conversions import convert
from reference.diffusion.denoiser import Denoiser, split_prediction
from reference.diffusion.mixtures import example_2_1
from reference.runs.methods import METHODS
from reference.runs.run import open_run, training_model
from reference.runs.sampler_options import SAMPLERS
from reference.runs.trajectory import initial_sample
from reference.runs.views import score_of
from tests.command_runs import FEW, FOUR_STEPS, IMAGES, POINTS, TINY, files, run, sampled
from tests.oracle_tolerances import EXACT32, FIVE_STEPS32, assert_close, assert_mean


def test_each_method_has_its_network(runs):
    kinds = {name: json.loads((folder / "config.json").read_text())["net"]["kind"] for name, folder in runs.items()}
    assert kinds == {
        "vae": "autoencoder",
        "ddpm": "mlp",
        "smld": "mlp",
        "sde": "mlp",
        "flow": "mlp",
        "indi": "mlp",
        "much noise": "mlp",
    } | {
        "vae images": "autoencoder",
        "smld images": "unet",
        "sde images": "unet",
        "deblur": "unet",
    }


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", [*POINTS, *IMAGES])
def test_every_sampler_runs_on_suitable_methods_and_refuses_others(runs, tmp_path, capsys, name, sampler):
    method, path = open_run(runs[name]).method.name, tmp_path / "s.npz"
    code = run("sample", runs[name], "--sampler", sampler, *FEW[sampler].split(), "--samples", 3, "--out", path)
    message = capsys.readouterr().err
    generates = sampler not in ("indi", "decoder", "consistency") and method != "vae" and name != "deblur"
    if sampler == METHODS[method].sampler or (generates and (name != "indi" or sampler == "langevin")):
        assert code == 0, message
        x = sampled(path)["x"]
        assert x.shape[0] == 3 and x.shape[1:] == open_run(runs[name]).model.network.sample_shape and np.isfinite(x).all()
    else:
        assert code == 2 and not path.exists()
        expected = (
            "needs a run of"
            if sampler in ("indi", "decoder", "consistency")
            else "does not provide a score"
            if method == "vae"
            else "needs a first noise that hides data of root mean square 2"
            if name == "indi"
            else "has a score only"
        )
        assert expected in message and message.count("\n") == 1


@pytest.mark.parametrize("name", [*POINTS, *IMAGES])
@pytest.mark.parametrize("suffix", [".npz", ".png"])
def test_default_samplers_give_the_same_bits_twice(runs, tmp_path, name, suffix):
    few = FEW[open_run(runs[name]).method.sampler].split()
    command = ("sample", runs[name], *few, "--samples", 4, "--out", tmp_path / f"s{suffix}")
    assert run(*command) == 0
    first = (tmp_path / f"s{suffix}").read_bytes()
    assert run(*command) == 0 and (tmp_path / f"s{suffix}").read_bytes() == first


@pytest.mark.parametrize("name", POINTS)
def test_a_sample_depends_only_on_its_index_and_the_seed(runs, tmp_path, name):
    few = FEW[open_run(runs[name]).method.sampler].split()
    for n in (9, 4):
        run("sample", runs[name], *few, "--samples", n, "--out", tmp_path / f"{n}.npz")
    run("sample", runs[name], *few, "--samples", 4, "--seed", 1, "--out", tmp_path / "other.npz")
    nine, four, other = (sampled(tmp_path / f"{file}.npz")["x"] for file in (9, 4, "other"))
    assert_close(nine[:4], four, FIVE_STEPS32, np.abs(four).max())
    assert (other != four).any()  # many samples of an untrained network are clipped to the data range


def test_a_restored_file_also_holds_the_degraded_and_clean_data(runs, tmp_path):
    for noise in ("1", "0.25"):
        assert run("sample", runs["indi"], "--steps", 2, "--samples", 5, "--noise", noise, "--out", tmp_path / f"{noise}.npz") == 0
        arrays, held_out = sampled(tmp_path / f"{noise}.npz"), open_run(runs["indi"]).data.held_out
        assert arrays.keys() == {"x", "degraded", "clean"}
        np.testing.assert_array_equal(arrays["clean"], held_out[:5])
        n = (arrays["degraded"] - arrays["clean"]) / np.float32(noise)
        assert_close(Degradation(float(noise))(arrays["clean"], n), arrays["degraded"], EXACT32, 8.0)
    one, quarter = (sampled(tmp_path / f"{noise}.npz") for noise in ("1", "0.25"))
    assert_close((one["degraded"] - one["clean"]) / 4, quarter["degraded"] - quarter["clean"], EXACT32, 8.0)


# Scores


@pytest.mark.parametrize("name", ["ddpm", "smld", "indi", "smld images"])
def test_the_score_of_a_run_is_minus_its_predicted_noise_over_sigma(runs, name):
    opened = open_run(runs[name])
    schedule, shape = opened.model.schedule, opened.model.network.sample_shape
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    for t in (1, schedule.T // 2, schedule.T):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        prediction, _ = split_prediction(opened.predictor(ops)(x, t))
        noise = convert(prediction, x, opened.model.sampled_prediction, "noise", alpha, sigma)
        score = score_of(opened)(x, alpha, sigma)
        assert score.dtype == np.float32
        assert_close(score, noise / -sigma, 64 * EXACT32, (np.abs(x).max() + 4) / sigma**2)


@pytest.mark.parametrize(
    "name, message", [("vae", "was trained by vae, which does not provide a score"), ("deblur", "only if its degradation is noise alone")]
)
def test_a_run_without_a_score_is_refused(runs, name, message):
    with pytest.raises(ValueError, match=message):
        score_of(open_run(runs[name]))


def test_a_score_outside_the_trained_range_is_refused_naming_the_range(runs):
    score = score_of(open_run(runs["smld"]))
    with pytest.raises(ValueError, match=r"outside of what was trained, -4\.605 to 5\.991"):
        score(np.zeros((1, 1), np.float32), 1.0, 11.0)


def test_explicit_matching_uses_the_exact_or_a_kernel_density(tmp_path):
    train = lambda *words: run("train", "smld", "--objective", "explicit", *words, *FOUR_STEPS, "--out", tmp_path / "-".join(words))
    assert train("--data", "mixture1d") == 0
    opened = open_run(tmp_path / "--data-mixture1d")
    distribution = training_model(opened, opened.data).distribution
    np.testing.assert_array_equal(distribution.means, example_2_1().means)
    assert train("--data", "mixture1d", "--bandwidth", "0.25") == 0
    opened = open_run(tmp_path / "--data-mixture1d---bandwidth-0.25")
    distribution = training_model(opened, opened.data).distribution
    np.testing.assert_array_equal(distribution.means, opened.data.train)
    assert (distribution.covariances == 0.0625).all()


# Training


@pytest.mark.parametrize("name", POINTS)
def test_a_run_extended_by_resume_equals_an_uninterrupted_run(runs, tmp_path, name):
    shutil.copytree(runs[name], tmp_path / "grown")
    assert run("train", POINTS[name].split()[0], "--steps", 7, "--out", tmp_path / "grown", "--resume") == 0
    assert run("train", *POINTS[name].split(), *TINY, "--steps", 7, "--out", tmp_path / "whole") == 0
    grown, whole = (files(tmp_path / folder) for folder in ("grown", "whole"))
    assert {path.name: content for path, content in grown.items()} == {path.name: content for path, content in whole.items()}


# Steps too long


def test_a_langevin_step_above_its_limit_gives_a_one_line_warning(runs, tmp_path, capsys):
    command = ("sample", runs["smld"], "--sampler", "langevin", "--steps", 2, "--samples", 3)
    assert run(*command, "--step-size", 0.2, "--out", tmp_path / "a.npz") == 0
    err = capsys.readouterr().err
    assert "warning: tau = 0.2 is not below the stability limit 0.085: the samples may diverge" in err and err.count("\n") == 1
    assert run(*command, "--step-size", 0.08, "--out", tmp_path / "b.npz") == 0
    assert capsys.readouterr().err == ""


def test_samples_that_diverge_are_not_written(runs, tmp_path, capsys):
    command = ("sample", runs["smld"], "--steps", 200, "--base-step", 1e12, "--samples", 3, "--out", tmp_path / "s.npz")
    assert run(*command) == 2
    err = capsys.readouterr().err
    assert "the samples are not finite" in err and "nothing was written" in err and not (tmp_path / "s.npz").exists()


def test_a_trained_run_opens_as_a_library_model(runs):
    assert isinstance(open_run(runs["ddpm"]).model, Denoiser) and open_run(runs["ddpm"]).model.objective == "hybrid"


def test_each_method_has_its_default_sampler(runs, tmp_path, capsys):
    for name, sampler in {
        "vae": "decoder",
        "ddpm": "ddim",
        "smld": "annealed-langevin",
        "sde": "predictor-corrector",
        "flow": "ddim",
        "indi": "indi",
    }.items():
        assert run("sample", runs[name], *FEW[sampler].split(), "--samples", 2, "--out", tmp_path / f"{name}.npz") == 0
        assert f"of {runs[name]}, {sampler}" in capsys.readouterr().out


def test_only_the_indi_sampler_restores_and_others_start_from_noise(runs, tmp_path, capsys):
    for sampler in ("ode-heun", "ddim", "annealed-langevin"):
        path = tmp_path / f"{sampler}.npz"
        assert run("sample", runs["much noise"], "--sampler", sampler, *FEW[sampler].split(), "--samples", 3, "--out", path) == 0
        assert sampled(path).keys() == {"x"}
        assert run("evaluate", runs["much noise"], "--sampler", sampler, *FEW[sampler].split(), "--samples", 20) == 0
        assert "restored" not in capsys.readouterr().out
    opened, sample = open_run(runs["much noise"]), np.arange(20_000)
    x = initial_sample(opened, ops, sample, "ddim", 0)
    assert_mean(x.astype(np.float64) ** 2, opened.model.data_variance + 25)
    clean = opened.data.held_out[sample % len(opened.data.held_out)].astype(np.float64)
    assert_mean(x * clean, 0.0)


def test_progress_ends_at_the_last_step_of_the_sampler(runs, tmp_path, capsys):
    totals = {"annealed-langevin": 4 * 2 + 1, "langevin": 5, "ddim": 3, "predictor-corrector": 4, "edm": 3, "ode-rk45": 2}
    for sampler, total in totals.items():
        assert (
            run("sample", runs["smld"], "--sampler", sampler, *FEW[sampler].split(), "--samples", 2, "--out", tmp_path / f"{sampler}.npz")
            == 0
        )
        assert f"step {total} of {total}" in capsys.readouterr().out


def test_data_with_less_noise_are_restored_from_their_time_on_the_path(runs, tmp_path):
    """One step gives the estimate at t = noise / trained noise."""
    assert run("sample", runs["indi"], "--steps", 1, "--samples", 5, "--noise", 0.25, "--out", tmp_path / "s.npz") == 0
    opened, arrays = open_run(runs["indi"]), sampled(tmp_path / "s.npz")
    expected = opened.model.denoise_function(opened.state.ema)(arrays["degraded"], 0.25)
    assert_close(arrays["x"], expected, EXACT32, 8.0)
