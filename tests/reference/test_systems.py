"""The command line on the four systems: what each trains, who samples whom, and one sentence for whatever does not fit."""

import json
import shutil

import numpy as np
import pytest

from reference import ops, plotting
from reference.commands.evaluation_figures import by_level
from reference.commands.ode_sde_options import STEPS
from reference.commands.sampler_options import DEFAULT_SAMPLER, SAMPLERS, initial_sample
from reference.data import datasets
from reference.ddpm.indi import Degradation
from reference.diffusion.conversions import convert
from reference.diffusion.denoiser import Denoiser, split_prediction
from reference.diffusion.mixtures import example_2_1
from reference.ops.random import Purpose
from reference.runs.run import as_score, build_config, open_run, training_model
from tests.oracle_tolerances import EXACT32, FIVE_STEPS32, FLOOR, assert_close, assert_mean, z_score
from tests.pictures import assert_presentable
from tests.reference.test_command_line import files, run

TINY = "--width 8 --depth 1 --batch 4 --save-every 2 --steps 4".split()
POINTS = {
    "vae": "vae --data mixture1d",
    "ddpm": "ddpm --data mixture1d --objective hybrid --T 30",
    "smld": "smld --data mixture1d --levels 4",
    "sde": "sde --data mixture1d",
    "indi": "indi --data mixture1d --noise 1",
    "much noise": "indi --data mixture1d --noise 5",
}
IMAGES = {
    "vae images": "vae --width 8 --depth 1",
    "smld images": "smld --channels 8 8 --levels 3",
    "sde images": "sde --channels 8 8 --sde ve --sigma-max 10",
    "deblur": "indi --channels 8 8 --blur 1",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name -> folder of a run of a few steps of a tiny network."""
    folder = tmp_path_factory.mktemp("systems")
    for name, words in POINTS.items():
        assert run("train", *words.split(), *TINY, "--out", folder / name) == 0
    for name, words in IMAGES.items():
        assert run("train", *words.split(), "--batch", 2, "--steps", 2, "--out", folder / name) == 0
    return {name: folder / name for name in (*POINTS, *IMAGES)}


def sampled(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files if name != "settings"}


def test_each_system_has_its_network(runs):
    kinds = {name: json.loads((folder / "config.json").read_text())["net"]["kind"] for name, folder in runs.items()}
    assert kinds == {"vae": "autoencoder", "ddpm": "mlp", "smld": "mlp", "sde": "mlp", "indi": "mlp", "much noise": "mlp"} | {
        "vae images": "autoencoder",
        "smld images": "unet",
        "sde images": "unet",
        "deblur": "unet",
    }


FEW = {
    **{name: "--steps 3" for name in STEPS},
    "ode-rk45": "--tolerance 1e-1",
    "ddpm": "--steps 3",
    "ddim": "--steps 3",
    "langevin": "--steps 5",
    "annealed-langevin": "--steps 2",
    "indi": "--steps 3",
    "decoder": "",
}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", [*POINTS, *IMAGES])
def test_every_sampler_serves_every_system_that_has_what_it_needs_or_says_that_it_does_not(runs, tmp_path, capsys, name, sampler):
    system, path = open_run(runs[name]).system, tmp_path / "s.npz"
    code = run("sample", runs[name], "--sampler", sampler, *FEW[sampler].split(), "--n", 3, "--out", path)
    message = capsys.readouterr().err
    generates = sampler not in ("indi", "decoder") and system != "vae" and name != "deblur"
    if sampler == DEFAULT_SAMPLER[system] or (generates and (name != "indi" or sampler == "langevin")):
        assert code == 0, message
        x = sampled(path)["x"]
        assert x.shape[0] == 3 and x.shape[1:] == open_run(runs[name]).model.network.sample_shape and np.isfinite(x).all()
    else:
        assert code == 2 and not path.exists()
        expected = (
            "sampled by its decoder alone"
            if system == "vae"
            else "does not serve"
            if sampler in ("indi", "decoder")
            else "noise range is too short: it was trained on noise up to 1, and what it begins with must hide data of root mean square 2"
            if name == "indi"
            else "has a score only"
        )
        assert expected in message and message.count("\n") == 1


@pytest.mark.parametrize("name", [*POINTS, *IMAGES])
@pytest.mark.parametrize("suffix", [".npz", ".png"])
def test_each_systems_own_sampler_gives_the_same_bits_twice(runs, tmp_path, name, suffix):
    few = FEW[DEFAULT_SAMPLER[open_run(runs[name]).system]].split()
    command = ("sample", runs[name], *few, "--n", 4, "--out", tmp_path / f"s{suffix}")
    assert run(*command) == 0
    first = (tmp_path / f"s{suffix}").read_bytes()
    assert run(*command) == 0 and (tmp_path / f"s{suffix}").read_bytes() == first


@pytest.mark.parametrize("name", POINTS)
def test_a_sample_depends_on_its_index_and_the_seed_alone(runs, tmp_path, name):
    few = FEW[DEFAULT_SAMPLER[open_run(runs[name]).system]].split()
    for n in (9, 4):
        run("sample", runs[name], *few, "--n", n, "--out", tmp_path / f"{n}.npz")
    run("sample", runs[name], *few, "--n", 4, "--seed", 1, "--out", tmp_path / "other.npz")
    nine, four, other = (sampled(tmp_path / f"{file}.npz")["x"] for file in (9, 4, "other"))
    assert_close(nine[:4], four, FIVE_STEPS32, np.abs(four).max())
    assert (other != four).any()  # of a network that was hardly trained, many entries lie at the end of the data's range


def test_a_restored_file_holds_what_it_was_made_from(runs, tmp_path):
    for noise in ("1", "0.25"):
        assert run("sample", runs["indi"], "--steps", 2, "--n", 5, "--noise", noise, "--out", tmp_path / f"{noise}.npz") == 0
        arrays, held_out = sampled(tmp_path / f"{noise}.npz"), open_run(runs["indi"]).data.held_out
        assert arrays.keys() == {"x", "degraded", "clean"}
        np.testing.assert_array_equal(arrays["clean"], held_out[:5])
        n = (arrays["degraded"] - arrays["clean"]) / np.float32(noise)
        assert_close(Degradation(float(noise))(arrays["clean"], n), arrays["degraded"], EXACT32, 8.0)
    one, quarter = (sampled(tmp_path / f"{noise}.npz") for noise in ("1", "0.25"))
    assert_close((one["degraded"] - one["clean"]) / 4, quarter["degraded"] - quarter["clean"], EXACT32, 8.0)


# Scores


@pytest.mark.parametrize("name", ["ddpm", "smld", "indi", "smld images"])
def test_a_runs_score_is_its_predicted_noise_over_minus_sigma(runs, name):
    opened = open_run(runs[name])
    schedule, shape = opened.model.schedule, opened.model.network.sample_shape
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    for t in (1, schedule.T // 2, schedule.T):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        prediction, _ = split_prediction(opened.predictor(ops)(x, t))
        noise = convert(prediction, x, opened.model.prediction, "noise", alpha, sigma)
        score = as_score(opened)(x, alpha, sigma)
        assert score.dtype == np.float32
        assert_close(score, noise / -sigma, 64 * EXACT32, (np.abs(x).max() + 4) / sigma**2)


@pytest.mark.parametrize(
    "name, message", [("vae", "a run of vae, which knows no score"), ("deblur", "only if its degradation is noise alone")]
)
def test_a_run_without_a_score_says_so(runs, name, message):
    with pytest.raises(ValueError, match=message):
        as_score(open_run(runs[name]))


def test_a_score_beyond_what_was_trained_is_refused_with_the_ends_of_the_range(runs):
    score = as_score(open_run(runs["smld"]))
    with pytest.raises(ValueError, match=r"outside of what was trained, -4\.605 to 5\.991"):
        score(np.zeros((1, 1), np.float32), 1.0, 11.0)


def test_explicit_matching_has_the_exact_law_or_a_kernel_density(tmp_path):
    train = lambda *words: run("train", "smld", "--matching", "explicit", *words, *TINY, "--out", tmp_path / "-".join(words))
    assert train("--data", "mixture1d") == 0
    opened = open_run(tmp_path / "--data-mixture1d")
    distribution = training_model(opened, opened.data).distribution
    np.testing.assert_array_equal(distribution.means, example_2_1().means)
    assert train("--data", "mixture1d", "--bandwidth", "0.25") == 0
    opened = open_run(tmp_path / "--data-mixture1d---bandwidth-0.25")
    distribution = training_model(opened, opened.data).distribution
    np.testing.assert_array_equal(distribution.means, opened.data.train)
    assert (distribution.covariances == 0.0625).all()


# Training


@pytest.mark.parametrize("name", POINTS)
def test_a_run_that_grows_has_the_bits_of_one_that_never_stopped(runs, tmp_path, name):
    shutil.copytree(runs[name], tmp_path / "grown")
    assert run("train", POINTS[name].split()[0], "--steps", 7, "--out", tmp_path / "grown", "--resume") == 0
    assert run("train", *POINTS[name].split(), *TINY, "--steps", 7, "--out", tmp_path / "whole") == 0
    grown, whole = (files(tmp_path / folder) for folder in ("grown", "whole"))
    assert {path.name: content for path, content in grown.items()} == {path.name: content for path, content in whole.items()}


@pytest.mark.parametrize("matching", ["denoising", "implicit"])
def test_score_matching_on_the_line_comes_near_its_floor_in_seconds(tmp_path, capsys, matching):
    command = "train smld --data mixture1d --net mlp --steps 1500 --batch 128 --matching".split()
    assert run(*command, matching, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert run("evaluate", tmp_path / "run", "--steps", 2, "--n", 20) == 0
    rows = dict(line.strip().rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    loss, exact = float(rows["loss"]), float(rows["loss of the exact prediction"])
    assert exact < loss < (1 + FLOOR) * exact
    assert float(rows["loss of predicting zero"]) > 1.5 * exact


def test_evaluate_shows_each_system_beside_what_bounds_it(runs, capsys):
    rows = {
        "vae": ["-ELBO, reconstruction term", "-ELBO, kl term", "importance weights", "exact -log p", "sliced wasserstein of real"],
        "ddpm": ["loss of the exact prediction", "-ELBO, consistency term", "exact -log p"],
        "smld": ["loss of the exact prediction", "its expectation, by quadrature", "-ELBO (nats)"],
        "indi": ["loss of the exact posterior mean", "error of the degraded", "error of the restored in one step"],
        "sde": ["loss of the exact prediction", "-log p with noise 0.01 (nats)", "exact -log p"],
        "sde images": ["-log p (bits per dimension, bins of 0.125)", "frechet_of_real"],
        "vae images": ["-log p of the best linear VAE", "accepted"],
        "deblur": ["frechet, in one step", "error of the restored by indi"],
    }
    for name, expected in rows.items():
        few = FEW["ddim" if name == "ddpm" else DEFAULT_SAMPLER[open_run(runs[name]).system]].split()
        assert run("evaluate", runs[name], *few, "--n", 20) == 0
        out = capsys.readouterr().out
        for row in expected:
            assert row in out, f"{name}: {row}"


UNITS = {
    "vae": "-ELBO (nats an example)",
    "ddpm": "hybrid loss",
    "smld": "sigma^2 times",
    "sde": "squared error per entry of the predicted noise",
    "indi": "squared error per entry",
}


@pytest.mark.parametrize("name", [*POINTS, *IMAGES])
def test_evaluate_writes_what_it_printed_and_pictures_of_the_loss_and_of_samples_beside_data(runs, tmp_path, capsys, monkeypatch, name):
    drawn = []
    monkeypatch.setattr(
        plotting, "png_bytes", lambda figure, description="", png=plotting.png_bytes: drawn.append(figure) or png(figure, description)
    )
    system = open_run(runs[name]).system
    command = ("evaluate", runs[name], *FEW["ddim" if system == "ddpm" else DEFAULT_SAMPLER[system]].split(), "--n", 20)
    assert run(*command, "--out", tmp_path / "out") == 0
    printed = dict(line.strip().rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {key: float(value) for key, value in printed.items()} == {key: float(f"{v:.5g}") for key, v in results["results"].items()}
    assert results["config"]["system"] == system and results["sampling"]["n"] == 20 and results["by level"]
    loss, levels, samples = drawn
    for figure in drawn:
        assert_presentable(figure)
    assert levels.axes[0].get_xlabel().startswith("latent variable" if system == "vae" else "noise level")
    assert loss.get_suptitle().startswith("Training loss: ") and UNITS[system] in loss.axes[0].get_ylabel()
    assert len(loss.axes[0].lines[0].get_xdata()) == results["results"]["training steps"]
    titles = [axes.get_title() for axes in samples.axes]
    assert len(titles) >= 2 and (titles[0] == "20 of the data" or titles[0] == "clean data")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "loss.png", "levels.png", "samples.png"}
    assert run(*command, "--out", tmp_path / "out") == 2
    assert "results.json exists already: name another --out" in capsys.readouterr().err


def test_the_loss_by_level_is_that_of_the_network_and_of_the_exact_law_there(runs):
    trained = open_run(runs["sde"])
    table = by_level(trained, ops)
    sde, distribution = trained.model.schedule, trained.data.mixture
    x0, noise = trained.data.held_out[:512], ops.normal(4, np.arange(512), 3, Purpose.EVALUATION, (1,), np.float32)
    alpha, sigma = sde.marginal(sde.time_of_log_snr(-2 * np.log(table["noise level"][3])))
    x = alpha * x0 + sigma * noise
    assert_close(table["loss of the exact prediction"][3], ((distribution.expected_noise(x, alpha, sigma) - noise) ** 2).mean(), 1e-5, 1.0)
    assert (table["loss of the exact prediction"] < 1.1 * table["loss of predicting zero"]).all()


def test_points_have_defaults_of_their_own_and_what_is_given_counts():
    data = datasets.load("mixture2d")
    config = build_config("ddpm", data, {"data": "mixture2d"})
    assert config["steps"] == 20_000 and config["training"]["batch"] == 512 and config["training"]["lr"] == 2e-3
    config = build_config("ddpm", data, {"data": "mixture2d", "batch": 3, "steps": 7})
    assert config["steps"] == 7 and config["training"]["batch"] == 3 and config["training"]["lr"] == 2e-3
    config = build_config("ddpm", datasets.load("digits"), {})
    assert config["steps"] == 2000 and config["training"]["batch"] == 64 and config["training"]["lr"] == 1e-3


# Steps too long


def test_a_langevin_step_beyond_its_limit_is_warned_of_in_one_line(runs, tmp_path, capsys):
    command = ("sample", runs["smld"], "--sampler", "langevin", "--steps", 2, "--n", 3)
    assert run(*command, "--tau", 0.2, "--out", tmp_path / "a.npz") == 0
    err = capsys.readouterr().err
    assert "warning: tau = 0.2 is not below the stability limit 0.085: the samples may diverge" in err and err.count("\n") == 1
    assert run(*command, "--tau", 0.08, "--out", tmp_path / "b.npz") == 0
    assert capsys.readouterr().err == ""


def test_samples_that_diverge_are_not_written(runs, tmp_path, capsys):
    command = ("sample", runs["smld"], "--steps", 200, "--epsilon", 1e12, "--n", 3, "--out", tmp_path / "s.npz")
    assert run(*command) == 2
    err = capsys.readouterr().err
    assert "the samples are not finite" in err and "nothing was written" in err and not (tmp_path / "s.npz").exists()


def test_a_trained_network_may_be_any_model_of_the_library(runs):
    assert isinstance(open_run(runs["ddpm"]).model, Denoiser) and open_run(runs["ddpm"]).model.objective == "hybrid"


WRONG = {
    "sigma-min above sigma-max": ("train smld --sigma-min 3 --sigma-max 2 --out OUT", "0 < sigma_min < sigma_max, got 3.0 and 2.0"),
    "equal sigmas": ("train smld --sigma-min 2 --sigma-max 2 --out OUT", "0 < sigma_min < sigma_max"),
    "no level": ("train smld --levels 0 --out OUT", "smld needs at least 2 levels, the smallest noise and the largest, got 0"),
    "sigmas beyond numbers": ("train smld --sigma-max 1e200 --out OUT", "must lie between 1e-100 and 1e100"),
    "infinite bandwidth": (
        "train smld --data mixture1d --matching explicit --bandwidth inf --out OUT",
        "bandwidth must be positive and finite",
    ),
    "more blur than image": ("train indi --blur 1e6 --out OUT", "blur must be at most the images' larger side, 8 pixels, got 1e+06"),
    "noise beyond numbers": ("train indi --noise 1e39 --out OUT", "noise must be 0 or from 1e-6 to 1e6, got 1e+39"),
    "one level": ("train smld --levels 1 --out OUT", "at least 2 levels"),
    "unknown matching": ("train smld --matching fisher --out OUT", "objective must be one of denoising, explicit"),
    "unknown objective": ("train ddpm --objective best --out OUT", "objective must be one of simple, variational, hybrid"),
    "a schedule for smld": ("train smld --schedule linear --out OUT", "--schedule is not an option of train smld"),
    "levels for ddpm": ("train ddpm --levels 4 --out OUT", "--levels is not an option of train ddpm"),
    "sigma for indi": ("train indi --sigma-min 1 --out OUT", "--sigma-min is not an option of train indi"),
    "blur for vae": ("train vae --blur 1 --out OUT", "--blur is not an option of train vae"),
    "latent for ddpm": ("train ddpm --latent 3 --out OUT", "--latent is not an option of --net unet"),
    "a unet for vae": ("train vae --net unet --out OUT", "vae trains an autoencoder, got --net unet"),
    "an autoencoder for ddpm": ("train ddpm --net autoencoder --out OUT", "ddpm trains a unet or an mlp, got --net autoencoder"),
    "no latent variable": ("train vae --latent 0 --out OUT", "size, latent and width must be at least 1"),
    "sliced with a unet": ("train smld --matching sliced --out OUT", "take --net mlp"),
    "explicit on images": ("train smld --matching explicit --out OUT", "explicit score matching needs points"),
    "bandwidth of another matching": (
        "train smld --data mixture1d --bandwidth 1 --out OUT",
        "--bandwidth is not an option of --matching denoising",
    ),
    "bandwidth": ("train smld --data mixture1d --matching explicit --bandwidth -1 --out OUT", "bandwidth must be positive"),
    "blurred points": ("train indi --data mixture1d --blur 1 --out OUT", "blur needs images, and mixture1d holds points"),
    "negative noise": ("train indi --noise -1 --out OUT", "noise and blur must not be negative"),
    "no degradation": ("train indi --noise 0 --out OUT", "not both be 0"),
    "epsilon of training": ("train indi --epsilon -1 --out OUT", "epsilon must not be negative"),
    "learned variances in one step": ("train ddpm --T 1 --objective hybrid --out OUT", "2 outputs and T at least 2"),
    "no langevin step": ("sample @smld --sampler langevin --tau 0 --out OUT.png", "tau must be a positive number, got 0.0"),
    "a langevin step that is no number": ("sample @smld --sampler langevin --tau nan --out OUT.png", "tau must be a positive number"),
    "no langevin steps": ("sample @smld --sampler langevin --steps 0 --out OUT.png", "steps must be at least 1"),
    "base step": ("sample @smld --epsilon -1 --out OUT.png", "epsilon must be a positive number"),
    "levels of a sampler": ("sample @smld --levels 1 --out OUT.png", "levels must be at least 2"),
    "eta of langevin": ("sample @smld --sampler langevin --eta 1 --out OUT.png", "--eta is not an option of --sampler langevin"),
    "steps of a decoder": ("sample @vae --steps 3 --out OUT.png", "--steps is not an option of --sampler decoder"),
    "learned variance that was not": ("sample @smld --sampler ddpm --variance learned --out OUT.png", "none was learned"),
    "more steps than levels": ("sample @ddpm --sampler ddim --steps 31 --out OUT.png", "from 1 to T = 30, got 31"),
    "no steps": ("sample @sde --steps 0 --out OUT.png", "steps must be at least 1, got 0"),
    "one step of edm": ("sample @sde --sampler edm --steps 1 --out OUT.png", "steps must be at least 2, got 1"),
    "unknown grid": ("sample @sde --grid even --out OUT.png", "grid must be one of t, log-snr, karras, got 'even'"),
    "unknown predictor": ("sample @sde --predictor best --out OUT.png", "predictor must be one of euler-maruyama, reverse-diffusion"),
    "negative corrections": ("sample @sde --corrections -1 --out OUT.png", "corrections must not be negative, got -1"),
    "corrector's step": ("sample @sde --step 0 --out OUT.png", "step must be a positive number, got 0.0"),
    "no tolerance": ("sample @sde --sampler ode-rk45 --tolerance nan --out OUT.png", "tolerance must be a positive number"),
    "steps of rk45": ("sample @sde --sampler ode-rk45 --steps 5 --out OUT.png", "--steps is not an option of --sampler ode-rk45"),
    "negative reverse_noise": (
        "sample @sde --sampler euler-maruyama --reverse_noise -1 --out OUT.png",
        "reverse_noise must not be negative",
    ),
    "unknown sde": ("train sde --sde vq --out OUT", "sde must be one of vp, ve, subvp, got 'vq'"),
    "sigma of vp": ("train sde --sigma-max 10 --out OUT", "sigma_max belongs to --sde ve, not to vp"),
    "beta of linear": ("train ddpm --beta 0.1 --out OUT", "beta belongs to the schedule constant, not to linear"),
    "more noise than trained": (
        "sample @indi --noise 2 --out OUT.png",
        "noise must be from 0.001 to 1, for which this run was trained, got 2",
    ),
    "blur that was not trained": ("sample @indi --blur 1 --out OUT.png", "blur must be 0, for which this run was trained"),
    "another noise beside blur": ("sample @deblur --noise 0.5 --out OUT.png", "noise must be 0.05, for which this run was trained"),
    "resuming another system": ("train vae --out @smld --resume", "is a run of smld, not of vae"),
    "another option on resume": ("train smld --levels 9 --out @smld --resume", "was begun with levels 4, got 9"),
}


@pytest.mark.parametrize("words, message", WRONG.values(), ids=WRONG.keys())
def test_whatever_does_not_fit_is_said_in_one_line_with_exit_code_2_and_nothing_changes(runs, tmp_path, capsys, words, message):
    before = files(next(iter(runs.values())).parent)
    arguments = [str(runs[word[1:]]) if word.startswith("@") else word for word in words.split()]
    assert run(*(argument.replace("OUT", str(tmp_path / "out")) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and "Traceback" not in err, err
    assert out == "" and files(next(iter(runs.values())).parent) == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("smld", {"schedule": {"name": "geometric", "T": 4, "sigma_min": 3.0, "sigma_max": 2.0}}, "0 < sigma_min < sigma_max"),
        ("smld", {"schedule": {"name": "linear", "T": 4}}, "schedule must be one of geometric, got 'linear'"),
        ("smld", {"matching": "fisher"}, "objective must be one of"),
        ("indi", {"degradation": {"noise": -1.0, "blur": 0.0}}, "noise and blur must not be negative"),
        ("indi", {"degradation": {"dust": 1.0}}, "can't be read as the config"),
        ("indi", {"epsilon": "much"}, "can't be read as the config"),
        ("ddpm", {"objective": "best"}, "objective must be one of"),
        ("vae", {"net": {"kind": "mlp", "size": [1]}}, "vae trains an autoencoder, got --net mlp"),
    ],
)
def test_a_damaged_config_is_refused(runs, tmp_path, capsys, name, change, message):
    shutil.copytree(runs[name], tmp_path / "run")
    config = json.loads((runs[name] / "config.json").read_text()) | change
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert run("sample", tmp_path / "run", "--out", tmp_path / "s.png") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_each_systems_own_sampler_is_the_one_that_it_is_named_for(runs, tmp_path, capsys):
    for name, sampler in {
        "vae": "decoder",
        "ddpm": "ddim",
        "smld": "annealed-langevin",
        "sde": "predictor-corrector",
        "indi": "indi",
    }.items():
        assert run("sample", runs[name], *FEW[sampler].split(), "--n", 2, "--out", tmp_path / f"{name}.npz") == 0
        assert f"of {runs[name]}, {sampler}" in capsys.readouterr().out


def test_only_indi_restores_a_run_of_indi_and_all_others_begin_with_noise(runs, tmp_path, capsys):
    for sampler in ("ode-heun", "ddim", "annealed-langevin"):
        path = tmp_path / f"{sampler}.npz"
        assert run("sample", runs["much noise"], "--sampler", sampler, *FEW[sampler].split(), "--n", 3, "--out", path) == 0
        assert sampled(path).keys() == {"x"}
        assert run("evaluate", runs["much noise"], "--sampler", sampler, *FEW[sampler].split(), "--n", 20) == 0
        assert "restored" not in capsys.readouterr().out
    opened, sample = open_run(runs["much noise"]), np.arange(20_000)
    x = initial_sample(opened, ops, sample, "ddim", 0)
    assert_mean(x.astype(np.float64) ** 2, opened.model.data_variance + 25)
    clean = opened.data.held_out[sample % len(opened.data.held_out)].astype(np.float64)
    assert_mean(x * clean, 0.0)


def test_more_latent_variables_than_directions_of_the_data_are_evaluated(tmp_path, capsys):
    np.savez(tmp_path / "line.npz", x=np.outer(np.linspace(-1, 1, 100), [1.0, 2.0]).astype(np.float32))
    command = ("train", "vae", "--data", tmp_path / "line.npz", "--latent", 1, *TINY, "--out", tmp_path / "run")
    assert run(*command) == 0 and run("evaluate", tmp_path / "run", "--n", 10) == 0
    out = capsys.readouterr().out
    assert "-ELBO (nats)" in out and "best linear VAE" not in out


def test_progress_ends_where_the_sampler_does(runs, tmp_path, capsys):
    totals = {"annealed-langevin": 4 * 2 + 1, "langevin": 5, "ddim": 3, "predictor-corrector": 4, "edm": 3, "ode-rk45": 2}
    for sampler, total in totals.items():
        assert run("sample", runs["smld"], "--sampler", sampler, *FEW[sampler].split(), "--n", 2, "--out", tmp_path / f"{sampler}.npz") == 0
        assert f"step {total} of {total}" in capsys.readouterr().out


def test_less_noise_is_restored_from_where_it_lies_on_the_path(runs, tmp_path):
    """In one step: the estimate at t = noise / trained noise."""
    assert run("sample", runs["indi"], "--steps", 1, "--n", 5, "--noise", 0.25, "--out", tmp_path / "s.npz") == 0
    opened, arrays = open_run(runs["indi"]), sampled(tmp_path / "s.npz")
    expected = opened.model.denoise_function(opened.state.ema)(arrays["degraded"], 0.25)
    assert_close(arrays["x"], expected, EXACT32, 8.0)


def test_the_floor_by_quadrature_is_near_that_of_the_draws(runs, capsys):
    """Of 16,384 draws of a loss below 1 with a deviation of about 1."""
    assert run("evaluate", runs["smld"], "--steps", 2, "--n", 20) == 0
    rows = dict(line.strip().rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    difference = float(rows["its expectation, by quadrature"]) - float(rows["loss of the exact prediction"])
    assert abs(difference) < z_score() / 16_384**0.5
