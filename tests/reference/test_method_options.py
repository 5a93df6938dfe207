"""Options of each method: defaults, and one line with exit code 2 for invalid options and damaged configs."""

import json
import shutil

import pytest

from reference.data import datasets
from reference.runs.config import build_config
from tests.command_runs import files, run


def test_points_have_other_defaults_that_options_override():
    data = datasets.load_dataset("mixture2d")
    config = build_config("ddpm", data, {"data": "mixture2d"})
    assert config["steps"] == 20_000 and config["training"]["batch"] == 512 and config["training"]["lr"] == 2e-3
    config = build_config("ddpm", data, {"data": "mixture2d", "batch": 3, "steps": 7})
    assert config["steps"] == 7 and config["training"]["batch"] == 3 and config["training"]["lr"] == 2e-3
    config = build_config("ddpm", datasets.load_dataset("digits"), {})
    assert config["steps"] == 2000 and config["training"]["batch"] == 64 and config["training"]["lr"] == 1e-3


WRONG = {
    "sigma-min above sigma-max": ("train smld --sigma-min 3 --sigma-max 2 --out OUT", "0 < sigma_min < sigma_max, got 3.0 and 2.0"),
    "equal sigmas": ("train smld --sigma-min 2 --sigma-max 2 --out OUT", "0 < sigma_min < sigma_max"),
    "no level": ("train smld --levels 0 --out OUT", "smld needs at least 2 levels, the smallest noise and the largest, got 0"),
    "sigmas beyond numbers": ("train smld --sigma-max 1e200 --out OUT", "must lie between 1e-100 and 1e100"),
    "infinite bandwidth": (
        "train smld --data mixture1d --objective explicit --bandwidth inf --out OUT",
        "bandwidth must be positive and finite",
    ),
    "more blur than image": ("train indi --blur 1e6 --out OUT", "blur must be at most the images' larger side, 8 pixels, got 1e+06"),
    "noise beyond numbers": ("train indi --noise 1e39 --out OUT", "noise must be 0 or from 1e-6 to 1e6, got 1e+39"),
    "one level": ("train smld --levels 1 --out OUT", "at least 2 levels"),
    "unknown objective": ("train smld --objective fisher --out OUT", "argument --objective: invalid choice: 'fisher'"),
    "objective of smld for ddpm": (
        "train ddpm --objective sliced --out OUT",
        "objective of ddpm must be one of simple, variational, hybrid, got 'sliced'",
    ),
    "a schedule for smld": ("train smld --schedule linear --out OUT", "--schedule is not an option of train smld"),
    "levels for ddpm": ("train ddpm --levels 4 --out OUT", "--levels is not an option of train ddpm"),
    "sigma for indi": ("train indi --sigma-min 1 --out OUT", "--sigma-min is not an option of train indi"),
    "unknown times of a flow": ("train flow --times bell --out OUT", "argument --times: invalid choice: 'bell'"),
    "times for sde": ("train sde --times u-shaped --out OUT", "--times is not an option of train sde"),
    "an sde for flow": ("train flow --sde vp --out OUT", "--sde is not an option of train flow"),
    "unknown loss weight": ("train flow --loss-weight snr --out OUT", "argument --loss-weight: invalid choice: 'snr'"),
    "loss weight for smld": ("train smld --loss-weight edm --out OUT", "--loss-weight is not an option of train smld"),
    "loss weight of learned variances": (
        "train ddpm --objective hybrid --loss-weight p2 --out OUT",
        "loss-weight p2 needs objective simple",
    ),
    "loss weight 0 at the end": (
        "train ddpm --zero-terminal-snr --prediction F --loss-weight min-snr --steps 1 --batch 2 --channels 8 8 --out OUT",
        "loss-weight min-snr is 0 at the end of the schedule, where x_T = 0 x_0 + noise: take loss-weight simple or edm",
    ),
    "blur for vae": ("train vae --blur 1 --out OUT", "--blur is not an option of train vae"),
    "latent for ddpm": ("train ddpm --latent 3 --out OUT", "--latent is not an option of --net unet"),
    "a unet for vae": ("train vae --net unet --out OUT", "vae trains an autoencoder, got --net unet"),
    "an autoencoder for ddpm": ("train ddpm --net autoencoder --out OUT", "ddpm trains a unet or an mlp, got --net autoencoder"),
    "no latent variable": ("train vae --latent 0 --out OUT", "size, latent and width must be at least 1"),
    "sliced with a unet": ("train smld --objective sliced --out OUT", "take --net mlp"),
    "explicit on images": ("train smld --objective explicit --out OUT", "explicit score matching needs points"),
    "bandwidth of another matching": (
        "train smld --data mixture1d --bandwidth 1 --out OUT",
        "--bandwidth is not an option of --objective denoising",
    ),
    "bandwidth": ("train smld --data mixture1d --objective explicit --bandwidth -1 --out OUT", "bandwidth must be positive"),
    "blurred points": ("train indi --data mixture1d --blur 1 --out OUT", "blur needs images, and mixture1d holds points"),
    "negative noise": ("train indi --noise -1 --out OUT", "noise and blur must not be negative"),
    "no degradation": ("train indi --noise 0 --out OUT", "not both be 0"),
    "Brownian noise of training": ("train indi --brownian-noise -1 --out OUT", "brownian-noise must not be negative, got -1.0"),
    "learned variances in one step": ("train ddpm --timesteps 1 --objective hybrid --out OUT", "2 outputs and T at least 2"),
    "no langevin step": ("sample @smld --sampler langevin --step-size 0 --out OUT.png", "step-size must be a positive number, got 0.0"),
    "a langevin step that is no number": (
        "sample @smld --sampler langevin --step-size nan --out OUT.png",
        "step-size must be a positive number",
    ),
    "no langevin steps": ("sample @smld --sampler langevin --steps 0 --out OUT.png", "steps must be at least 1"),
    "base step": ("sample @smld --base-step -1 --out OUT.png", "base-step must be a positive number"),
    "levels of a sampler": ("sample @smld --levels 1 --out OUT.png", "levels must be at least 2"),
    "eta of langevin": ("sample @smld --sampler langevin --eta 1 --out OUT.png", "--eta is not an option of --sampler langevin"),
    "steps of a decoder": ("sample @vae --steps 3 --out OUT.png", "--steps is not an option of --sampler decoder"),
    "learned variance that was not": (
        "sample @smld --sampler ddpm --variance learned --out OUT.png",
        "variance must be posterior or beta for a run without learned variances",
    ),
    "more steps than levels": ("sample @ddpm --sampler ddim --steps 31 --out OUT.png", "from 1 to T = 30, got 31"),
    "no steps": ("sample @sde --steps 0 --out OUT.png", "steps must be at least 1, got 0"),
    "one step of edm": ("sample @sde --sampler edm --steps 1 --out OUT.png", "steps must be at least 2, got 1"),
    "negative churn": ("sample @sde --sampler edm --churn -1 --out OUT.png", "churn must be finite and not negative, got -1"),
    "endless churn": ("sample @sde --sampler edm --churn inf --out OUT.png", "churn must be finite and not negative, got inf"),
    "negative noise of churn": (
        "sample @sde --sampler edm --churn 5 --churn-noise -1 --out OUT.png",
        "churn-noise must be finite and not negative, got -1",
    ),
    "churn interval that falls": (
        "sample @sde --sampler edm --churn 5 --churn-interval 3 2 --out OUT.png",
        "churn-interval must be a low and a higher noise level, got 3 2",
    ),
    "churn interval without churn": (
        "sample @sde --sampler edm --churn-interval 2 3 --out OUT.png",
        "churn-noise and churn-interval need a churn above 0",
    ),
    "churn of another sampler": ("sample @sde --churn 5 --out OUT.png", "--churn is not an option of --sampler predictor-corrector"),
    "unknown grid": ("sample @sde --grid even --out OUT.png", "argument --grid: invalid choice: 'even'"),
    "unknown predictor": ("sample @sde --predictor best --out OUT.png", "argument --predictor: invalid choice: 'best'"),
    "negative corrections": ("sample @sde --corrections -1 --out OUT.png", "corrections must not be negative, got -1"),
    "corrector's step": ("sample @sde --corrector-step 0 --out OUT.png", "corrector-step must be a positive number, got 0.0"),
    "no tolerance": ("sample @sde --sampler ode-rk45 --tolerance nan --out OUT.png", "tolerance must be a positive number"),
    "steps of rk45": ("sample @sde --sampler ode-rk45 --steps 5 --out OUT.png", "--steps is not an option of --sampler ode-rk45"),
    "negative reverse_noise": (
        "sample @sde --sampler euler-maruyama --reverse-noise -1 --out OUT.png",
        "reverse-noise must not be negative",
    ),
    "unknown sde": ("train sde --sde vq --out OUT", "argument --sde: invalid choice: 'vq'"),
    "timesteps of sde": ("train sde --timesteps 5 --out OUT", "--timesteps is not an option of train sde"),
    "sigma of vp": ("train sde --sigma-max 10 --out OUT", "--sigma-max belongs to --sde ve, not to vp"),
    "beta of linear": ("train ddpm --beta 0.1 --out OUT", "--beta belongs to --schedule constant, not to linear"),
    "more noise than trained": (
        "sample @indi --noise 2 --out OUT.png",
        "noise must be from 0.001 to 1, for which this run was trained, got 2",
    ),
    "blur that was not trained": ("sample @indi --blur 1 --out OUT.png", "blur must be 0, for which this run was trained"),
    "another noise beside blur": ("sample @deblur --noise 0.5 --out OUT.png", "noise must be 0.05, for which this run was trained"),
    "resuming another method": ("train vae --out @smld --resume", "is a run of smld, not of vae"),
    "another option on resume": ("train smld --levels 9 --out @smld --resume", "was begun with levels 4, got 9"),
}


@pytest.mark.parametrize("words, message", WRONG.values(), ids=WRONG.keys())
def test_bad_method_options_exit_2_with_one_line_and_no_side_effects(runs, tmp_path, capsys, words, message):
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
        ("smld", {"schedule": {"name": "geometric", "T": 4, "beta": 0.1}}, "the schedule geometric has no beta"),
        ("smld", {"objective": "fisher"}, "objective of smld must be one of"),
        ("indi", {"degradation": {"noise": -1.0, "blur": 0.0}}, "noise and blur must not be negative"),
        ("indi", {"degradation": {"dust": 1.0}}, "can't be read as the config"),
        ("indi", {"epsilon": "much"}, "can't be read as the config"),
        ("ddpm", {"objective": "best"}, "objective of ddpm must be one of"),
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
