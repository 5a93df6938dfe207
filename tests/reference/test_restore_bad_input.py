"""The command ``restore`` refuses bad input in one sentence, with exit code 2 and no file."""

import numpy as np
import pytest

from tests.command_runs import run
from tests.restoration_examples import grey, picture

FEW = ("--steps", 3, "--n", 2)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Runs without a score, without its derivative, or without a null label."""
    folder = tmp_path_factory.mktemp("others")
    methods = {"vae": "vae --width 8 --depth 1", "blurred": "indi --channels 8 8 --blur 1", "noisy": "indi --channels 8 8 --noise 1"}
    methods["no-null"] = "ddpm --data digits --net mlp --width 8 --depth 1 --classes --label-dropout 0"
    for name, words in methods.items():
        assert run("train", *words.split(), "--batch", 2, "--steps", 2, "--out", folder / name) == 0
    return folder


def test_a_run_without_the_derivative_restores_by_the_other_methods(others, tmp_path, capsys):
    words = (others / "noisy", "--task", "deblur", "--data-index", 0, *FEW)
    assert run("restore", *words, "--out", tmp_path / "o.npz") == 2
    assert "has no derivative of its denoiser; take ddrm, dmps or diffpir" in capsys.readouterr().err
    for method in ("ddrm", "dmps", "diffpir"):
        assert run("restore", *words, "--method", method, "--out", tmp_path / f"{method}.npz") == 0


BAD = {
    "no picture at all": ("--task deblur", "one of the arguments --input --data-index is required"),
    "two pictures": ("--task deblur --input PICTURE --data-index 1", "not allowed with argument"),
    "no task": ("--data-index 1", "required: --task"),
    "another task": ("--task denoise --data-index 1", "invalid choice: 'denoise'"),
    "a misspelt task": ("--task inpant --data-index 1", "did you mean inpaint?"),
    "a misspelt method": ("--task deblur --method pigmd --data-index 1", "did you mean pigdm?"),
    "a misspelt option": ("--task deblur --data-indx 1 --data-index 1", "did you mean --data-index?"),
    "an index below 0": ("--task deblur --data-index -1", "data-index must lie from 0 to 358, the held-out images of"),
    "an index beyond the data": ("--task deblur --data-index 359", "data-index must lie from 0 to 358"),
    "a mask of another task": ("--task deblur --mask MASK --data-index 1", "--mask goes with --task inpaint, not with deblur"),
    "a blur of another task": ("--task inpaint --blur 1 --data-index 1", "--blur goes with --task deblur"),
    "a factor of another task": ("--task inpaint --factor 2 --data-index 1", "--factor goes with --task superres"),
    "a held-out image degraded twice": ("--task deblur --degrade --data-index 1", "--degrade goes with --input"),
    "a factor that does not divide": ("--task superres --factor 3 --data-index 1", "divides height and width, 8 and 8, got 3"),
    "factor 0": ("--task superres --factor 0 --data-index 1", "factor must be a whole number"),
    "blur 0": ("--task deblur --blur 0 --data-index 1", "blur must be a positive number of pixels, at most 8"),
    "blur nan": ("--task deblur --blur nan --data-index 1", "blur must be a positive number of pixels"),
    "a wide blur": ("--task deblur --blur 1e9 --data-index 1", "at most 8, the size of the picture, got 1e+09"),
    "negative noise": ("--task deblur --noise -.1 --data-index 1", "noise must be 0, or from 1e-06 to 1000, got -0.1"),
    "noise nan": ("--task deblur --noise nan --data-index 1", "noise must be 0, or from 1e-06 to 1000, got nan"),
    "infinite noise": ("--task deblur --noise inf --data-index 1", "noise must be 0, or from 1e-06 to 1000, got inf"),
    "steps 0": ("--task deblur --steps 0 --data-index 1", "steps must be at least 2, got 0"),
    "one step": ("--task deblur --steps 1 --data-index 1", "steps must be at least 2, got 1"),
    "steps of a filter": ("--task deblur --method wiener --steps 9 --data-index 1", "wiener has no steps, got --steps 9"),
    "n 0": ("--task deblur --n 0 --data-index 1", "samples must be at least 1"),
    "a negative seed": ("--task deblur --seed -1 --data-index 1", "seed must lie in"),
    "a label without classes": ("--task deblur --label 3 --data-index 1", "--label needs a run with classes"),
    "an own label": ("--task deblur --label own --data-index 1", "restore takes the label of a class, or all, got own"),
    "a degraded picture without a mask": ("--task inpaint --input PICTURE", "--task inpaint needs --mask: which pixels of"),
    "a mask that knows everything": ("--task inpaint --mask WHITE --data-index 1", "white.png leaves nothing to fill in"),
    "a mask that knows nothing": ("--task inpaint --mask BLACK --data-index 1", "black.png leaves no pixel known"),
    "a mask of another size": ("--task inpaint --mask LARGE --data-index 1", "large.png has 9x8 pixels, and"),
    "a mask with alpha": ("--task inpaint --mask ALPHA --data-index 1", "alpha.png has an alpha channel"),
    "a picture with alpha": ("--task deblur --input ALPHA", "alpha.png has an alpha channel: store it without opacity"),
    "a picture of another size": ("--task deblur --input LARGE", "large.png has 9x8 pixels, and RUN takes 8x8"),
    "a large picture to enlarge": ("--task superres --input PICTURE", "takes 4x4, which become 8x8; --degrade takes these"),
    "colours for a grey run": ("--task deblur --input COLOURS", "colours.png has 3 channels, and RUN takes images of 1"),
    "text": ("--task deblur --input TEXT", "text.png can't be read: it is not a PNG file"),
    "no file": ("--task deblur --input NOTHING", "nothing.png can't be read"),
    "a folder": ("--task deblur --input FOLDER", "folder.png can't be read"),
    "another ending": ("--task deblur --data-index 1 --out OUT.gif", "--out must end in .png or .npz"),
    "a data folder": ("--task deblur --data-index 1 --data-dir FOLDER", "data-dir goes with"),
    "points": ("--task deblur --data-index 1 POINTS", "restore needs a run of images, and"),
    "a VAE": ("--task deblur --data-index 1 VAE", "was trained by vae, which does not provide a score"),
    "a classifier": ("--task deblur --data-index 1 fashion-mnist-classifier", "which does not provide a score"),
    "a run that deblurs": ("--task deblur --data-index 1 BLURRED", "has a score only if its degradation is noise alone"),
    "no null label": ("--task deblur --data-index 1 NO-NULL", "restore needs --label, because"),
    "no run": ("--task deblur --data-index 1 NOWHERE", "does not exist"),
}


@pytest.fixture
def places(images_run, points_run, others, tmp_path):
    """Words of BAD -> files and runs."""
    pictures = {
        "PICTURE": grey(),
        "MASK": grey(),
        "WHITE": np.full((8, 8), 128, np.uint8),
        "BLACK": np.full((8, 8), 127, np.uint8),
        "LARGE": grey(0, (8, 9)),
        "ALPHA": np.stack([grey()] * 4, axis=2),
        "COLOURS": np.stack([grey(0), grey(1), grey(2)], axis=2),
    }
    found = {name: picture(tmp_path / f"{name.lower()}.png", x) for name, x in pictures.items()}
    (tmp_path / "text.png").write_text("a picture of a shoe")
    (tmp_path / "folder.png").mkdir()
    found |= {name: tmp_path / f"{name.lower()}.png" for name in ("TEXT", "NOTHING", "FOLDER")}
    found |= {"POINTS": points_run, "VAE": others / "vae", "BLURRED": others / "blurred", "NO-NULL": others / "no-null"}
    return found | {"NOWHERE": tmp_path / "nowhere", "OUT.gif": tmp_path / "new" / "o.gif"}


@pytest.mark.parametrize("words, message", BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_sentence(images_run, places, tmp_path, capsys, words, message):
    given = words.split()
    own = not any(word in given for word in ("POINTS", "VAE", "BLURRED", "NO-NULL", "NOWHERE", "fashion-mnist-classifier"))
    given += [] if "--out" in given else ["--out", tmp_path / "new" / "o.png"]
    capsys.readouterr()
    assert run("restore", *[images_run] * own, *(places.get(word, word) for word in given)) == 2
    out, err = capsys.readouterr()
    assert message.replace("RUN", str(images_run)) in err and err.count("\n") == 1 and "Traceback" not in err, err
    assert out == "" and not (tmp_path / "new").exists()
