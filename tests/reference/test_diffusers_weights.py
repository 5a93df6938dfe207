"""The U-Net in the format of diffusers, tested without diffusers (tests/peers compares with diffusers itself)."""

import hashlib
import json
import re
from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest

from reference.commands.cli import main
from reference.commands.export import input_formula
from reference.data import datasets
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import cosine, linear
from reference.networks import UNet
from reference.runs import diffusers_format
from reference.runs.config import build_config
from reference.runs.files import write_together
from reference.runs.run import new_run, open_run
from tests.oracle_tolerances import EXACT, SDE_FORMULA, accumulated, assert_close

TWO_LEVELS = UNet()
THREE_LEVELS = UNet(size=(32, 32), channels=(32, 64, 64))
ALL_OPTIONS = UNet(size=(8, 12), in_channels=3, channels=(8, 16), layers=2, groups=4, head_width=4, classes=5, outputs=2)
NETWORKS = {TWO_LEVELS: "two levels", THREE_LEVELS: "three levels", ALL_OPTIONS: "two layers, classes, two outputs"}
LISTINGS = {  # results of ``listing`` for the UNet2DModel of the same config in diffusers 0.42.1 (tests/peers compares them)
    TWO_LEVELS: "f7bbd28ddbdc7dcc99264ffa0e4c40097701ca665ada9959b7d5216f74d31633",
    THREE_LEVELS: "0283e413300af0c362c46b25a0dc375d660f5417520dcb8d423f0dc445845705",
    ALL_OPTIONS: "6dd6bc22f799d1e3d4cc7a7f82dc40deddcd50eea457c277ac3d0dd81db98106",
}
every_network = pytest.mark.parametrize("network", NETWORKS, ids=NETWORKS.get)


def random_parameters(network, seed=0):
    """Non-zero float32 parameters of a size that keeps activations near 1."""
    rng, params = np.random.default_rng(seed), {}
    for name, shape in network.shapes().items():
        scale = np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.25
        params[name] = (rng.standard_normal(shape) * scale + name.endswith("scale")).astype(np.float32)
    return params


def listing(shapes):
    """A digest of all names and shapes."""
    return hashlib.sha256("\n".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items())).encode()).hexdigest()


@every_network
def test_saved_weights_are_loaded_bit_for_bit(network, tmp_path):
    params = random_parameters(network)
    write_together(tmp_path, diffusers_format.model_files(network, params))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "diffusion_pytorch_model.safetensors"]
    loaded, arrays = diffusers_format.load_model(tmp_path)
    assert loaded == network and list(arrays) == list(params)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, params[name])
        assert array.flags.c_contiguous


@every_network
def test_weight_names_and_shapes_match_diffusers(network):
    _, arrays = diffusers_format.to_diffusers(network, random_parameters(network))
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == diffusers_format.diffusers_shapes(network)
    assert listing(shapes) == LISTINGS[network]


def test_each_kind_of_parameter_has_the_name_and_layout_of_diffusers():
    params = random_parameters(ALL_OPTIONS)
    _, theirs = diffusers_format.to_diffusers(ALL_OPTIONS, params)
    w, kernel = params["mid_block.attentions.0.to_out.0.w"], params["conv_in.w"]
    assert kernel.shape == (3, 3, 3, 8) and theirs["conv_in.weight"].shape == (8, 3, 3, 3)
    for i, o in ((0, 0), (1, 5), (15, 2)):
        assert theirs["mid_block.attentions.0.to_out.0.weight"][o, i] == w[i, o]
    for row, column, i, o in ((0, 1, 2, 7), (2, 0, 1, 3)):
        assert theirs["conv_in.weight"][o, i, row, column] == kernel[row, column, i, o]
    for ours, their in {
        "class_embedding.table": "class_embedding.weight",
        "conv_norm_out.scale": "conv_norm_out.weight",
        "conv_norm_out.shift": "conv_norm_out.bias",
        "time_embedding.linear_1.b": "time_embedding.linear_1.bias",
    }.items():
        np.testing.assert_array_equal(theirs[their], params[ours])


def test_config_describes_the_network():
    config = diffusers_format.config_of(ALL_OPTIONS)
    for name, value in {
        "sample_size": [8, 12],
        "in_channels": 3,
        "out_channels": 6,
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 2,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "num_class_embeds": 5,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "norm_eps": 1e-5,
    }.items():
        assert config[name] == value
    assert diffusers_format.config_of(TWO_LEVELS)["sample_size"] == 8 and diffusers_format.config_of(TWO_LEVELS)["num_class_embeds"] is None


