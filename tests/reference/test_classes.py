"""Runs with classes on the command line: training, sampling by label, guidance, exported files, and bad input."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from accelerated import cpu
from reference.runs import checkpoint
from reference.runs.conditions import condition_options, conditioned, with_labels
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from tests.command_runs import TINY, files, randomised, run, sampled
from tests.oracle_tolerances import NETWORK_TIME

# three steps are few
pytestmark = pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")
IMAGES = "--net unet --channels 8 8 --batch 4 --save-every 2".split()
FEW = "--sampler ddim --steps 3".split()


@pytest.fixture(scope="module")
def classes_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "classes"
    assert run("train", "ddpm", "--classes", "--steps", 5, *IMAGES, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def points_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "points"
    words = ["--data", "mixture2d", "--classes", "--label-dropout", "0", *TINY]
    assert run("train", "sde", "--steps", 4, *words, "--out", folder) == 0
    return folder


def test_config_has_class_names_and_a_row_for_the_null_label(classes_run, points_run):
    config = json.loads((classes_run / "config.json").read_text())
    assert config["classes"] == [str(k) for k in range(10)] and config["net"]["classes"] == 11
    assert config["training"]["label_dropout"] == 0.1
    config = json.loads((points_run / "config.json").read_text())
    assert len(config["classes"]) == config["net"]["classes"] == 8


def test_a_resumed_run_with_classes_has_the_same_bits(classes_run, tmp_path):
    words = ["train", "ddpm", "--classes", *IMAGES, "--out", tmp_path / "run"]
    assert run(*words, "--steps", 3) == 0
    assert run(*words, "--steps", 5, "--resume") == 0
    assert [*files(tmp_path / "run").values()] == [*files(classes_run).values()]


def test_pictures_along_the_way_do_not_change_the_training(classes_run, tmp_path):
    words = ["--classes", "--steps", 5, *IMAGES, "--sample-every", 2]
    assert run("train", "ddpm", *words, "--out", tmp_path / "run") == 0
    made = {path.name: content for path, content in files(tmp_path / "run").items()}
    pictures = {name: made.pop(name) for name in ("samples-000002.png", "samples-000004.png")}
    assert made == {path.name: content for path, content in files(classes_run).items()}
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())


def test_labels_are_taken_in_turn_or_all_are_the_wanted_one(classes_run, tmp_path, capsys):
    assert run("sample", classes_run, *FEW, "--samples", 12, "--out", tmp_path / "all.npz") == 0
    assert sampled(tmp_path / "all.npz")["labels"].tolist() == [*range(10), 0, 1]
    assert run("sample", classes_run, *FEW, "--label", 3, "--samples", 2, "--out", tmp_path / "3.npz") == 0
    assert sampled(tmp_path / "3.npz")["labels"].tolist() == [3, 3]
    assert "label 3" in capsys.readouterr().out
    assert run("sample", classes_run, *FEW, "--label", "all", "--out", tmp_path / "all.png") == 0
    assert "80 samples" in capsys.readouterr().out


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm-solver++", "euler-maruyama", "edm", "annealed-langevin"])
def test_guidance_weights_1_and_0_are_conditional_and_unconditional(classes_run, sampler):
    opened = randomised(classes_run)
    how = sampler_options(opened, sampler, steps=3)
    plain = {name: value for name, value in how.items() if name not in ("label", "guidance")}
    fixed = lambda label: draw(with_labels(opened, np.full(2, label)), cpu, 2, **plain)[0]
    for weight, label in ((1, 4), (0, 10)):
        x, evaluations = draw(opened, cpu, 2, **how | {"label": 4, "guidance": weight})
        np.testing.assert_array_equal(x, fixed(label))
    _, twice = draw(opened, cpu, 2, **how | {"label": 4, "guidance": 2})
    assert twice == 2 * evaluations


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
def test_a_sample_depends_on_its_index_and_label_alone(classes_run, sampler):
    opened = randomised(classes_run)
    how = sampler_options(opened, sampler, steps=3, guidance=2.0)
    turn, _ = draw(opened, cpu, 14, **how)
    threes, _ = draw(opened, cpu, 14, **how | {"label": 3})
    few, _ = draw(opened, cpu, 4, **how | {"label": 3})
    np.testing.assert_array_equal(few, threes[:4])
    np.testing.assert_array_equal(turn[[3, 13]], threes[[3, 13]])
    assert (turn[4] != threes[4]).any()


def test_guidance_within_an_interval_of_noise(classes_run):
    opened = randomised(classes_run)
    how = sampler_options(opened, "ddim", steps=6, label="3", guidance=3.0)
    drawn = lambda **change: draw(opened, cpu, 2, **how | change)[0]
    np.testing.assert_array_equal(drawn(guidance_interval=[0.0, 1e9]), drawn())
    np.testing.assert_array_equal(drawn(guidance_interval=[1e8, 1e9]), drawn(guidance=1.0))
    within = drawn(guidance_interval=[0.5, 2.0])
    assert (within != drawn()).any() and (within != drawn(guidance=1.0)).any()


def test_a_guidance_interval_is_met_at_its_noise_levels(classes_run):
    opened = open_run(classes_run)
    schedule = opened.model.schedule
    low, high = (float(schedule.noise_scale(t) / schedule.signal(t)) for t in (200, 600))
    network = conditioned(opened, np.arange(2), 3, guidance=2.0, guidance_interval=(low, high)).model.network
    np.testing.assert_allclose(network.interval, [200, 600], rtol=NETWORK_TIME)


def test_a_run_of_indi_restores_each_image_by_its_own_label(tmp_path):
    words = ["--classes", "--noise", 1, "--steps", 2, *IMAGES]
    assert run("train", "indi", *words, "--out", tmp_path / "run") == 0
    assert run("sample", tmp_path / "run", "--steps", 2, "--samples", 5, "--out", tmp_path / "x.npz") == 0
    own = open_run(tmp_path / "run").data.held_out_labels[:5]
    np.testing.assert_array_equal(sampled(tmp_path / "x.npz")["labels"], own)
    assert run("evaluate", tmp_path / "run", "--samples", 4) == 0


def test_evaluate_shows_whether_the_network_uses_its_label(classes_run, capsys):
    opened = open_run(classes_run)
    for name, weights in (("run", opened.state.ema), ("untrained", opened.model.network.init(0))):
        from reference.runs.evaluation import label_probe

        trained = replace(opened, state=replace(opened.state, ema=weights))
        probe = label_probe(trained, opened.data, cpu)
        assert (probe["change of the prediction by another label"] > 0) == (name == "run")
    assert run("evaluate", classes_run, "--samples", 4, "--sampler", "ddim", "--steps", 2) == 0
    shown = capsys.readouterr().out
    for row in ("loss with another label", "loss without a label", "change of the prediction by another label"):
        assert row in shown


@pytest.mark.parametrize("dtype, bits", [("float32", 32), ("float16", 16)])
def test_an_exported_file_is_a_run(classes_run, tmp_path, dtype, bits, capsys):
    path = tmp_path / "weights.safetensors"
    assert run("export", classes_run, "--dtype", dtype, "--out", path) == 0
    weights, exported = open_run(classes_run).state.ema, open_run(path)
    for name, array in weights.items():
        expected = array.astype(np.float16).astype(np.float32) if bits == 16 else array
        np.testing.assert_array_equal(exported.state.ema[name], expected)
    assert exported.config == open_run(classes_run).config and exported.state.step == 5
    assert run("sample", path, *FEW, "--label", 3, "--out", tmp_path / "x.npz") == 0
    assert run("evaluate", path, *FEW, "--samples", 4, "--out", tmp_path / "figures") == 0
    assert run("export", classes_run, "--format", "diffusers", "--dtype", "float16", "--out", tmp_path / "d") == 2
    assert "--dtype float16 needs --format native" in capsys.readouterr().err


def test_a_file_that_is_no_export_is_refused(tmp_path, classes_run, capsys):
    (tmp_path / "x.safetensors").write_bytes(b"no weights")
    shutil.copy(classes_run / "checkpoint.safetensors", tmp_path / "checkpoint.safetensors")
    for name in ("x", "checkpoint"):
        assert run("sample", tmp_path / f"{name}.safetensors", "--out", tmp_path / "s.npz") == 2
        error = capsys.readouterr().err
        assert f"{name}.safetensors" in error and error.count("\n") == 1
    assert not (tmp_path / "s.npz").exists()


def test_a_run_from_before_classes_draws_the_same_samples(tmp_path):
    folder = tmp_path / "run"
    assert run("train", "ddpm", "--steps", 2, *IMAGES, "--out", folder) == 0
    assert run("sample", folder, *FEW, "--samples", 2, "--out", tmp_path / "new.npz") == 0
    opened = open_run(folder)
    config = {name: value for name, value in opened.config.items() if name != "classes"}
    old = ("kind", "size", "in_channels", "channels", "layers", "groups", "head_width", "classes", "outputs")
    config["net"] = {name: config["net"][name] for name in old}
    config["training"] = {name: config["training"][name] for name in ("batch", "lr", "ema", "seed", "warmup")}
    (folder / "config.json").write_text(json.dumps(config))
    checkpoint.save(folder, opened.state, config)
    assert run("sample", folder, *FEW, "--samples", 2, "--out", tmp_path / "old.npz") == 0
    np.testing.assert_array_equal(sampled(tmp_path / "old.npz")["x"], sampled(tmp_path / "new.npz")["x"])
    assert run("train", "ddpm", "--steps", 3, "--out", folder, "--resume") == 0


def refused(capsys, *words):
    assert run(*words) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        ("--label 10", "label must be 0 to 9"),
        ("--label hat", "got 'hat'"),
        ("--label own", "got 'own'"),
        ("--guidance-interval 2 1", "guidance-interval must be a low and a higher noise level, got 2 1"),
        ("--guidance nan", "guidance must be a number, got nan"),
    ],
)
def test_bad_conditions_are_refused(classes_run, tmp_path, capsys, words, message):
    assert message in refused(capsys, "sample", classes_run, *words.split(), "--out", tmp_path / "s.npz")
    assert not (tmp_path / "s.npz").exists()


def test_guidance_needs_a_null_label_and_labels_need_classes(points_run, tmp_path, capsys):
    out = ["--out", tmp_path / "s.npz"]
    error = refused(capsys, "sample", points_run, "--guidance", 2, *out)
    assert "guidance 2 needs a null label" in error and "--label-dropout 0" in error
    assert run("sample", points_run, "--label", 2, "--sampler", "ode-heun", "--steps", 2, *out) == 0
    assert run("train", "ddpm", "--data", "mixture1d", "--steps", 1, *TINY, "--out", tmp_path / "plain") == 0
    for words in ("--label 1", "--guidance 1", "--guidance-interval 1 2"):
        error = refused(capsys, "sample", tmp_path / "plain", *words.split(), "--out", tmp_path / "t.npz")
        assert f"{words.split()[0]} needs a run with classes" in error
    assert condition_options(open_run(tmp_path / "plain")) == {}


@pytest.mark.parametrize(
    "words, message",
    [
        ("ddpm --data swiss-roll --classes", "--classes needs labels, and swiss-roll has none"),
        ("ddpm --data GAPS --classes", "no training sample of"),
        ("ddpm --data ONE --classes", "needs at least two classes"),
        ("ddpm --label-dropout 0.2", "--label-dropout needs --classes"),
        ("ddpm --classes --label-dropout 1", "label_dropout must lie in [0, 1), got 1.0"),
        ("vae --classes", "--classes is not an option of train vae"),
        ("smld --classes", "--classes is not an option of train smld"),
    ],
)
def test_classes_need_fitting_data_and_methods(tmp_path, capsys, words, message):
    x = np.random.default_rng(0).standard_normal((40, 2))
    np.savez(tmp_path / "GAPS.npz", x=x, y=np.arange(40) % 2 * 2)
    np.savez(tmp_path / "ONE.npz", x=x, y=np.zeros(40, int))
    words = [str(tmp_path / f"{word}.npz") if word in ("GAPS", "ONE") else word for word in words.split()]
    assert message in refused(capsys, "train", *words, "--steps", 2, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_classes_when_it_is_resumed(points_run, tmp_path, capsys):
    folder = shutil.copytree(points_run, tmp_path / "run")
    assert run("train", "sde", "--classes", "--steps", 5, "--out", folder, "--resume") == 0
    error = refused(capsys, "train", "sde", "--label-dropout", 0.3, "--out", folder, "--resume")
    assert "was begun with label-dropout 0" in error
    config = json.loads((folder / "config.json").read_text())
    for changed, message in (
        ({"classes": ["a"]}, "the network must have 1 classes"),
        ({"classes": "ab"}, "classes must be a list of names"),
    ):
        (folder / "config.json").write_text(json.dumps(config | changed))
        assert message in refused(capsys, "sample", folder, "--out", tmp_path / "s.npz")
