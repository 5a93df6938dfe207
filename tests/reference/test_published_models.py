"""Models for diffusers as runs: their noise levels, their network's inputs, the command line.  tests/peers compares with diffusers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from reference import ops
from reference.diffusion.conversions import betas_of_log_alpha_bar
from reference.diffusion.schedules import cosine, linear, scaled_linear, zero_terminal_snr
from reference.networks import UNet
from reference.runs import diffusers_format, published
from reference.runs.files import write_together
from reference.runs.run import open_run
from reference.runs.trajectory import trajectory
from reference.samplers import final_sample
from reference.samplers.ancestral import prior
from reference.samplers.ddim import ddim
from tests.command_runs import run
from tests.oracle_tolerances import EXACT, U, accumulated, assert_close
from tests.reference.test_diffusers_weights import random_parameters

NETWORK = UNet(size=(8, 8), in_channels=3, channels=(8, 8), groups=4, head_width=None, attention=(0,), freq_shift=1, downsample_padding=0)
SCHEDULER = {"_class_name": "DDPMScheduler", "num_train_timesteps": 50, "beta_end": 0.3, "clip_sample": True}
THOUSAND = {"num_train_timesteps": 1000, "beta_end": 0.02}


@pytest.fixture
def pipeline(tmp_path):
    """A function (network, fields of the scheduler) -> a folder as DDPMPipeline saves it."""

    def make(network=NETWORK, **fields):
        folder = tmp_path / "pipeline"
        for place in (folder, folder / "unet", folder / "scheduler"):
            place.mkdir()
        write_together(folder / "unet", diffusers_format.model_files(network, random_parameters(network)))
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER | fields))
        (folder / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
        return folder

    return make


# noise levels


def table(**fields):
    return published.schedule_of(published.DEFAULTS | fields).log_alpha_bar


@pytest.mark.parametrize(
    "fields, schedule",
    [
        ({}, linear()),
        ({"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}, scaled_linear()),
        ({"beta_schedule": "squaredcos_cap_v2"}, cosine()),
        ({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 40}, cosine(40)),
        ({"rescale_betas_zero_snr": True}, zero_terminal_snr(linear())),
        ({"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3}, None),
    ],
)
def test_their_named_noise_levels_are_ours(fields, schedule):
    expected = np.log(np.array([1, 0.9, 0.72, 0.504])) if schedule is None else schedule.log_alpha_bar
    assert_close(np.exp(table(**fields)), np.exp(expected), accumulated(1000), 1.0)


def test_another_T_keeps_their_betas():
    betas = betas_of_log_alpha_bar(table(num_train_timesteps=11))
    assert_close(betas, 1e-4 + np.arange(11) * 0.00199, 16 * U, 1.0)


def test_a_sigmoid_of_betas_is_symmetric_between_its_ends():
    betas = betas_of_log_alpha_bar(table(beta_schedule="sigmoid", num_train_timesteps=101))
    assert_close(betas + betas[::-1], np.full(101, 0.0201), accumulated(101), 1.0)
    assert_close(betas[0], np.float64(1e-4 + 0.0199 / (1 + np.exp(6))), accumulated(101), 1.0)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"beta_schedule": "laplace"}, "beta_schedule must be one of linear, scaled_linear, sigmoid, squaredcos_cap_v2, got 'laplace'"),
        ({"num_train_timesteps": 2.5}, "num_train_timesteps must be a whole number from 1 on, got 2.5"),
        ({"trained_betas": [0.5]}, "trained_betas must hold 50 numbers, got 1"),
        ({"beta_end": 2.0}, "beta must lie between 0 and 1, got"),
        ({"prediction_type": "flow"}, "prediction_type must be one of epsilon, sample, v_prediction, got 'flow'"),
        ({"rescale_betas_zero_snr": True}, "prediction noise can't tell x_0"),
        ({"_class_name": "ScoreSdeVeScheduler"}, "must be the config of one of DDPMScheduler, .*, got ScoreSdeVeScheduler"),
    ],
)
def test_a_scheduler_that_is_not_supported_is_refused_by_its_field(pipeline, fields, message):
    with pytest.raises(ValueError, match=f"scheduler_config.json .*{message}"):
        open_run(pipeline(**fields))


# the network's inputs


class Recorder:
    """A network that records its inputs and returns x."""

    classes = 0
    outputs = 1

    def __init__(self):
        self.x, self.c = [], []

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        self.x.append(x)
        self.c.append(c)
        return x, None


def test_the_network_gets_x_itself_and_whole_times_from_0_on(pipeline):
    trained = open_run(pipeline())
    recorder = Recorder()
    model = replace(trained.model, network=recorder)
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    for t in (1, 17, 50):
        model.predictor({})(x, t)
        np.testing.assert_array_equal(recorder.x.pop(), x)
        np.testing.assert_array_equal(recorder.c.pop(), np.full(2, t - 1, np.float32))


def test_a_score_scales_x_to_the_signal_and_noise_of_their_levels(pipeline):
    trained = open_run(pipeline(**THOUSAND))
    recorder = Recorder()
    x, schedule = np.ones((1, 8, 8, 3)), trained.model.schedule
    replace(trained.model, network=recorder).score_function({})(x, 1.0, schedule.noise_scale(300) / schedule.signal(300))
    assert_close(recorder.x[0], x * schedule.signal(300), EXACT, 1.0)
    assert_close(recorder.c[0], np.array([299.0]), accumulated(1000), 1000.0)


# sampling


def test_ddim_on_a_published_model_is_ddim_with_its_network(pipeline):
    trained = open_run(pipeline(prediction_type="v_prediction"))
    assert trained.model.prediction == "v" and trained.steps == 0
    x = final_sample(trajectory(trained, ops, np.arange(3), "ddim", 4, steps=5, eta=0.0))
    schedule, params = trained.model.schedule, trained.state.ema
    predict = lambda x, t: NETWORK.forward(params, x, np.full(len(x), t - 1, np.float32))[0]
    expected = final_sample(
        ddim(predict, schedule, schedule.timesteps(5), prior(4, np.arange(3), (8, 8, 3)), 4, np.arange(3), clip=1.0, prediction="v")
    )
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++", "edm", "predictor-corrector"])
def test_every_kind_of_sampler_takes_a_published_model(pipeline, tmp_path, sampler):
    folder = pipeline(**THOUSAND)
    assert run("sample", folder, "--sampler", sampler, "--steps", 3, "--samples", 2, "--out", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert archive["x"].shape == (2, 8, 8, 3) and np.isfinite(archive["x"]).all()


def test_a_picture_of_a_published_model_has_no_real_data(pipeline, tmp_path):
    assert run("sample", pipeline(), "--steps", 2, "--samples", 2, "--out", tmp_path / "s.png") == 0
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_classes_of_a_published_model_are_chosen_by_number(pipeline, tmp_path, capsys):
    folder = pipeline(replace(NETWORK, classes=3))
    out = tmp_path / "s.npz"
    assert run("sample", folder, "--label", 2, "--steps", 2, "--samples", 2, "--out", out) == 0
    with np.load(out) as archive:
        assert archive["labels"].tolist() == [2, 2]
    assert run("sample", folder, "--label", 3, "--steps", 2, "--samples", 2, "--out", tmp_path / "t.npz") == 2
    assert run("sample", folder, "--guidance", 2, "--steps", 2, "--samples", 2, "--out", tmp_path / "t.npz") == 2
    err = capsys.readouterr().err
    assert "label must be 0 to 2" in err and "guidance 2 needs a null label" in err and not (tmp_path / "t.npz").exists()


def test_all_files_may_lie_in_one_folder(pipeline):
    folder = pipeline()
    for path in (folder / "unet").iterdir():
        path.rename(folder / path.name)
    (folder / "scheduler" / "scheduler_config.json").rename(folder / "scheduler_config.json")
    assert open_run(folder).model.network == NETWORK


def test_learned_variances_need_twice_the_channels(pipeline):
    twice = replace(NETWORK, outputs=2)
    folder = pipeline(twice, variance_type="learned_range")
    assert open_run(folder).model.objective == "hybrid"
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    with pytest.raises(ValueError, match="2 times as many channels as its images needs variance_type learned_range, got 'fixed_small'"):
        open_run(folder)


def test_commands_that_need_data_or_a_run_refuse_in_one_sentence(pipeline, tmp_path, capsys):
    folder = pipeline()
    for words in (
        ("evaluate", folder, "--steps", 2),
        ("export", folder, "--out", tmp_path / "w.safetensors"),
        ("train", "ddpm", "--out", folder, "--resume"),
    ):
        assert run(*words) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and ("without its data" in err or "has the form of diffusers" in err or "no run to resume" in err), err
    (folder / "scheduler" / "scheduler_config.json").unlink()
    assert run("sample", folder, "--out", tmp_path / "s.npz") == 2
    assert "holds a UNet2DModel but not its noise levels" in capsys.readouterr().err


# exported runs


@pytest.mark.parametrize("method", ["ddpm", "sde"])
def test_an_exported_run_samples_as_the_run(tmp_path, method):
    words = "--channels 8 8 --batch 2 --steps 2 --classes --label-dropout .1".split()
    assert run("train", method, *words, "--out", tmp_path / "run") == 0
    assert run("export", tmp_path / "run", "--format", "diffusers", "--out", tmp_path / "model") == 0
    for name in ("run", "model"):
        how = ("--sampler", "dpm-solver++", "--steps", 3, "--samples", 4, "--guidance", 2)
        assert run("sample", tmp_path / name, *how, "--out", tmp_path / f"{name}.npz") == 0
    with np.load(tmp_path / "run.npz") as ours, np.load(tmp_path / "model.npz") as again:
        np.testing.assert_array_equal(ours["x"], again["x"])
        np.testing.assert_array_equal(ours["labels"], again["labels"])


def test_an_exported_config_of_another_network_is_refused(tmp_path):
    assert run("train", "ddpm", "--channels", 8, 8, "--batch", 2, "--steps", 1, "--out", tmp_path / "run") == 0
    assert run("export", tmp_path / "run", "--format", "diffusers", "--out", tmp_path / "model") == 0
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["_run"]["config"]["net"]["head_width"] = 4
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="_run describes another network"):
        open_run(tmp_path / "model")
    config["_run"] = [1]
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="_run must hold config and step"):
        open_run(tmp_path / "model")


def test_the_audit_judges_a_published_network_with_named_data(pipeline, capsys):
    folder = pipeline(replace(NETWORK, in_channels=1), clip_sample=False, **THOUSAND)
    assert run("audit", folder, "--steps", 3) == 0
    assert "a denoiser without its data can't be judged" in capsys.readouterr().out
    assert run("audit", folder, "--steps", 3, "--data", "digits") == 1  # its weights are random
    assert capsys.readouterr().out.endswith("\n1 fault: model loss by level\n")


@pytest.mark.parametrize(
    "target, data, said",
    [
        (None, "mixture2d", "a sample of mixture2d has the shape (2,), the network (8, 8, 3)"),
        (None, "digit", "unknown data set"),
        ("reference:ddim", "digits", "--data belongs to a run or a model for diffusers, and not to reference:ddim"),
    ],
)
def test_data_that_a_network_can_not_take_are_refused(target, data, said, pipeline, capsys):
    assert run("audit", target or pipeline(), "--data", data) == 2
    assert said in capsys.readouterr().err
