"""Schedules that end in pure noise or in an underflowing signal, from the table to the samples."""

import json

import numpy as np
import pytest

from reference.ddpm.ddpm import elbo_weight, posterior, reverse_log_variance
from reference.diffusion.conversions import conversion
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.forward_process import forward_step
from reference.diffusion.schedules import (
    SCHEDULES,
    Schedule,
    VarianceExplodingSchedule,
    constant,
    cosine,
    geometric,
    linear,
    zero_terminal_snr,
)
from reference.networks import MLP
from reference.runs.config import build_config
from reference.runs.run import open_run
from reference.runs.sampler_options import OF_ONE_METHOD
from reference.runs.views import noise_range
from tests.command_runs import FEW, run
from tests.oracle_tolerances import EXACT, SDE_FORMULA, UNDERFLOWING_TABLE, assert_close

SERVING = [name for name in FEW if name not in OF_ONE_METHOD]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("T", [2, 3, 20, 1000])
def test_the_rescaled_schedule_keeps_its_first_time_and_ends_in_pure_noise(name, T):
    """s_t is replaced by (s_t - s_T) s_1 / (s_1 - s_T), s = sqrt(alpha_bar), in extended precision."""
    before = SCHEDULES[name](T)
    after = zero_terminal_snr(before)
    s = np.exp(before.log_alpha_bar.astype(np.longdouble) / 2)
    expected = (s - s[-1]) * s[1] / (s[1] - s[-1])
    t = np.arange(1, T)
    assert_close(after.signal(t), expected[1:-1].astype(np.float64), EXACT, 1.0)  # near T a difference of numbers below 1
    # 1 - alpha_bar is small at first and accurate to the digits of extended precision
    assert_close(after.noise_power(t), (1 - expected[1:-1] ** 2).astype(np.float64), EXACT, np.maximum(after.noise_power(t), 2e-5))
    assert after.log_alpha_bar[1] == before.log_alpha_bar[1] and after.signal(0) == 1
    assert after.signal(T) == 0 and after.noise_scale(T) == 1 and after.log_snr(T) == -np.inf and after.last_with_signal == T - 1


def test_pure_noise_is_allowed_only_at_the_end_of_a_preserving_schedule():
    assert Schedule(np.array([0.0, -1.0, -np.inf])).signal(2) == 0
    for table in ([0.0, -np.inf], [0.0, -np.inf, -np.inf], [0.0, -np.inf, -1.0]):
        with pytest.raises(ValueError, match="log_alpha_bar"):
            Schedule(np.array(table))
    with pytest.raises(ValueError, match="sigma_T would be infinite"):
        VarianceExplodingSchedule(np.array([0.0, -1.0, -np.inf]))
    with pytest.raises(ValueError, match="needs T at least 2"):
        zero_terminal_snr(linear(1))


def test_the_step_from_pure_noise_ignores_x_and_draws_the_next_marginal():
    schedule = zero_terminal_snr(linear(10))
    assert_close(posterior(schedule, 10, 7), (0.0, schedule.signal(7), schedule.noise_power(7)), EXACT)
    assert reverse_log_variance(schedule, 10, 7, "beta") == 0.0
    assert_close(elbo_weight(schedule, 10, 7), schedule.signal_power(7) / schedule.noise_power(7) / 2, EXACT)
    x, noise = np.ones((1, 1)), np.full((1, 1), 3.0)
    assert forward_step(schedule, x, 10, 9, noise) == noise


def test_at_zero_signal_x0_and_v_determine_x0_and_noise_does_not():
    assert conversion("v", "x0", 0.0, 1.0) == (0.0, -1.0) and conversion("v", "noise", 0.0, 1.0) == (1.0, 0.0)
    assert conversion("x0", "noise", 0.0, 1.0) == (1.0, 0.0) and conversion("x0", "v", 0.0, 1.0) == (0.0, -1.0)
    for schedule in (zero_terminal_snr(linear(10)), constant(50_000)):
        for prediction in ("v", "x0"):
            Denoiser(MLP(), schedule, prediction)
        try:
            refused = Denoiser(MLP(), schedule, "noise")
        except ValueError as error:
            refused = str(error)
        assert "prediction noise can't tell x_0 from x_T = 0 x_0 + noise" in str(refused) and "take prediction v or x0" in str(refused)


def test_steps_between_underflowing_signals_follow_their_ratio():
    schedule = constant(50_000)
    assert schedule.signal(50_000) == 0 and schedule.last_with_signal < 49_999
    assert_close(schedule.signal_ratio(50_000, 49_999), 0.97**0.5, UNDERFLOWING_TABLE)
    assert_close(posterior(schedule, 50_000, 49_999), (0.97**0.5, 0.0, 0.03), UNDERFLOWING_TABLE, 1.0)


