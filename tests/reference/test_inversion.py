"""DDIM inversion: the round trip on Gaussian data in closed form, its order, and the commands ``invert`` and ``sample --from``."""

import json

import numpy as np
import pytest

from reference import ops
from reference.diffusion.schedules import vp
from reference.runs import conditions
from reference.runs.inversion import invert, read_latents, reconstruct
from reference.runs.run import open_run
from reference.runs.sampling import BATCH
from reference.samplers import final_sample
from reference.samplers.ddim import ddim, ddim_invert
from tests.command_runs import TINY, run
from tests.oracle_tolerances import accumulated, assert_close, assert_slope
from tests.reference.test_diffusers_weights import random_parameters

V = 0.6  # the variance of Gaussian data


def levels(schedule, grid):
    """(signal, s) at the times of the grid, upwards: s = noise_scale / signal."""
    times = np.array(grid[::-1])
    return schedule.signal(times), schedule.noise_scale(times) / schedule.signal(times)


def factors(schedule, grid):
    """(up, down): inversion and DDIM multiply y = x / signal of N(0, V) data by these numbers.

    The exact noise is y s / (V + s^2).  Each Euler step multiplies y by 1 + (change of s) s / (V + s^2), with s where the step begins; the
    first one upwards evaluates at its end, where the network takes x_0 for x_t, which is smaller by the factor signal.
    """
    alpha, s = levels(schedule, grid)
    slope = s / (V + s**2)
    slope_up = np.append(alpha[1] ** -1 * slope[1], slope[1:-1])
    return np.prod(1 + np.diff(s) * slope_up), np.prod(1 - np.diff(s) * slope[1:])


def exact_noise(schedule):
    return lambda x, t: x * schedule.noise_scale(t) / (V * schedule.signal_power(t) + schedule.noise_power(t))


def round_trip(schedule, n, x):
    grid, predict = schedule.timesteps(n), exact_noise(schedule)
    latents = final_sample(ddim_invert(predict, schedule, grid, x))
    return latents, final_sample(ddim(predict, schedule, grid, latents, 0, np.arange(len(x))))


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_the_round_trip_of_gaussian_data_has_its_closed_form(n):
    schedule, x = vp(50), np.array([[-1.3], [0.4], [2.0]])
    up, down = factors(schedule, schedule.timesteps(n))
    latents, back = round_trip(schedule, n, x)
    assert_close(latents, x * up * schedule.signal(50), accumulated(8 * n), 4.0 * up * schedule.signal(50))
    assert_close(back, x * up * down, accumulated(16 * n), 4.0 * up)


def test_the_round_trip_and_the_latents_err_at_first_order():
    schedule, x, N = vp(6400), np.ones((1, 1)), [100, 200, 400, 800]
    flow = np.sqrt(V * schedule.signal_power(6400) + schedule.noise_power(6400)) / V**0.5  # the probability flow keeps the quantile
    trips = [round_trip(schedule, n, x) for n in N]
    assert_slope(N, np.array([float((latents - flow).item()) for latents, _ in trips]), 1, 0.15)
    assert_slope(N, np.array([float((back - x).item()) for _, back in trips]), 1, 0.15)


# trained runs


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run on digits whose weights are random: a network that does not predict 0."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    words = "--channels 16 16 --prediction v --batch 2 --steps 1".split()
    assert run("train", "ddpm", *words, "--out", folder) == 0
    trained = open_run(folder)
    trained.state.ema = random_parameters(trained.model.network)
    trained.save()
    return folder


def test_the_error_of_a_round_trip_on_digits_halves_with_twice_the_steps(digits):
    trained = open_run(digits)
    x = trained.data.held_out[:2]
    errors = [np.sqrt(np.mean((reconstruct(trained, ops, invert(trained, ops, x, n), n) - x) ** 2)) for n in (25, 50, 100)]
    assert errors[-1] < 0.1
    assert_slope([25, 50, 100], np.array(errors), 1, 0.4)