def test_optional_config_fields_may_be_missing_or_have_other_values():
    optional = {**diffusers_format.FIXED_FIELDS, **diffusers_format.OPTIONAL_FIELDS}
    same = {name: value for name, value in diffusers_format.config_of(TWO_LEVELS).items() if name not in optional}
    same |= {"sample_size": [8, 8], "_diffusers_version": "0.42.1"}
    assert diffusers_format.network_of(same) == TWO_LEVELS
    assert diffusers_format.network_of(same | {"attention_head_dim": None}) == replace(TWO_LEVELS, head_width=None)


REFUSED = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "gelu",
    "add_attention": False,
    "attention_head_dim": "8",
    "attn_norm_num_groups": 4,
    "block_out_channels": [],
    "center_input_sample": True,
    "class_embed_type": "timestep",
    "down_block_types": ["CrossAttnDownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 2,
    "downsample_type": "resnet",
    "dropout": 0.1,
    "flip_sin_to_cos": 0,
    "freq_shift": 0.5,
    "in_channels": None,
    "layers_per_block": True,
    "mid_block_scale_factor": 2**0.5,
    "mid_block_type": None,
    "norm_eps": 0,
    "norm_num_groups": 0,
    "num_class_embeds": 0,
    "out_channels": 1.0,
    "resnet_time_scale_shift": "scale_shift",
    "sample_size": None,
    "time_embedding_type": "fourier",
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D"],
    "upsample_type": "resnet",
    "a_field_of_the_future": 1,
}


