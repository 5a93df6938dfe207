"""The models of the package: their files, their config, their samples, and the folder that has precedence."""

import hashlib
import json
import re
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from accelerated import cpu
from reference import ops
from reference.conformance.tolerances import assert_network_within_tolerance
from reference.data.captions import KINDS
from reference.runs import exported
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from tests.command_runs import run
from tests.oracle_tolerances import LISTED_MEANS, SHOWN_SHARE

MODELS = json.loads((exported.FOLDER / "models.json").read_text(encoding="utf-8"))


def test_the_models_of_the_package_are_the_listed_ones():
    assert [*exported.package_models()] == sorted(MODELS)
    assert sum(path.stat().st_size for path in exported.package_models().values()) < 10e6


@pytest.mark.parametrize("name", MODELS)
def test_weights_and_config_of_a_model_are_the_listed_ones(name):
    path, listed = exported.package_models()[name], MODELS[name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == listed["sha256"]
    opened = open_run(name)
    assert opened.method.name == listed["method"] and opened.state.step == listed["steps"]
    assert opened.steps == listed.get("steps_of_run", listed["steps"])
    assert opened.config["data"] == listed["data"]
    assert opened.config.get("vocabulary") if name == "captions" else len(opened.config["classes"]) == 10
    assert "/" not in json.dumps(opened.config).replace("T-shirt/top", "")  # no path of a machine


def test_the_model_of_images_can_be_distilled_and_guided():
    # progressive distillation needs v or x0
    config = open_run("fashion-mnist").config
    assert config["prediction"] == "v" and config["schedule"]["name"] == "cosine"
    assert config["net"]["classes"] == 11 and config["training"]["label_dropout"] == 0.1


def drawn(opened, port, n):
    how = sampler_options(opened, "dpm-solver++", 1, steps=10, guidance=2.0)
    return draw(opened, port, n, **how)[0]


def in_float64(opened):
    """The run, and the reference's ops with noise in float64: samplers then compute in float64."""
    weights = {name: array.astype(np.float64) for name, array in opened.state.ema.items()}
    noise = lambda *key: ops.normal(*key).astype(np.float64)
    state = replace(opened.state, ema=weights)
    return replace(opened, state=state), SimpleNamespace(**vars(ops) | {"normal": noise})


@pytest.mark.parametrize("name", ["fashion-mnist", "captions"])
def test_reference_and_port_draw_the_listed_samples(name):
    opened = open_run(name)
    exact = drawn(*in_float64(opened), 2)
    # in float64 two processors differ by some 1e-16 a step; numbers are listed with eight digits
    np.testing.assert_allclose(exact.mean(axis=(1, 2, 3)), MODELS[name]["sample_means"], atol=LISTED_MEANS)
    single = drawn(opened, ops, 2)
    assert_network_within_tolerance("samples", {"x": drawn(opened, cpu, 2)}, {"x": single}, {"x": exact})


def test_samples_of_the_model_are_images_of_their_class():
    opened, classifier = open_run("fashion-mnist"), open_run("fashion-mnist-classifier")
    log_p = classifier.model.log_probabilities(classifier.state.ema, drawn(opened, cpu, 40), ops=cpu)
    assert (log_p.argmax(axis=1) == np.arange(40) % 10).mean() >= 0.85


@pytest.mark.parametrize("caption", ["a red 3 on the left", "a red 0 on the left"])
def test_samples_of_the_model_of_captions_show_what_the_caption_names(tmp_path, capsys, caption):
    """The second caption names a combination that training does not have."""
    words = "--sampler dpm-solver++ --steps 8 --guidance 2 --n 12 --caption".split()
    assert run("sample", "captions", *words, caption, "--out", tmp_path / "s.npz") == 0
    seen = dict(re.findall(r"(colour|digit|place) ([0-9.]+)%", capsys.readouterr().out))
    assert all(float(seen[kind]) >= 100 * SHOWN_SHARE for kind in KINDS)


def test_sample_prints_how_many_labels_the_classifier_finds(tmp_path, capsys):
    words = "--sampler dpm-solver++ --steps 5 --samples 4 --guidance".split()
    assert run("sample", "fashion-mnist", *words, 2, "--out", tmp_path / "s.npz") == 0
    assert "classifier fashion-mnist-classifier finds the label of 100.0% of the samples" in capsys.readouterr().out
    assert run("sample", "fashion-mnist", *words, 0, "--out", tmp_path / "t.npz") == 0
    assert "finds the label" not in capsys.readouterr().out


def test_a_folder_with_the_name_of_a_model_has_precedence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "--channels 8 8 --batch 2 --steps 1 --out fashion-mnist".split()
    assert run("train", "ddpm", *words) == 0
    with pytest.warns(exported.NameWarning, match="the folder fashion-mnist is used, not the package's model of that name"):
        assert open_run("fashion-mnist").config["data"] == "digits"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_run("fashion-mnist-classifier").method.name == "classifier"


def test_the_command_line_prints_which_of_two_models_is_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("train", "ddpm", *"--channels 8 8 --batch 2 --steps 1 --out fashion-mnist".split()) == 0
    assert run("sample", "fashion-mnist", "--steps", 2, "--samples", 2, "--out", "s.npz") == 0
    assert "warning: the folder fashion-mnist is used" in capsys.readouterr().err


@pytest.mark.parametrize("name, label", [("fashion-mnist", "hat"), ("fashion-mnist", "10")])
def test_a_label_that_the_model_lacks_is_refused(tmp_path, capsys, name, label):
    assert run("sample", name, "--label", label, "--out", tmp_path / "s.png") == 2
    assert "T-shirt/top, trouser" in capsys.readouterr().err and not (tmp_path / "s.png").exists()


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path, capsys):
    assert run("sample", "fashion-minst", "--out", tmp_path / "s.png") == 2
    error = capsys.readouterr().err
    assert "fashion-minst" in error and "fashion-mnist, fashion-mnist-classifier" in error