def test_a_reconstruction_is_not_clipped(digits):
    trained = open_run(digits)
    latents = 5 * invert(trained, ops, trained.data.held_out[:2], 4)
    assert np.abs(reconstruct(trained, ops, latents, 4)).max() > 1.5


def test_latents_of_a_point_do_not_depend_on_its_batch(points_run, monkeypatch):
    trained = open_run(points_run)
    x = trained.data.held_out[:5]
    whole = invert(trained, ops, x, 4)
    monkeypatch.setitem(BATCH, "points", 2)
    assert_close(invert(trained, ops, x, 4), whole, accumulated(8) * 2**29, np.abs(whole).max())


def test_sample_from_latents_is_the_reconstruction_that_invert_measured(digits, tmp_path, capsys):
    out = tmp_path / "latents.npz"
    assert run("invert", digits, "--steps", 2, 4, "--samples", 3, "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    trained = open_run(digits)
    latents, settings = read_latents(out, (8, 8, 1))
    x = trained.data.held_out[:3]
    np.testing.assert_array_equal(latents, invert(trained, ops, x, 4))
    with np.load(out) as archive:
        np.testing.assert_array_equal(archive["x"], x)
    assert settings["steps"] == 4 and settings["samples"] == 3

    assert run("sample", digits, "--from", out, "--out", tmp_path / "back.npz") == 0
    with np.load(tmp_path / "back.npz") as archive:
        back, how = archive["x"], json.loads(str(archive["settings"]))
    np.testing.assert_array_equal(back, reconstruct(trained, ops, latents, 4))
    assert (how["sampler"], how["steps"], how["clip"], how["eta"]) == ("ddim", 4, "none", 0.0)
    error = float(lines[3].split()[2])
    assert lines[3].split()[0] == "4" and abs(error - np.sqrt(np.mean((back - x) ** 2))) <= 5e-4 * error


def test_options_beside_from_replace_those_of_the_latents(digits, tmp_path):
    assert run("invert", digits, "--steps", 2, "--samples", 3, "--out", tmp_path / "l.npz") == 0
    words = "--steps 5 --clip data --samples 2 --sampler ddpm".split()
    assert run("sample", digits, "--from", tmp_path / "l.npz", *words, "--out", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz") as archive:
        how = json.loads(str(archive["settings"]))
        assert len(archive["x"]) == 2 and np.abs(archive["x"]).max() <= 1
    assert (how["sampler"], how["steps"], how["clip"]) == ("ddpm", 5, "data")
    assert run("sample", digits, "--from", tmp_path / "l.npz", "--out", tmp_path / "s.gif") == 0


@pytest.mark.parametrize("name", ["points", "digits"])
def test_a_picture_shows_data_latents_and_reconstructions(name, points_run, digits, tmp_path, capsys):
    folder = {"points": points_run, "digits": digits}[name]
    assert run("invert", folder, "--steps", 3, "--samples", 4, "--out", tmp_path / "l.png") == 0
    assert "wrote" in capsys.readouterr().out and (tmp_path / "l.png").stat().st_size > 1000


def test_images_of_a_folder_are_inverted_in_the_runs_shape(digits, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 7, 5), np.uint8)
    np.save(tmp_path / "mine.npy", images[..., None])
    assert run("invert", digits, "--data", tmp_path / "mine.npy", "--steps", 2, "--samples", 6, "--out", tmp_path / "l.npz") == 0
    latents, _ = read_latents(tmp_path / "l.npz", (8, 8, 1))
    assert len(latents) == 6


# classes


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    words = [*TINY, *"--data digits --net mlp --steps 2 --classes".split()]
    for name, dropout in (("null", ".5"), ("no null", "0")):
        assert run("train", "ddpm", *words, "--label-dropout", dropout, "--out", folder / name) == 0
    return folder


def test_without_a_label_inversion_is_unconditional(classes, tmp_path):
    assert run("invert", classes / "null", "--steps", 3, "--samples", 2, "--out", tmp_path / "l.npz") == 0
    latents, settings = read_latents(tmp_path / "l.npz", (8, 8, 1))
    trained = open_run(classes / "null")
    null = conditions.with_labels(trained, np.full(2, 10))
    null.config = trained.config | {"classes": None}
    null.model.network.classes = 0
    np.testing.assert_array_equal(latents, invert(null, ops, trained.data.held_out[:2], 3))
    assert settings["guidance"] == 0


def test_sample_from_latents_has_the_label_of_the_inversion(classes, tmp_path, capsys):
    folder = classes / "no null"
    assert run("invert", folder, "--steps", 3, "--out", tmp_path / "l.npz") == 2
    err = capsys.readouterr().err
    assert "invert needs --label, because" in err and err.count("\n") == 1 and not (tmp_path / "l.npz").exists()
    assert run("invert", folder, "--label", 7, "--steps", 3, "--samples", 2, "--out", tmp_path / "l.npz") == 0
    assert run("sample", folder, "--from", tmp_path / "l.npz", "--out", tmp_path / "s.npz") == 0
    with np.load(tmp_path / "s.npz") as archive:
        assert archive["labels"].tolist() == [7, 7]


# bad input


def _latents(path, **changes):
    arrays = {"latents": np.zeros((2, 8, 8, 1), np.float32), "settings": np.array('{"steps": 2}')} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"latents": None}, "it must be a .npz file that invert wrote"),
        ({"settings": None}, "it must be a .npz file that invert wrote"),
        ({"settings": np.array("[]")}, "it must be a .npz file that invert wrote"),
        ({"latents": np.zeros((2, 4, 8, 1), np.float32)}, "must hold latents of shape"),
        ({"latents": np.zeros((0, 8, 8, 1), np.float32)}, "must hold latents of shape"),
        ({"latents": np.full((2, 8, 8, 1), np.nan, np.float32)}, "must be finite float32 numbers"),
        ({"latents": np.zeros((2, 8, 8, 1))}, "must be finite float32 numbers"),
    ],
)
def test_files_that_hold_no_latents_are_refused(digits, tmp_path, capsys, changes, message):
    path = _latents(tmp_path / "l.npz", **changes)
    assert run("sample", digits, "--from", path, "--out", tmp_path / "s.npz") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (tmp_path / "s.npz").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        ("invert RUN --steps 0 --out OUT", "steps must be"),
        ("invert RUN --steps 1001 --out OUT", "steps must be a whole number from 1 to T = 1000"),
        ("invert RUN --samples 0 --out OUT", "samples must be at least 1, got 0"),
        ("invert RUN --data mixture1d --out OUT", "mixture1d holds samples of shape"),
        ("invert RUN --label 3 --out OUT", "--label needs a run with classes"),
        ("sample RUN --from LATENTS --sampler edm --out OUT", "--from needs --sampler ddim or ddpm, got edm"),
        ("sample RUN --from LATENTS --samples 3 --out OUT", "l.npz holds 2 latents, got samples 3"),
        ("sample RUN --from NOTHING --out OUT", "can't be read as latents"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(digits, tmp_path, capsys, words, message):
    places = {"RUN": digits, "OUT": tmp_path / "o.npz", "LATENTS": _latents(tmp_path / "l.npz"), "NOTHING": tmp_path / "no.npz"}
    assert run(*(places.get(word, word) for word in words.split())) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (tmp_path / "o.npz").exists()


def test_a_model_without_data_needs_images(digits, tmp_path, capsys):
    from tests.reference.test_published_models import NETWORK, SCHEDULER, diffusers_format, write_together

    write_together(tmp_path, diffusers_format.model_files(NETWORK, random_parameters(NETWORK)))
    (tmp_path / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    assert run("invert", tmp_path, "--steps", 2, "--out", tmp_path / "l.npz") == 2
    assert "holds a model without its data" in capsys.readouterr().err
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8))
    assert run("invert", tmp_path, "--data", tmp_path / "mine.npy", "--steps", 2, "--out", tmp_path / "l.npz") == 0