@pytest.mark.parametrize("field", REFUSED)
def test_an_unsupported_unet_config_is_refused_naming_the_field(field, tmp_path):
    write_together(tmp_path, diffusers_format.model_files(TWO_LEVELS, random_parameters(TWO_LEVELS)))
    config = json.loads((tmp_path / "config.json").read_text()) | {field: REFUSED[field]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf"config.json can't be read .*: {field} (must|is not)") as refusal:
        diffusers_format.load_model(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sample_size": [8, 8, 8]}, "sample_size must hold 2 whole numbers"),
        ({"sample_size": 9}, "an image size that 2 divides, got 9x9"),
        ({"in_channels": 2, "out_channels": 3}, "out_channels must be a multiple of in_channels, 2, got 3"),
        ({"attention_head_dim": 7}, "head_width must divide the 64 channels"),
        ({"norm_num_groups": 7}, "groups must divide the channels"),
        ({"block_out_channels": [64, 64]}, "conv_in.weight must have shape .64, 1, 3, 3., got shape .32, 1, 3, 3."),
        ({"num_class_embeds": 3}, "class_embedding.weight must have shape .3, 128., got nothing"),
        ({"layers_per_block": 10**12}, "layers_per_block is 1000000000000"),
    ],
)
def test_a_config_with_other_sizes_is_refused(changes, message, tmp_path):
    write_together(tmp_path, diffusers_format.model_files(TWO_LEVELS, random_parameters(TWO_LEVELS)))
    config = json.loads((tmp_path / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        diffusers_format.load_model(tmp_path)


def _cut(folder, weights):
    weights.write_bytes(weights.read_bytes()[:-1])


def _pickled(folder, weights):
    weights.rename(folder / "diffusion_pytorch_model.bin")


def _no_json(folder, weights):
    (folder / "config.json").write_text("[1")


def _no_config(folder, weights):
    (folder / "config.json").unlink()


def _replaced(**arrays):
    def change(folder, weights):
        from safetensors.numpy import load_file, save_file

        save_file(load_file(weights) | {name.replace("__", "."): array for name, array in arrays.items()}, weights)

    return change


@pytest.mark.parametrize(
    "damage, message",
    [
        (_cut, "can't be read"),
        (_pickled, "it has no diffusion_pytorch_model.safetensors; its diffusion_pytorch_model.bin is a pickle"),
        (_no_config, "it has no config.json"),
        (_no_json, "config.json can't be read"),
        (_replaced(conv_in__bias=np.zeros(32, np.float64)), "conv_in.bias must hold float32, float16 or bfloat16 numbers, got F64"),
        (_replaced(conv_in__bias=np.full(32, np.nan, np.float32)), "conv_in.bias must hold finite float32"),
        (_replaced(another=np.zeros(1, np.float32)), "it also holds another"),
    ],
)
def test_files_without_a_unet_are_refused(damage, message, tmp_path):
    write_together(tmp_path, diffusers_format.model_files(TWO_LEVELS, random_parameters(TWO_LEVELS)))
    damage(tmp_path, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=message):
        diffusers_format.load_model(tmp_path)


@pytest.mark.parametrize("model", [Denoiser(TWO_LEVELS, linear(50), "v"), LearnedVariance(replace(TWO_LEVELS, outputs=2), cosine(50))])
def test_scheduler_betas_match_the_schedule(model):
    config, schedule = diffusers_format.scheduler_config(model), model.schedule
    assert config["num_train_timesteps"] == len(config["trained_betas"]) == 50
    log_alpha_bar = np.cumsum(np.log1p(-np.array(config["trained_betas"])))
    assert_close(log_alpha_bar, schedule.log_alpha_bar[1:], accumulated(50, 1000), 1.0)  # 1 - 0.999 magnifies a rounding by 1000
    learned = isinstance(model, LearnedVariance)
    assert config["prediction_type"] == ("epsilon" if learned else "v_prediction")
    assert config["variance_type"] == ("learned_range" if learned else "fixed_small")


# the command line


def run(*words):
    try:
        return main(arguments=[str(word) for word in words])
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "images"
    assert run("train", "ddpm", "--channels", 8, 8, "--timesteps", 40, "--batch", 2, "--steps", 2, "--out", folder) == 0
    return folder


@pytest.mark.parametrize("which", ["ema", "raw"])
def test_an_exported_folder_can_be_loaded_again(images, tmp_path, capsys, which):
    assert run("export", images, "--format", "diffusers", "--weights", which, "--out", tmp_path / "new" / "folder") == 0
    out, folder = capsys.readouterr().out, tmp_path / "new" / "folder"
    assert out.count("\n") == 1 and "its README.md describes the network's inputs" in out
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "scheduler",
    }
    network, params = diffusers_format.load_model(folder)
    trained = open_run(images)
    assert network == trained.model.network
    for name, array in (trained.state.ema if which == "ema" else trained.state.params).items():
        np.testing.assert_array_equal(params[name], array)
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler == diffusers_format.scheduler_config(trained.model)
    assert input_formula(trained) in (folder / "README.md").read_text()


def test_export_refuses_a_non_empty_folder_and_a_run_without_a_unet(images, tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert run("export", images, "--format", "diffusers", "--out", tmp_path) == 2
    assert "exists already and is not empty" in capsys.readouterr().err
    words = "--data mixture1d --width 8 --depth 1 --batch 4 --steps 1".split()
    assert run("train", "ddpm", *words, "--out", tmp_path / "points") == 0
    capsys.readouterr()
    assert run("export", tmp_path / "points", "--format", "diffusers", "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "needs a unet" in err and "mlp" in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


class Recorder:
    """A network that records its inputs."""

    def __init__(self, network):
        self.network = network

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        self.x, self.c = x, c
        return x, None


@pytest.mark.parametrize(
    "method, options",
    [
        ("ddpm", {"timesteps": 40}),
        ("ddpm", {"objective": "hybrid", "prediction": "v", "schedule": "cosine"}),
        ("smld", {"levels": 7, "sigma_min": 0.1, "sigma_max": 3.0}),
        ("sde", {}),
        ("sde", {"sde": "ve", "sigma_min": 0.02, "sigma_max": 20.0}),
        ("sde", {"sde": "subvp"}),
        ("flow", {"prediction": "F"}),
        ("indi", {"noise": 0.3, "blur": 1.0, "brownian_noise": 0.2}),
    ],
)
def test_network_input_equals_the_formulas_in_the_exported_readme(method, options, tmp_path):
    begun = new_run(tmp_path, build_config(method, datasets.load_dataset("digits", 0, None), {"channels": (8, 8), **options}))
    x_formula, c_formula = re.findall("`(.*?)`", input_formula(begun))
    network = Recorder(begun.model.network)
    model = replace(begun.model, network=network)
    for t in (1, 3, 7) if method in ("ddpm", "smld") else (0.01, 0.37, 1.0):
        of = {} if method == "indi" else {"alpha": float(model.schedule.signal(t)), "sigma": float(model.schedule.noise_scale(t))}
        x = np.ones((1, 8, 8, 1))
        model.predict({}, x, np.array([t]))
        known = {"x": 1.0, "t": t, "sqrt": sqrt, "log": log, **of}
        assert_close(network.x, np.full(x.shape, eval(x_formula, known)), EXACT, 1 + 1 / begun.model.data_variance)
        assert_close(network.c, np.array([eval(c_formula, known)]), SDE_FORMULA, 1000.0)
