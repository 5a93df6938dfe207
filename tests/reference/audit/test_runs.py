"""Trained runs are right by the audit: a folder, an exported file, a model of the package."""

import pytest

from accelerated.__main__ import PROGRAM
from reference.audit.adapters import targets
from reference.audit.audit import audit
from reference.audit.target import TargetError
from reference.commands.cli import main
from tests.command_runs import run

STEPS = 1000  # with 300, the network is worse than the best linear denoiser


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = "train ddpm --data mixture2d --width 32 --depth 2 --timesteps 100 --batch 128 --lr 3e-3 --ema 0.99"
    assert run(*words.split(), "--steps", STEPS, "--out", folder) == 0
    return folder


def checks(report):
    return [(check.name, check.expected, check.came) for check in report.faults]


def test_a_trained_run_has_no_fault(trained):
    (target,) = targets.find(str(trained), {}, 60.0)
    assert {"alpha_bar", "add_noise", "denoise", "data", "held_out", "sample", "loss"} <= set(target.pieces)
    report = audit(target, 10)
    assert not report.faults, checks(report)


def test_an_exported_run_has_no_fault(trained, tmp_path):
    assert run("export", trained, "--out", tmp_path / "weights.safetensors") == 0
    assert run("audit", tmp_path / "weights.safetensors", "--steps", 5) == 0


@pytest.mark.parametrize("name", ["smld", "sde", "sde images"])
def test_runs_of_other_methods_are_targets(name, runs):
    (target,) = targets.find(str(runs[name]), {}, 60.0)
    assert {"add_noise", "denoise", "sample"} <= set(target.pieces)
    del target.pieces["denoise"]  # after four steps of training it is no good
    report = audit(target, 5)
    assert not report.faults, checks(report)


@pytest.mark.parametrize("name", ["vae", "indi"])
def test_a_run_without_a_denoiser_at_every_level_is_refused(name, runs):
    with pytest.raises(TargetError, match=f"was trained by {name}"):
        targets.find(str(runs[name]), {}, 60.0)


def test_a_model_of_the_package_is_a_target_without_its_data(monkeypatch):
    monkeypatch.setattr("reference.runs.run.Run.needs_download", lambda run: True)
    (target,) = targets.find("fashion-mnist", {}, 60.0)
    assert "data" not in target and target.shape == (32, 32, 1)
    x = target.call("denoise", x=target_noise(target), t=500)
    assert x.shape == (1, 32, 32, 1)


def target_noise(target):
    import numpy as np

    return np.random.default_rng(0).standard_normal((1, *target.shape))


def test_the_program_of_ports_offers_the_command(capsys):
    assert main(["audit", "reference:ddim", "--steps", "3", "--option", "T=20", "--port", "cpu"], PROGRAM) == 0


@pytest.mark.parametrize(
    "words, message",
    [
        (["fashion-mnist", "--option", "label=3"], "--option belongs to reference:NAME"),
        (["nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_a_run_that_cannot_be_examined_is_refused_in_one_sentence(words, message, capsys):
    assert run("audit", *words) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
