"""The command ``restore``: its measurement, files and numbers against independent ones, its settings, and bad input in one sentence."""

import json
import re

import numpy as np
import pytest

from reference import ops, plotting
from reference.commands import restore as command
from reference.commands.cli import Program, main
from reference.data.image_metrics import psnr
from reference.restoration.operators import Cropped, Mask
from reference.restoration.separable import block_mean, blur
from reference.runs.restoration import METHODS
from reference.runs.restoration import restore as core
from reference.runs.run import open_run
from tests.command_runs import TINY, run, sampled
from tests.oracle_tolerances import EXACT32, FIVE_STEPS32, U32, assert_close, assert_printed, z_score
from tests.png_files import png_of
from tests.readable_figures import assert_readable
from tests.restoration_examples import grey, picture

FEW = ("--steps", 3, "--n", 2)
HELD_OUT = 4  # images of the run on colours


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """(a run on 16-bit colours of 7x5 pixels, which are padded to 8x6 for its network; a folder of its held-out images as files)."""
    folder = tmp_path_factory.mktemp("colours")
    for name in ("data", "clean"):
        (folder / name).mkdir()
    x = np.random.default_rng(0).integers(0, 2**16, (20, 7, 5, 3), dtype=np.uint16)
    for i, image in enumerate(x):
        (folder / "data" / f"{i:02}.png").write_bytes(png_of(image, [i % 5] * 7))
    words = "--channels 8 8 --batch 2 --steps 2".split()
    assert run("train", "ddpm", "--data", folder / "data", *words, "--out", folder / "run") == 0
    held_out = open_run(folder / "run").data.held_out[:, :7, :5]
    whole = np.rint((held_out.astype(np.float64) + 1) * 32767.5).astype(np.uint16)
    for i, image in enumerate(whole):
        (folder / "clean" / f"{i}.png").write_bytes(png_of(image, [0] * 7))
    return folder / "run", folder / "clean"


def restored(tmp_path, *words, name="o.npz"):
    """(arrays, settings) of the file that the command writes."""
    out = tmp_path / name
    assert run("restore", *words, "--out", out) == 0
    with np.load(out) as archive:
        return sampled(out), json.loads(str(archive["settings"]))