@pytest.mark.parametrize("schedule", [cosine(), constant(50_000), zero_terminal_snr(linear())], ids=["cosine", "underflow", "zero"])
def test_samplers_evaluate_the_score_up_to_1000_data_deviations(schedule):
    from types import SimpleNamespace

    from reference.runs.views import sde_of

    run = SimpleNamespace(model=SimpleNamespace(schedule=schedule, data_variance=0.25))
    smallest, largest = noise_range(run)
    assert_close([smallest, largest], [schedule.noise_scale(1) / schedule.signal(1), 500.0], SDE_FORMULA)
    sde = sde_of(run)
    assert sde.noise_scale(sde.t_max) / sde.signal(sde.t_max) <= 500 * (1 + SDE_FORMULA)


def test_a_noise_level_schedule_is_evaluated_up_to_its_largest_level():
    from types import SimpleNamespace

    run = SimpleNamespace(model=SimpleNamespace(schedule=geometric(10, 0.1, 1e4), data_variance=1.0))
    assert_close(noise_range(run), [0.1, 1e4], SDE_FORMULA)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of a few steps, each with an allowed prediction."""
    folder = tmp_path_factory.mktemp("zero")
    common = "--width 8 --depth 1 --batch 4 --steps 4".split()
    for prediction in ("v", "x0"):
        own = ["--prediction", prediction, *common, "--out", folder / prediction]
        assert run("train", "ddpm", "--data", "mixture1d", "--zero-terminal-snr", *own) == 0
    assert (
        run("train", "ddpm", "--data", "mixture1d", "--schedule", "constant", "--timesteps", 50_000, *common, "--out", folder / "underflow")
        == 0
    )
    small = "--channels 8 8 --batch 2 --steps 2 --timesteps 20".split()
    assert run("train", "ddpm", "--zero-terminal-snr", *small, "--out", folder / "images") == 0
    return folder


@pytest.mark.parametrize("sampler", SERVING)
@pytest.mark.parametrize("name", ["v", "x0", "underflow", "images"])
def test_every_sampler_runs_on_a_schedule_that_ends_in_pure_noise(runs, tmp_path, name, sampler):
    assert run("sample", runs / name, "--sampler", sampler, *FEW[sampler].split(), "--samples", 3, "--out", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert np.isfinite(archive["x"]).all()


@pytest.mark.parametrize("name", ["v", "x0", "underflow"])
def test_evaluate_is_finite_for_a_run_that_ends_in_pure_noise(runs, tmp_path, capsys, name):
    assert run("evaluate", runs / name, "--steps", 5, "--samples", 16, "--out", tmp_path / "evaluation") == 0
    out = capsys.readouterr().out
    assert "NaN" not in (tmp_path / "evaluation" / "results.json").read_text()
    assert "nan" not in out and "inf" not in out.replace("info", "") and "loss of the exact prediction" in out


def test_export_writes_the_rescaled_schedule_for_diffusers(runs, tmp_path):
    assert run("export", runs / "images", "--format", "diffusers", "--out", tmp_path / "unet") == 0
    scheduler = json.loads((tmp_path / "unet" / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler["prediction_type"] == "v_prediction" and scheduler["trained_betas"][-1] == 1.0
    schedule = open_run(runs / "images").model.schedule
    assert_close(np.cumprod(1 - np.array(scheduler["trained_betas"])), schedule.signal_power(np.arange(1, 21)), EXACT)


def test_zero_terminal_snr_needs_method_ddpm_and_prediction_v_or_x0(tmp_path, capsys):
    for words, message in (
        ("sde --data mixture1d --zero-terminal-snr", "--zero-terminal-snr is not an option of train sde"),
        ("ddpm --data mixture1d --zero-terminal-snr --prediction noise", "take prediction v or x0"),
        ("ddpm --data mixture1d --schedule constant --timesteps 50000 --prediction noise", "take prediction v or x0"),
        ("ddpm --data mixture1d --zero-terminal-snr --timesteps 1", "needs T at least 2, got 1"),
    ):
        assert run("train", *words.split(), "--out", tmp_path / "run") == 2
        assert message in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("ends", [[1.0, -1.0], [0.0], [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], ["a", "b"], 3])
def test_an_invalid_data_range_is_refused_when_the_run_is_opened(runs, tmp_path, ends, capsys):
    import shutil

    shutil.copytree(runs / "v", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"data_range": ends}))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.npz") == 2
    assert "can't be read as the config of a run" in capsys.readouterr().err


def test_without_stored_data_range_points_are_not_clipped_and_images_are(runs, tmp_path):
    from reference.runs.trajectory import data_clip

    opened = open_run(runs / "v")
    del opened.config["data_range"]
    x0 = np.float32([[1e6], [-1e6]])
    assert (data_clip(opened, "data")(x0) == x0).all()
    opened = open_run(runs / "images")
    del opened.config["data_range"]
    assert np.abs(data_clip(opened, "data")(np.full((1, 8, 8, 1), 3.0))).max() == 1.0


def test_the_config_states_that_the_schedule_is_rescaled():
    from reference.data import datasets

    config = build_config("ddpm", datasets.load_dataset("mixture1d"), {"data": "mixture1d", "zero_terminal_snr": True})
    assert config["schedule"]["zero_terminal_snr"] is True and config["prediction"] == "v"
    assert "zero_terminal_snr" not in build_config("ddpm", datasets.load_dataset("mixture1d"), {"data": "mixture1d"})["schedule"]
