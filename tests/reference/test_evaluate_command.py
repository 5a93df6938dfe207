"""The command ``evaluate`` on each method: its numbers beside exact values and bounds, its files and figures."""

import json
from itertools import dropwhile, takewhile

import numpy as np
import pytest

from reference import plotting
from reference.commands.evaluation_figures import neighbour_figure
from reference.runs.methods import METHODS
from reference.runs.run import open_run
from tests.command_runs import FEW, FOUR_STEPS, IMAGES, POINTS, run
from tests.oracle_tolerances import EXACT32, FLOOR, assert_close, z_score
from tests.readable_figures import assert_readable


@pytest.mark.parametrize("matching", ["denoising", "implicit"])
def test_score_matching_in_1d_reaches_near_its_floor_in_seconds(tmp_path, capsys, matching):
    command = "train smld --data mixture1d --net mlp --steps 1500 --batch 128 --objective".split()
    assert run(*command, matching, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert run("evaluate", tmp_path / "run", "--steps", 2, "--samples", 20) == 0
    rows = dict(line.strip().rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    loss, exact = float(rows["loss"]), float(rows["loss of the exact prediction"])
    assert exact < loss < (1 + FLOOR) * exact
    assert float(rows["loss of predicting zero"]) > 1.5 * exact


def test_evaluate_reports_each_method_with_its_bounds(runs, capsys):
    rows = {
        "vae": ["-ELBO, reconstruction term", "-ELBO, kl term", "importance weights", "exact -log p", "sliced wasserstein of real"],
        "ddpm": ["loss of the exact prediction", "-ELBO, consistency term", "exact -log p"],
        "smld": ["loss of the exact prediction", "its expectation, by quadrature", "-ELBO (nats)"],
        "indi": ["loss of the exact posterior mean", "error of the degraded", "error of the restored in one step"],
        "sde": ["loss of the exact prediction", "-log p with noise 0.01 (nats)", "exact -log p"],
        "flow": ["loss of the exact prediction", "-log p with noise 0.01 (nats)", "exact -log p", "best linear denoiser"],
        "sde images": ["-log p (bits per dimension, bins of 0.125)", "memorising denoiser", "Fréchet distance", "held-out images"],
        "vae images": ["-log p of the best linear VAE", "precision", "recall", "nearest training image"],
        "deblur": ["frechet, in one step", "error of the restored by indi"],
    }
    for name, expected in rows.items():
        few = FEW["ddim" if name == "ddpm" else open_run(runs[name]).method.sampler].split()
        assert run("evaluate", runs[name], *few, "--samples", 20) == 0
        out = capsys.readouterr().out
        for row in expected:
            assert row in out, f"{name}: {row}"


UNITS = {
    "vae": "-ELBO (nats an example)",
    "ddpm": "hybrid loss",
    "smld": "sigma^2 times",
    "sde": "squared error per entry of the predicted noise",
    "flow": "squared error per entry, weighted by min-snr",
    "indi": "squared error per entry",
}


@pytest.mark.parametrize("name", [*POINTS, *IMAGES])
def test_evaluate_writes_its_results_and_figures(runs, tmp_path, capsys, monkeypatch, name):
    drawn = []
    monkeypatch.setattr(
        plotting, "png_bytes", lambda figure, description="", png=plotting.png_bytes: drawn.append(figure) or png(figure, description)
    )
    trained = open_run(runs[name])
    method = trained.method.name
    command = ("evaluate", runs[name], *FEW["ddim" if method == "ddpm" else METHODS[method].sampler].split(), "--samples", 20)
    assert run(*command, "--out", tmp_path / "out") == 0
    out, results = capsys.readouterr().out, json.loads((tmp_path / "out" / "results.json").read_text())
    indented = lambda line: line.startswith("  ")
    rows = takewhile(indented, dropwhile(lambda line: not indented(line), out.splitlines()))
    printed = dict(line.strip().rsplit(None, 1) for line in rows)
    assert {key: float(value) for key, value in printed.items()} == {key: float(f"{v:.5g}") for key, v in results["results"].items()}
    assert results["config"]["method"] == method and results["sampling"]["samples"] == 20 and results["by level"]
    for name, losses in results["by level"].items():
        if "loss" in losses:
            assert all(f"{m:.4g} ± {e:.2g}" in out for m, e in zip(losses["loss"], losses["standard error"])), name
    for name, columns in results["quality"].items():
        assert all(f"  {estimate['value']:.4g}" in out for estimate in columns.values()), name
    assert bool(results["quality"]) == trained.data.is_image == bool(results["features"])
    loss, levels, samples, *neighbours = drawn
    for figure in drawn:
        assert_readable(figure)
    assert levels.axes[0].get_xlabel().startswith("latent variable" if method == "vae" else "noise level")
    assert loss.get_suptitle().startswith("Training loss: ") and UNITS[method] in loss.axes[0].get_ylabel()
    assert len(loss.axes[0].lines[0].get_xdata()) == results["results"]["training steps"]
    titles = [axes.get_title() for axes in samples.axes]
    assert len(titles) >= 2 and (titles[0] == "20 of the data" or titles[0] == "clean data")
    files = {"results.json", "loss.png", "latents.png" if method == "vae" else "loss_by_noise_level.png", "samples.png"}
    assert len(neighbours) == trained.data.is_image
    assert {path.name for path in (tmp_path / "out").iterdir()} == files | ({"neighbours.png"} if neighbours else set())
    assert run(*command, "--out", tmp_path / "out") == 2
    assert "results.json exists already: name another --out" in capsys.readouterr().err


def test_neighbours_png_shows_the_nearest_training_image_of_each_sample(runs):
    trained = open_run(runs["sde images"])
    copies = trained.data.train[[7, 3, 11, 5]] + np.float32(0.01)
    samples, nearest = neighbour_figure(trained, copies, "").axes
    assert nearest.get_title() == "the nearest training image of each"
    assert_close(np.array(nearest.images[0].get_array()), plotting.mosaic(copies - np.float32(0.01), 2)[..., 0], EXACT32, 1.0)
    assert samples.get_title() == "4 samples"


def test_a_classifier_measures_samples_by_class_in_its_features(tmp_path, capsys, points_run):
    few = ("--channels", 8, 8, "--batch", 2, "--steps", 2)
    assert run("train", "ddpm", "--classes", *few, "--out", tmp_path / "run") == 0
    assert run("train", "classifier", "--channels", 8, "--batch", 2, "--steps", 2, "--out", tmp_path / "classifier") == 0
    command = ("evaluate", tmp_path / "run", "--steps", 2, "--samples", 20, "--classifier")
    assert run(*command, tmp_path / "classifier", "--out", tmp_path / "out") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["features"] == f"features of the classifier {tmp_path / 'classifier'}"
    assert all(0 <= results["quality"]["class_accuracy"][column]["value"] <= 1 for column in ("samples", "real"))
    assert run(*command, tmp_path / "classifier", "--guidance", 0, "--out", tmp_path / "unconditional") == 0
    results = json.loads((tmp_path / "unconditional" / "results.json").read_text())
    assert [*results["quality"]["class_accuracy"]] == ["real"]
    capsys.readouterr()
    assert run(*command, tmp_path / "run") == 2
    assert f"classifier must be a run of train classifier, got {tmp_path / 'run'}" in capsys.readouterr().err
    assert run("evaluate", points_run, "--steps", 2, "--samples", 20, "--classifier", tmp_path / "classifier") == 2
    assert "takes images of shape (8, 8, 1), not (1,)" in capsys.readouterr().err


def test_evaluate_accepts_more_latent_variables_than_data_directions(tmp_path, capsys):
    np.savez(tmp_path / "line.npz", x=np.outer(np.linspace(-1, 1, 100), [1.0, 2.0]).astype(np.float32))
    command = ("train", "vae", "--data", tmp_path / "line.npz", "--latent", 1, *FOUR_STEPS, "--out", tmp_path / "run")
    assert run(*command) == 0 and run("evaluate", tmp_path / "run", "--samples", 10) == 0
    out = capsys.readouterr().out
    assert "-ELBO (nats)" in out and "best linear VAE" not in out


def test_the_loss_floor_by_quadrature_is_near_the_floor_on_draws(runs, capsys):
    """Over 16,384 draws of a loss below 1 with a deviation of about 1."""
    assert run("evaluate", runs["smld"], "--steps", 2, "--samples", 20) == 0
    rows = dict(line.strip().rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    difference = float(rows["its expectation, by quadrature"]) - float(rows["loss of the exact prediction"])
    assert abs(difference) < z_score() / 16_384**0.5
