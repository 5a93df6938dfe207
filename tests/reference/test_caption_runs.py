"""Runs trained on images with captions: their data, config.json and bits, and the commands that take such a run."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from reference import ops
from reference.audit.adapters import targets
from reference.audit.audit import audit
from reference.data.captions import DIGITS, LENGTH, PAD, VOCABULARY, Attributes, colour_of, encode, is_held_out, place_of
from reference.data.datasets import load_dataset
from reference.diffusion import training
from reference.diffusion.guidance import drop_labels, null_labels
from reference.runs import devices
from reference.runs.config import build_config
from reference.runs.evaluation import label_probe, other_labels
from reference.runs.run import open_run
from tests.command_runs import CAPTIONS, files, randomised, run, sampled
from tests.fake_mpi import together

# few steps
pytestmark = [pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning"), pytest.mark.usefixtures("few_captions")]
CHANGE = "change of the prediction by another label"
TWO = "--sampler ddim --steps 2".split()


@pytest.fixture(scope="module")
def flow_run(few_captions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "flow"
    assert run("train", "flow", *CAPTIONS, "--steps", 1, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def undropped_run(few_captions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "undropped"
    words = [*CAPTIONS, "--timesteps", 20, "--label-dropout", 0]
    assert run("train", "ddpm", *words, "--steps", 1, "--out", folder) == 0
    return folder


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def refused(capsys, *words):
    """The one sentence of a command that refuses."""
    capsys.readouterr()
    assert run(*words) == 2
    program, _, sentence = capsys.readouterr().err.partition(": ")
    assert program == "python -m reference" and sentence.count("\n") == 1
    return sentence.rstrip("\n")


# Training.


@pytest.mark.parametrize("words", ["ddpm", "sde", "flow", "indi --noise 1", "consistency"])
def test_images_with_captions_are_trained_on_them(words, tmp_path, request):
    folder = tmp_path / "run"
    if (own := {"ddpm": "captioned_run", "flow": "flow_run"}.get(words)) is not None:
        folder = request.getfixturevalue(own)
    else:
        assert run("train", *words.split(), *CAPTIONS, "--steps", 1, "--out", folder) == 0
    config = config_of(folder)
    assert config["vocabulary"] == list(VOCABULARY) and config["classes"] is None
    sizes = [config["net"][name] for name in ("vocabulary", "caption_length", "classes")]
    assert sizes == [len(VOCABULARY), LENGTH, 0]
    assert config["training"]["label_dropout"] == 0.1


@pytest.mark.parametrize("channels, levels", [([8], [-1]), ([8, 8], [-2, -1]), ([4, 8, 8], [-2, -1])])
def test_the_last_two_levels_attend_to_the_caption(channels, levels):
    config = build_config("ddpm", load_dataset("captions"), {"channels": channels, "groups": 2})
    assert config["net"]["cross_attention"] == levels


def test_classes_of_images_with_captions_are_their_digits(tmp_path):
    assert run("train", "ddpm", *CAPTIONS, "--classes", "--steps", 1, "--out", tmp_path / "run") == 0
    config, opened = config_of(tmp_path / "run"), open_run(tmp_path / "run")
    assert config["classes"] == list(DIGITS) and "vocabulary" not in config
    assert (config["net"]["classes"], config["net"]["vocabulary"]) == (len(DIGITS) + 1, 0)
    np.testing.assert_array_equal(opened.data.train_labels, load_dataset("captions").train_labels)


@pytest.mark.parametrize(
    "words",
    ["vae --width 4 --depth 1", "smld --levels 3 --channels 8 8", "classifier --channels 4 4 --groups 2 --width 4"],
)
def test_methods_without_a_condition_are_trained_without_captions(words, tmp_path):
    own = ["--data", "captions", "--batch", 4, "--steps", 1, "--out", tmp_path / "run"]
    assert run("train", *words.split(), *own) == 0
    config, opened = config_of(tmp_path / "run"), open_run(tmp_path / "run")
    assert "vocabulary" not in config and not config["net"].get("vocabulary")
    np.testing.assert_array_equal(opened.data.held_out_labels, load_dataset("captions").held_out_labels)


@pytest.mark.parametrize(
    "words, message",
    [
        ("ddpm --net mlp --width 4", "captions has captions, and --net mlp has no text encoder: take --net unet, or --classes"),
        ("vae --label-dropout 0.2", "--label-dropout is not an option of train vae"),
        ("ddpm --label-dropout 1", "label_dropout must lie in [0, 1), got 1.0"),
        ("ddpm --data digits --label-dropout 0.2", "--label-dropout needs --classes, or data with captions"),
    ],
)
def test_options_that_do_not_go_with_captions_are_refused(words, message, tmp_path, capsys):
    method, *rest = words.split()
    assert refused(capsys, "train", method, "--data", "captions", *rest, "--steps", 1, "--out", tmp_path / "run") == message
    assert not (tmp_path / "run").exists()


def test_a_run_trains_on_no_held_out_combination(captioned_run):
    data, plain = open_run(captioned_run).data, load_dataset("captions")
    assert (len(data.train), len(data.held_out)) == (400, 100)
    shown = lambda images, digits: Attributes(colour_of(images), digits, place_of(images))
    assert not is_held_out(shown(data.train, plain.train_labels)).any()
    assert is_held_out(shown(data.held_out, plain.held_out_labels)).sum() == plain.captions.unseen.sum() > 0
    np.testing.assert_array_equal(data.train_labels, plain.captions.train)
    np.testing.assert_array_equal(data.held_out_labels, plain.captions.held_out)


def test_training_moves_the_words_of_its_captions_alone(captioned_run):
    opened = open_run(captioned_run)
    network, settings, data = opened.model.network, opened.settings, opened.data
    table, seen = "text.token_embedding.table", []
    for step in range(opened.state.step):
        indices, *_ = training.draw_batch(opened.model, data.train, settings, step)
        seen.append(drop_labels(data.train_labels[indices], network, settings, step))
    begun = network.init(settings.seed)[table]
    moved = {VOCABULARY[k] for k in np.flatnonzero((opened.state.params[table] != begun).any(axis=1))}
    assert {"a"} < moved <= {VOCABULARY[k] for k in np.unique(seen) if k != PAD}


def test_a_resumed_run_with_captions_has_the_same_bits(captioned_run, tmp_path):
    words = [*CAPTIONS, "--prediction", "v", "--timesteps", 20, "--out", tmp_path / "run"]
    assert run("train", "ddpm", *words, "--steps", 3) == 0
    assert run("train", "ddpm", *words, "--steps", 5, "--resume", "--sample-every", 5) == 0
    made = {path.name: content for path, content in files(tmp_path / "run").items()}
    assert made.pop("samples-000005.png").startswith(b"\x89PNG")
    assert made == {path.name: content for path, content in files(captioned_run).items()}


def test_two_processes_train_on_captions_with_the_bits_of_one(captioned_run):
    opened = open_run(captioned_run)
    model, data, settings = opened.model, opened.data, replace(opened.settings, shards=2, label_dropout=0.5)

    def trained(team=training.ALONE):
        state = training.init_state(model.network, 0)
        *_, state = devices.train(model, data.train, data.train_labels, settings, state, 3, ops, team)
        return state.params.flat.tobytes()

    assert together(2, trained) == [trained()] * 2


def test_a_run_keeps_its_captions_when_it_is_resumed(captioned_run, tmp_path, capsys):
    folder = shutil.copytree(captioned_run, tmp_path / "run")
    error = refused(capsys, "train", "ddpm", "--classes", "--out", folder, "--resume")
    assert error == f"{folder} was begun with classes False, got True: a run keeps its options"


# config.json.


@pytest.mark.parametrize(
    "changed, network, message",
    [
        ({"vocabulary": ["a"]}, {}, "vocabulary must be <pad> <null> a red"),
        ({"vocabulary": [*VOCABULARY[::-1]]}, {}, "vocabulary must be <pad> <null> a red"),
        ({"vocabulary": "a red 3"}, {}, "got 'a red 3'"),
        ({"vocabulary": []}, {}, "vocabulary must be <pad> <null> a red"),
        ({"vocabulary": None}, {}, f"the network must have a vocabulary of 0, got {len(VOCABULARY)}"),
        ({}, {"vocabulary": 26}, f"the network must have a vocabulary of {len(VOCABULARY)}, got 26"),
        ({}, {"vocabulary": 0}, f"the network must have a vocabulary of {len(VOCABULARY)}, got 0"),
        ({"classes": ["0", "1"]}, {}, "the network must have 3 classes, null label included, got 0"),
    ],
)
def test_a_config_of_another_vocabulary_is_refused(changed, network, message, captioned_run, tmp_path, capsys):
    config = config_of(captioned_run)
    config = config | changed | {"net": config["net"] | network}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    error = refused(capsys, "sample", tmp_path / "run", "--out", tmp_path / "s.npz")
    assert error.startswith(f"{tmp_path / 'run/config.json'} can't be read as the config of a run: ") and message in error


# Does the network use its caption?


def probed(opened, labels):
    """``label_probe`` on the first held-out images, with labels[n,8]."""
    data = replace(opened.data, held_out=opened.data.held_out[: len(labels)], held_out_labels=labels)
    return label_probe(opened, data, ops)


def test_evaluate_shows_whether_the_network_uses_its_caption(captioned_run):
    opened = randomised(captioned_run)
    own = opened.data.held_out_labels[:16]
    assert probed(opened, own)[CHANGE] > 0
    for name, array in opened.state.ema.items():
        if "cross_attentions" in name and "to_out" in name:
            opened.state.ema[name] = np.zeros_like(array)
    probe = probed(opened, own)
    assert probe[CHANGE] == 0 < probe["loss with another label"] == probe["loss without a label"]


def test_the_loss_without_a_label_is_that_with_the_null_caption(captioned_run):
    opened = randomised(captioned_run)
    own = opened.data.held_out_labels[:16]
    blank = null_labels(own, opened.model.network)
    without, found = probed(opened, blank), probed(opened, own)
    assert without["loss with another label"] == found["loss without a label"] != found["loss with another label"]


def test_another_caption_is_that_of_the_next_image(captioned_run):
    opened = open_run(captioned_run)
    own = opened.data.held_out_labels
    np.testing.assert_array_equal(other_labels(opened, own), [*own[1:], own[0]])


def test_evaluate_prints_the_losses_with_other_captions_and_without(captioned_run, capsys):
    assert run("evaluate", captioned_run, *TWO, "--samples", 4, "--caption", "a red 3") == 0
    shown = capsys.readouterr().out
    for row in ("loss with another label", "loss without a label", CHANGE):
        assert row in shown


# Other commands.


def test_an_exported_run_with_captions_draws_the_same_samples(captioned_run, tmp_path, capsys):
    assert run("export", captioned_run, "--format", "native", "--out", tmp_path / "w.safetensors") == 0
    for name, source in (("run", captioned_run), ("file", tmp_path / "w.safetensors")):
        words = [*TWO, "--caption", "a blue 4", "--samples", 2, "--out", tmp_path / f"{name}.npz"]
        assert run("sample", source, *words) == 0
    one, other = sampled(tmp_path / "run.npz"), sampled(tmp_path / "file.npz")
    for name in ("x", "captions"):
        np.testing.assert_array_equal(one[name], other[name])


def test_a_student_has_the_captions_of_its_teacher(captioned_run, tmp_path):
    words = "--steps 2 --teacher-steps 4 --updates 2".split()
    assert run("distill", captioned_run, *words, "--out", tmp_path / "student") == 0
    assert config_of(tmp_path / "student")["vocabulary"] == list(VOCABULARY)
    assert run("sample", tmp_path / "student", "--caption", "a 3", "--samples", 2, "--out", tmp_path / "s.npz") == 0
    assert sampled(tmp_path / "s.npz")["captions"].tolist() == ["a 3"] * 2


def test_pairs_of_reflow_have_the_captions_of_training_images(flow_run, tmp_path):
    words = "--method reflow --pairs 8 --teacher-steps 2 --updates 1".split()
    assert run("distill", flow_run, *words, "--out", tmp_path / "student") == 0
    with np.load(tmp_path / "student/pairs.npz") as pairs:
        np.testing.assert_array_equal(pairs["labels"], open_run(flow_run).data.train_labels[:8])


def test_the_audit_examines_the_prediction_without_a_caption(captioned_run, undropped_run):
    (target,) = targets.find(str(captioned_run), {}, 60.0)
    opened = open_run(captioned_run)
    x = opened.data.held_out[:2]
    tokens = np.array([encode(None)[0]] * 2)
    expected = opened.model.predictor(opened.state.ema, tokens)(x, 7)
    np.testing.assert_array_equal(target.pieces.pop("denoise")(x, 7), expected)
    report = audit(target, 2)  # without the network, which five steps of training leave bad
    assert not report.faults, report.faults
    assert run("audit", undropped_run, "--steps", 2) == 0


RESTORE = "restore --task inpaint --data-index 0 --method ddrm --steps 2 --samples 2".split()
INVERT = "invert --steps 2 --samples 2".split()


@pytest.mark.parametrize("command", [INVERT, RESTORE], ids=["invert", "restore"])
def test_without_a_caption_the_null_caption_is_taken(command, captioned_run, undropped_run, tmp_path, capsys):
    name, *words = command
    settings = lambda path: json.loads(str(np.load(path)["settings"]))
    assert run(name, captioned_run, *words, "--out", tmp_path / "none.npz") == 0
    assert run(name, captioned_run, *words, "--caption", "a 3", "a red 4", "--out", tmp_path / "two.npz") == 0
    assert [settings(tmp_path / f"{which}.npz")["guidance"] for which in ("none", "two")] == [0, 1]
    assert settings(tmp_path / "two.npz")["caption"] == ["a 3", "a red 4"]
    error = refused(capsys, name, undropped_run, *words, "--out", tmp_path / "s.npz")
    assert error == f"{name} needs --caption, because {undropped_run} was trained without a null label"
    assert run(name, undropped_run, *words, "--caption", "a 3", "--out", tmp_path / "s.npz") == 0


@pytest.mark.parametrize("command", [INVERT, RESTORE, ["evaluate"]], ids=["invert", "restore", "evaluate"])
def test_other_commands_refuse_an_unknown_word(command, captioned_run, tmp_path, capsys):
    name, *words = command
    error = refused(capsys, name, captioned_run, *words, "--caption", "a pink 3", "--out", tmp_path / "s.npz")
    assert error.startswith("'pink' is no word of a caption: the words are a, red, green, ")