def hole(h, w):
    known = np.ones((h, w), bool)
    known[h // 4 : h // 4 + h // 2, w // 4 : w // 4 + w // 2] = False
    return known


# the measurement


@pytest.mark.parametrize("task, words", [("inpaint", ()), ("deblur", ("--blur", 1)), ("superres", ("--factor", 2))])
def test_without_noise_the_measurement_is_the_operator_on_the_held_out_image(images_run, tmp_path, task, words):
    arrays, _ = restored(tmp_path, images_run, "--task", task, *words, "--data-index", 3, "--noise", 0, *FEW)
    truth = open_run(images_run).data.held_out[3]
    np.testing.assert_array_equal(arrays["truth"], truth)
    if task == "inpaint":
        expected = np.where(hole(8, 8)[..., None], truth, np.nan)
    elif task == "superres":
        expected = truth.reshape(4, 2, 4, 2, 1).mean(axis=(1, 3))
    else:
        offsets = np.arange(-20, 21)
        kernel = np.exp(-(offsets**2) / 2) / np.exp(-(offsets**2) / 2).sum()
        rows = sum(weight * np.roll(truth, shift, axis=0) for weight, shift in zip(kernel, offsets))
        expected = sum(weight * np.roll(rows, shift, axis=1) for weight, shift in zip(kernel, offsets))
    np.testing.assert_array_equal(np.isnan(arrays["degraded"]), np.isnan(expected))
    known = ~np.isnan(expected)
    assert_close(arrays["degraded"][known], expected[known], EXACT32, 1.0)


def test_the_noise_has_the_wanted_deviation_and_depends_on_seed_and_index(images_run, tmp_path):
    words = (images_run, "--task", "superres", "--factor", 1, *FEW, "--noise", 0.3)
    noises = []
    for i, (index, seed) in enumerate([(3, 0), (3, 1), (4, 0)]):
        arrays, _ = restored(tmp_path, *words, "--data-index", index, "--seed", seed, name=f"{i}.npz")
        noises.append((arrays["degraded"] - arrays["truth"]).ravel() / 0.3)
    z = np.concatenate(noises)  # 192 standard normal numbers: their sum of squares has the deviation sqrt(2 n)
    assert abs((z**2).sum() - z.size) <= z_score() * (2 * z.size) ** 0.5
    assert len({round(float(noise[0]), 6) for noise in noises}) == 3


def test_a_clean_picture_is_degraded_as_the_held_out_image_is(colours, tmp_path):
    folder, clean = colours
    words = (folder, "--task", "deblur", "--method", "dmps", *FEW)
    one, _ = restored(tmp_path, *words, "--data-index", 0, name="1.npz")
    other, _ = restored(tmp_path, *words, "--input", clean / "0.png", "--degrade", name="2.npz")
    assert one.keys() == other.keys() and one["truth"].shape == (7, 5, 3)
    assert_close(other["truth"], one["truth"], EXACT32, 1.0)
    for name in ("degraded", "samples"):
        assert_close(other[name], one[name], FIVE_STEPS32, np.abs(one[name]).max())


def test_bits_are_scaled_to_the_whole_range(images_run, tmp_path):
    for dtype, most in ((np.uint8, 255), (np.uint16, 65535), (bool, 1)):
        x = (np.linspace(0, 1, 64).reshape(8, 8) * most).astype(dtype)
        words = (images_run, "--task", "deblur", "--input", picture(tmp_path / f"{most}.png", x), *FEW)
        arrays, _ = restored(tmp_path, *words, name=f"{most}.npz")
        assert "truth" not in arrays
        assert_close(arrays["degraded"][..., 0], x / (most / 2) - 1, U32, 1.0)


def test_unknown_pixels_of_a_degraded_picture_are_ignored(images_run, tmp_path):
    known = hole(8, 8)
    mask = picture(tmp_path / "mask.png", np.where(known, np.uint8(128), np.uint8(127)))
    x, found = grey(), []
    for i, other in enumerate((x, np.where(known, x, 255 - x))):
        path = picture(tmp_path / f"{i}.png", other)
        arrays, _ = restored(tmp_path, images_run, "--task", "inpaint", "--mask", mask, "--input", path, *FEW, name=f"{i}.npz")
        found.append(arrays)
    np.testing.assert_array_equal(found[0]["samples"], found[1]["samples"])
    np.testing.assert_array_equal(np.isnan(found[0]["degraded"][..., 0]), ~known)


def test_grey_pictures_serve_colour_runs_and_equal_channels_serve_grey_runs(images_run, colours, tmp_path, capsys):
    one = picture(tmp_path / "grey.png", grey(0, (7, 5)))
    arrays, _ = restored(tmp_path, colours[0], "--task", "deblur", "--input", one, *FEW, "--method", "ddrm")
    assert arrays["degraded"].shape == (7, 5, 3) and (arrays["degraded"] == arrays["degraded"][..., :1]).all()
    x = np.repeat(grey()[..., None], 3, axis=2)
    arrays, _ = restored(tmp_path, images_run, "--task", "deblur", "--input", picture(tmp_path / "c.png", x), *FEW, name="2.npz")
    assert_close(arrays["degraded"][..., 0], grey() / 127.5 - 1, U32, 1.0)
    x[2, 3, 1] ^= 1
    words = ("--task", "deblur", "--input", picture(tmp_path / "c.png", x), *FEW, "--out", tmp_path / "3.npz")
    assert run("restore", images_run, *words) == 2
    assert "has 3 channels, and" in capsys.readouterr().err


# samples and estimates


OPERATORS = {
    "inpaint": Mask(np.broadcast_to(hole(7, 5)[..., None], (7, 5, 3))),
    "deblur": blur((7, 5, 3), 1.5),
    "superres": block_mean((7, 5, 3), 1),
}


@pytest.mark.parametrize("task", OPERATORS)
def test_samples_are_those_of_the_method_and_mean_and_deviation_are_theirs(colours, tmp_path, task):
    words = ("--factor", 1) if task == "superres" else ()
    arrays, settings = restored(
        tmp_path, colours[0], "--task", task, *words, "--data-index", 1, "--noise", 0.2, "--seed", 5, "--steps", 3, "--n", 3
    )
    trained, operator = open_run(colours[0]), OPERATORS[task]
    y = operator.measure(arrays["truth"][None], 0.2, 5, np.array([1]), ops)
    x, _ = core(trained, ops, operator, np.repeat(y, 3, axis=0), 0.2, "pigdm", 5, np.arange(3), 3)
    np.testing.assert_array_equal(arrays["samples"], x[:, :7, :5])
    assert_close(arrays["mean"], x[:, :7, :5].mean(axis=0), EXACT32, np.abs(x).max())
    unbiased = np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=0) / 2)[:7, :5]
    assert_close(arrays["deviation"], unbiased, EXACT32, np.abs(x).max())
    assert (settings["task"], settings["method"], settings["steps"], settings["samples"]) == (task, "pigdm", 3, 3)


