"""Samples of runs with captions: the caption of each sample, guidance, files, pictures, and their judge."""

import json
import shutil

import numpy as np
import pytest

from accelerated import cpu
from reference import ops, plotting
from reference.commands.sample import with_origin
from reference.data.captions import KINDS, LENGTH, WORDS, caption_of, decode, encode, render
from reference.data.datasets import load_dataset
from reference.runs import sampling
from reference.runs.conditions import labels_of, with_labels
from reference.runs.judges import judge_of
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from tests.command_runs import CAPTIONS, randomised, run, sampled

# few steps
pytestmark = [pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning"), pytest.mark.usefixtures("few_captions")]
TWO = "--sampler ddim --steps 2".split()
DDIM = {"steps": 2, "seed": 0, "eta": 0.0}
PAIR = ["a red 3", "a 7 at the top"]


@pytest.fixture(scope="module")
def captioned(captioned_run, tmp_path_factory):
    """A run with random weights, which make every caption count."""
    folder = shutil.copytree(captioned_run, tmp_path_factory.mktemp("random") / "run")
    opened = randomised(folder)
    opened.save()
    return folder


@pytest.fixture(scope="module")
def others(few_captions, tmp_path_factory):
    """Folders of runs without what a condition needs, by the word for it."""
    folder = tmp_path_factory.mktemp("others")
    digits = "--channels 8 8 --batch 2".split()
    words = {"CLASSES": [*digits, "--classes"], "PLAIN": digits, "UNDROPPED": [*CAPTIONS, "--label-dropout", 0]}
    for name, own in words.items():
        assert run("train", "ddpm", *own, "--steps", 1, "--out", folder / name) == 0
    return {name: folder / name for name in words}


def drawn(opened, n, port=ops, **how):
    return draw(opened, port, n, **sampler_options(opened, "ddim", steps=2, **how))[0]


# The caption of each sample.


def test_samples_take_the_captions_in_turn(captioned, tmp_path, capsys):
    assert run("sample", captioned, *TWO, "--caption", *PAIR, "--samples", 5, "--out", tmp_path / "x.npz") == 0
    assert "5 samples of" in (shown := capsys.readouterr().out) and "2 captions" in shown
    arrays, in_turn = sampled(tmp_path / "x.npz"), [PAIR[k % 2] for k in range(5)]
    assert set(arrays) == {"x", "captions"} and arrays["captions"].tolist() == in_turn
    settings = json.loads(str(np.load(tmp_path / "x.npz")["settings"]))
    assert (settings["caption"], settings["guidance"]) == (PAIR, 1)
    fixed = with_labels(open_run(captioned), np.array([encode(text)[0] for text in in_turn]))
    np.testing.assert_array_equal(arrays["x"], draw(fixed, ops, 5, sampler="ddim", **DDIM)[0])


def test_a_sample_depends_on_its_index_and_caption_alone(captioned):
    """On the CPU port: BLAS, of the reference, chooses the order of sums by the number of samples."""
    opened = open_run(captioned)
    turn, first, few = (drawn(opened, n, cpu, caption=texts, guidance=2.0) for n, texts in ((4, PAIR), (4, PAIR[:1]), (2, PAIR[:1])))
    np.testing.assert_array_equal(turn[[0, 2]], first[[0, 2]])
    assert (turn[1] != first[1]).any()
    np.testing.assert_array_equal(few, first[:2])


def test_captions_may_be_in_capitals_and_in_any_order(captioned):
    opened = open_run(captioned)
    small, capitals, turned = (drawn(opened, 1, caption=[text]) for text in ("a red 3", "A Red  3", "3 red a"))
    np.testing.assert_array_equal(small, capitals)
    assert (small != turned).any()
    how = {"sampler": "ddim", "seed": 0, "caption": ["3 Red A"]}
    assert with_origin(opened, ops, turned, how)["captions"].tolist() == ["3 red a"]


def test_without_a_caption_samples_have_those_of_the_held_out_images(captioned, tmp_path):
    opened = open_run(captioned)
    own = opened.data.held_out_labels
    np.testing.assert_array_equal(labels_of(opened, np.array([0, 99, 100, 205])), own[[0, 99, 0, 5]])
    assert run("sample", captioned, *TWO, "--samples", 3, "--out", tmp_path / "x.npz") == 0
    assert sampled(tmp_path / "x.npz")["captions"].tolist() == [decode(tokens) for tokens in own[:3]]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm-solver++", "euler-maruyama"])
def test_guidance_weights_1_and_0_are_with_and_without_the_caption(captioned, sampler):
    opened = open_run(captioned)
    how = sampler_options(opened, sampler, steps=2, caption=PAIR)
    plain = {name: value for name, value in how.items() if name not in ("caption", "guidance")}
    for weight, texts in ((1, PAIR), (0, [None, None])):
        tokens = np.array([encode(text)[0] for text in texts])
        x, evaluations = draw(opened, ops, 2, **how | {"guidance": weight})
        np.testing.assert_array_equal(x, draw(with_labels(opened, tokens), ops, 2, **plain)[0])
    _, twice = draw(opened, ops, 2, **how | {"guidance": 2})
    assert twice == 2 * evaluations


def test_latents_keep_their_captions(captioned, tmp_path):
    words = ["--steps", 2, "--samples", 3, "--caption", *PAIR]
    assert run("invert", captioned, *words, "--out", tmp_path / "latents.npz") == 0
    changes = {"kept": ([], 1), "guided": (["--guidance", 2], 2), "changed": (["--caption", "a 9", "--guidance", 2], 2)}
    for name, (own, guidance) in changes.items():
        words = ["--from", tmp_path / "latents.npz", *own, "--out", tmp_path / f"{name}.npz"]
        assert run("sample", captioned, *words) == 0
        assert json.loads(str(np.load(tmp_path / f"{name}.npz")["settings"]))["guidance"] == guidance
    kept, guided, changed = (sampled(tmp_path / f"{name}.npz") for name in changes)
    assert kept["captions"].tolist() == guided["captions"].tolist() == [*PAIR, PAIR[0]]
    assert changed["captions"].tolist() == ["a 9"] * 3 and (kept["x"] != changed["x"]).any()


# Files.


def test_a_file_of_batches_has_the_bytes_and_the_judgement_of_samples_drawn_at_once(captioned, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sampling.BATCH, "images", 3)  # no multiple of the captions
    assert run("sample", captioned, *TWO, "--caption", *PAIR, "--samples", 5, "--out", tmp_path / "many.npz") == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    opened, settings = open_run(captioned), json.loads(str(np.load(tmp_path / "many.npz")["settings"]))
    how = {name: settings[name] for name in settings if name not in ("run", "weights", "samples")}
    arrays = with_origin(opened, ops, draw(opened, ops, 5, **how)[0], how)
    np.savez(tmp_path / "once.npz", **arrays, settings=np.array(json.dumps(settings)))
    assert (tmp_path / "many.npz").read_bytes() == (tmp_path / "once.npz").read_bytes()
    judge = judge_of(opened)
    assert printed == judge.sentence(judge.count(arrays, ops), 5)
    assert run("sample", captioned, *TWO, "--caption", *PAIR, "--samples", 2, "--out", tmp_path / "few.npz") == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed == judge.sentence(judge.count(sampled(tmp_path / "few.npz"), ops), 2)
    assert run("sample", captioned, *TWO, "--guidance", 0, "--samples", 2, "--out", tmp_path / "none.npz") == 0
    assert "agree" not in capsys.readouterr().out


@pytest.fixture
def sheets(monkeypatch):
    """(groups, names of rows or None) of each sheet that is drawn."""
    found, by_row, plain = [], plotting.class_sheet, plotting.sample_sheet
    monkeypatch.setattr(plotting, "class_sheet", lambda *a: found.append((a[0], a[1])) or by_row(*a))
    monkeypatch.setattr(plotting, "sample_sheet", lambda *a: found.append((a[0], None)) or plain(*a))
    return found


def test_a_picture_has_a_row_for_each_caption_beside_images_of_the_caption(captioned, tmp_path, sheets):
    data = open_run(captioned).data
    captions = [decode(data.held_out_labels[7]), decode(data.held_out_labels[3]), "a a a"]
    assert run("sample", captioned, *TWO, "--caption", *captions, "--samples", 7, "--out", tmp_path / "x.png") == 0
    ((groups, names),) = sheets
    (title, (real, rows)), (samples, (_, own)) = groups.items()
    assert names == captions and samples == "7 samples" and own.tolist() == [0, 1, 2, 0, 1, 2, 0]
    expected = [np.flatnonzero((data.held_out_labels == encode(text)[0]).all(axis=1)) for text in captions]
    kept = [found[:most] for found, most in zip(expected, (3, 2, 2))]
    assert rows.tolist() == np.repeat(range(3), [*map(len, kept)]).tolist() and len(kept[2]) == 0
    assert title == f"{len(rows)} of the data"
    np.testing.assert_array_equal(real, data.held_out[np.concatenate(kept)])


@pytest.mark.parametrize("real", [True, False])
def test_a_picture_of_one_caption_is_beside_its_images_if_there_are_any(captioned, tmp_path, sheets, real):
    data = open_run(captioned).data
    tokens = data.held_out_labels[5]
    caption = decode(tokens) if real else "a a a"
    assert run("sample", captioned, *TWO, "--caption", caption, "--samples", 2, "--out", tmp_path / "x.png") == 0
    ((groups, names),) = sheets
    own = data.held_out[(data.held_out_labels == tokens).all(axis=1)][:2]
    assert names is None and list(groups) == [f"{len(own)} of the data"] * real + ["2 samples"]
    if real:
        np.testing.assert_array_equal(groups[f"{len(own)} of the data"], own)


def test_a_live_picture_has_a_row_for_each_caption(captioned, tmp_path):
    words = [*TWO, "--caption", *PAIR, "--guidance", 2, "--samples", 2, "--out", tmp_path / "x.png"]
    assert run("sample", captioned, *words, "--live", "--frames", 1) == 0
    pixels, x = pixels_of(tmp_path / "x.png"), drawn(open_run(captioned), 2, caption=PAIR, guidance=2.0)
    np.testing.assert_array_equal(pixels, np.rint(255 * plotting.mosaic_by_class(x, np.arange(2), 2, 1)).astype(np.uint8))


def pixels_of(path):
    from PIL import Image

    return np.asarray(Image.open(path))


# What the samples show.


def test_the_judge_counts_planted_images(captioned):
    digits, n = load_dataset("digits"), 60
    x, digit = digits.held_out[:n], digits.held_out_labels[:n]
    colour, place = np.divmod(np.arange(n) % 25, 5)
    judge, wrong = judge_of(open_run(captioned)), np.arange(n) % 3 == 0
    named = [((colour + wrong) % 5, digit, place)[k] for k in range(3)]
    captions = np.array([caption_of(one) for one in zip(*named)])
    arrays = {"x": render(x, colour, place), "captions": captions}
    found = int((judge.classifier(x) == digit).sum())
    counted = judge.count(arrays, ops)
    np.testing.assert_array_equal(counted, [[40, n], [found, n], [n, n]])
    parts = [judge.count({name: array[part] for name, array in arrays.items()}, ops) for part in (slice(7), slice(7, n))]
    np.testing.assert_array_equal(sum(parts), counted)
    shares = f"colour {40 / n:.1%}, digit {found / n:.1%}, place 100.0%"
    last = "a classifier reads the digits, 99.2% of held-out ones correctly"
    assert judge.sentence(counted, n) == f"samples that agree with their caption: {shares}; {last}"


def test_kinds_that_no_caption_names_are_not_in_the_sentence(captioned):
    judge = judge_of(open_run(captioned))
    some = judge.sentence(np.array([[0, 3], [3, 4], [0, 0]]), 4)
    assert some.startswith("samples that agree with their caption: colour 0.0%, digit 75.0%; ")
    assert judge.sentence(np.zeros((len(KINDS), 2)), 4) == "the captions name no colour, digit or place"


def test_runs_without_captions_have_no_judge_of_captions(others):
    assert [judge_of(open_run(others[name])) for name in ("PLAIN", "CLASSES")] == [None, None]


# Bad input.

TRAINED = "{run} was trained"


@pytest.mark.parametrize(
    "name, words, message",
    [
        ("RUN", ["--caption", "a pink 3"], f"'pink' is no word of a caption: the words are {', '.join(WORDS)}"),
        ("RUN", ["--caption", "a 3", ""], "a caption must have at least one word"),
        ("RUN", ["--caption", "a " * (LENGTH + 1)], f"a caption must have at most {LENGTH} words, got {LENGTH + 1}"),
        ("RUN", ["--caption", "a red green 3"], "a caption must name one colour at most, got red and green"),
        ("RUN", ["--label", "3"], f"--label needs a run with classes, and {TRAINED} without classes"),
        ("RUN", ["--guidance", "nan"], "guidance must be a number, got nan"),
        ("RUN", ["--guidance-interval", "2", "1"], "guidance-interval must be a low and a higher noise level, got 2 1"),
        ("PLAIN", ["--caption", "a 3"], f"--caption needs a run with captions, and {TRAINED} without captions"),
        ("CLASSES", ["--caption", "a 3"], f"--caption needs a run with captions, and {TRAINED} without captions"),
        ("PLAIN", ["--guidance", "1"], f"--guidance needs a run with classes or captions, and {TRAINED} without classes or captions"),
        ("UNDROPPED", ["--guidance", "2"], f"guidance 2 needs a null label, and {TRAINED} with --label-dropout 0"),
        ("UNDROPPED", ["--guidance", "0"], f"guidance 0 needs a null label, and {TRAINED} with --label-dropout 0"),
    ],
)
def test_bad_captions_and_conditions_are_refused(captioned, others, tmp_path, capsys, name, words, message):
    folder = ({"RUN": captioned} | others)[name]
    capsys.readouterr()
    assert run("sample", folder, *TWO, *words, "--out", tmp_path / "s.npz") == 2
    assert capsys.readouterr().err == f"python -m reference: {message.format(run=folder)}\n"
    assert not any(tmp_path.iterdir())