def test_a_sample_does_not_depend_on_the_number_of_samples(images_run, tmp_path):
    words = (images_run, "--task", "superres", "--data-index", 2, "--steps", 3, "--n")
    four, _ = restored(tmp_path, *words, 4, name="4.npz")
    two, _ = restored(tmp_path, *words, 2, name="2.npz")
    assert_close(four["samples"][:2], two["samples"], FIVE_STEPS32, np.abs(two["samples"]).max())
    assert np.abs(four["samples"][0] - four["samples"][1]).max() > FIVE_STEPS32


@pytest.mark.parametrize("method", METHODS)
def test_every_method_serves_a_picture_without_noise_or_says_that_it_needs_noise(images_run, tmp_path, capsys, method):
    steps = ("--steps", 2) if METHODS[method].steps else ()
    words = ("restore", images_run, "--task", "inpaint", "--data-index", 0, "--method", method, *steps, "--out", tmp_path / "o.npz")
    code = run(*words, "--noise", 0)
    captured = capsys.readouterr()
    if METHODS[method].needs_noise:
        assert code == 2 and f"{method} needs a positive --noise, got 0" in captured.err
        assert run(*words, "--noise", 0.1, "--n", 9) == 0 and "makes one estimate, whatever --n is" in capsys.readouterr().out
        arrays = sampled(tmp_path / "o.npz")
        assert {*arrays} == {"truth", "degraded", "estimate"} and arrays["estimate"].shape == (8, 8, 1)
    else:
        assert code == 0 and "root mean square of y - A x" in captured.out and "Wiener filter         needs a positive" in captured.out
        assert len(sampled(tmp_path / "o.npz")["samples"]) == 4


# the printed numbers


def printed(out, what):
    return re.search(rf"{re.escape(what)} +([-\d.]+)", out)[1]


def test_the_printed_numbers_are_those_of_the_arrays(images_run, tmp_path, capsys):
    arrays, _ = restored(tmp_path, images_run, "--task", "superres", "--method", "ddrm", "--data-index", 2, "--noise", 0.2, *FEW)
    out = capsys.readouterr().out
    truth, y, x = (arrays[name].astype(np.float64) for name in ("truth", "degraded", "samples"))
    quality = lambda image: 10 * np.log10(4 / np.mean((image - truth) ** 2))
    assert_printed(quality(y.repeat(2, axis=0).repeat(2, axis=1)), printed(out, "PSNR of the degraded picture"))
    assert_printed(quality(x.mean(axis=0)), printed(out, "PSNR of the samples' mean"))
    assert_printed(quality(x[0]), printed(out, "PSNR of the first sample"))
    means = x.reshape(2, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    assert_printed(np.mean((y - means) ** 2) / 0.2**2, printed(out, "|y - A x|^2 / (m s_y^2)"))
    assert "  3 network evaluations a sample" in out
    # the Wiener filter, as regression of the pixels on the measured pixels
    train = open_run(images_run).data.train.astype(np.float64)
    small = train.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    train = train.reshape(-1, 64)
    centred, centred_small = train - train.mean(axis=0), small - small.mean(axis=0)
    among = centred_small.T @ centred_small / len(train) + 0.2**2 * np.eye(16)
    weights = np.linalg.solve(among, centred_small.T @ centred / len(train))
    best = train.mean(axis=0) + (y.ravel() - small.mean(axis=0)) @ weights
    assert_printed(quality(best.reshape(8, 8, 1)), printed(out, "PSNR of the Wiener filter"))


def test_a_degraded_picture_has_no_psnr_and_a_clean_one_has(images_run, tmp_path, capsys):
    words = (images_run, "--task", "superres", "--method", "ddrm", *FEW)
    restored(tmp_path, *words, "--input", picture(tmp_path / "small.png", grey(0, (4, 4))))
    out = capsys.readouterr().out
    assert "PSNR" not in out and "|y - A x|^2" in out
    restored(tmp_path, *words, "--input", picture(tmp_path / "whole.png", grey()), "--degrade", name="2.npz")
    assert capsys.readouterr().out.count("PSNR") == 4


def test_psnr_has_its_definition():
    truth = np.zeros((2, 4, 4, 1))
    assert psnr(truth, truth)[0] == np.inf
    assert_close(psnr(np.full_like(truth, 0.2), truth), [20.0, 20.0], EXACT32, 1.0)


# files


@pytest.mark.parametrize("suffix", [".npz", ".png"])
def test_the_same_command_twice_gives_the_same_bits(images_run, tmp_path, suffix):
    path = tmp_path / f"o{suffix}"
    words = ("restore", images_run, "--task", "inpaint", "--data-index", 1, "--steps", 2, "--n", 1, "--out", path)
    assert run(*words) == 0
    before = path.read_bytes()
    assert run(*words) == 0 and path.read_bytes() == before


def test_a_file_with_other_settings_is_not_overwritten(images_run, tmp_path, capsys):
    path = tmp_path / "new" / "o.npz"
    words = ("restore", images_run, "--task", "inpaint", "--data-index", 1, *FEW, "--out", path)
    assert run(*words) == 0
    before = path.read_bytes()
    for other in (("--noise", 0.1), ("--seed", 1), ("--method", "dps"), ("--data-index", 2), ("--steps", 4)):
        assert run(*words, *other) == 2
        assert path.read_bytes() == before and "exists already" in capsys.readouterr().err
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_picture_under_the_same_name_is_another_setting(images_run, tmp_path):
    words = ("restore", images_run, "--task", "deblur", "--input", tmp_path / "x.png", *FEW, "--out", tmp_path / "o.npz")
    picture(tmp_path / "x.png", grey(0))
    assert run(*words) == 0
    picture(tmp_path / "x.png", grey(1))
    assert run(*words) == 2


def test_an_interrupt_leaves_no_file(images_run, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "restore", interrupted)
    assert run("restore", images_run, "--task", "deblur", "--data-index", 1, "--out", tmp_path / "o.png") == 130
    assert [*tmp_path.iterdir()] == [] and capsys.readouterr().err.endswith("interrupted\n")


ROWS = {
    ("inpaint", "pigdm", 3): ["truth", "degraded; blue: unknown", "mean of the samples", "standard deviation", "3 samples"],
    ("inpaint", "pigdm", 1): ["truth", "degraded; blue: unknown", "sample"],
    ("deblur", "wiener", 3): ["truth", "degraded", "estimate"],
    ("superres", "ddrm", 20): ["truth", "degraded", "mean of the samples", "standard deviation", "20 samples"],
}


@pytest.mark.parametrize("task, method, n", ROWS)
def test_the_sheet_shows_truth_degraded_samples_mean_and_deviation(images_run, colours, tmp_path, monkeypatch, task, method, n):
    drawn, own = [], plotting.png_bytes
    monkeypatch.setattr(plotting, "png_bytes", lambda figure, description="": drawn.append(figure) or own(figure, description))
    steps = ("--steps", 3) if METHODS[method].steps else ()
    place = (colours[0], "--factor", 1) if task == "superres" else (images_run,)
    words = (*place, "--task", task, "--method", method, "--n", n, *steps, "--data-index", 1)
    arrays, _ = restored(tmp_path, *words)
    assert run("restore", *words, "--out", tmp_path / "o.png") == 0
    (figure,) = drawn
    assert_readable(figure)
    assert METHODS[method].title in figure.get_suptitle() and task in figure.get_suptitle()
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ROWS[task, method, n]
    shown = {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.get_title()}
    assert_close(shown["truth"], (arrays["truth"].squeeze() + 1) / 2, EXACT32, 1.0)
    if task == "inpaint":
        blue = (shown["degraded; blue: unknown"] == [*(int(plotting.SKY[i : i + 2], 16) / 255 for i in (1, 3, 5))]).all(axis=2)
        np.testing.assert_array_equal(blue, ~hole(8, 8))
    if "deviation" in arrays:
        deviation = (arrays["deviation"].astype(np.float64) ** 2).mean(axis=2) ** 0.5
        assert_close(shown["standard deviation"], deviation, EXACT32, 1.0)


# classes


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes") / "run"
    words = "--data digits --net mlp --steps 2 --classes --label-dropout .5".split()
    assert run("train", "ddpm", *TINY, *words, "--out", folder) == 0
    return folder


def test_without_a_label_the_prior_is_unconditional_and_with_one_it_is_the_class(classes, tmp_path):
    words = (classes, "--task", "deblur", "--data-index", 0, *FEW)
    y = blur((8, 8, 1), 1.5).measure(open_run(classes).data.held_out[:1], 0.05, 0, np.array([0]), ops)
    for given, condition in (((), {"label": 0, "guidance": 0.0}), (("--label", 7), {"label": 7, "guidance": 1.0})):
        arrays, _ = restored(tmp_path, *words, *given, name=f"{len(given)}.npz")
        x, _ = core(open_run(classes), ops, blur((8, 8, 1), 1.5), np.repeat(y, 2, axis=0), 0.05, "pigdm", 0, np.arange(2), 3, **condition)
        np.testing.assert_array_equal(arrays["samples"], x)


# runs without data, a border, a device


def test_a_run_without_its_data_restores_pictures_alone(tmp_path, capsys):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8))
    assert (
        run("train", "ddpm", "--data", tmp_path / "d.npy", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", tmp_path / "run") == 0
    )
    (tmp_path / "d.npy").unlink()
    words = (tmp_path / "run", "--task", "deblur", *FEW)
    capsys.readouterr()
    assert run("restore", *words, "--data-index", 0, "--out", tmp_path / "o.npz") == 2
    assert capsys.readouterr().err.count("\n") == 1
    restored(tmp_path, *words, "--input", picture(tmp_path / "x.png", grey(0, (4, 4))), "--degrade")
    assert f"PSNR of the Wiener filter         needs the training data of {tmp_path / 'run'}" in capsys.readouterr().out


def test_a_picture_of_28x28_lies_within_the_border_of_fashion_mnist(tmp_path):
    path, words = picture(tmp_path / "x.png", grey(0, (28, 28))), ("--task", "deblur", "--method", "ddrm", "--steps", 2, "--n", 1)
    arrays, _ = restored(tmp_path, "fashion-mnist", *words, "--input", path)
    operator, y = Cropped(blur((28, 28, 1), 1.5), (32, 32, 1), (2, 2)), arrays["degraded"][None]
    x, _ = core(open_run("fashion-mnist"), ops, operator, y, 0.05, "ddrm", 0, [0], 2, guidance=0.0)
    assert np.array_equal(arrays["samples"], x[:, 2:30, 2:30])


def test_the_command_works_on_a_port_with_a_device(images_run, tmp_path):
    from tests import device_port

    words = (images_run, "--task", "inpaint", "--data-index", 1, *FEW)
    expected, _ = restored(tmp_path, *words)
    arguments = ["restore", *map(str, words), "--out", str(tmp_path / "d.npz")]
    assert main(arguments, Program(port=lambda arguments: device_port)) == 0
    assert_close(sampled(tmp_path / "d.npz")["samples"], expected["samples"], FIVE_STEPS32, np.abs(expected["samples"]).max())
