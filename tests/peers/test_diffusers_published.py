"""Models that diffusers saved, loaded here: DDPM's settings, classes, old names, half precision, several files."""

import json
from itertools import product

import numpy as np
import pytest

from reference import ops
from reference.ops import random as ops_random
from reference.runs import conditions, diffusers_format, published
from reference.runs.diffusers_weights import HALF, INDEX, WEIGHTS
from reference.runs.run import open_run
from reference.runs.trajectory import trajectory
from reference.samplers import final_sample
from reference.samplers.ancestral import prior
from tests.oracle_tolerances import PEER_CHAIN, PEER_NETWORK, U32, assert_close, betas_table
from tests.peers.test_diffusers_unet import same, to_numpy, to_torch
from tests.reference.test_diffusers_files import OLD_NAMES

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
theirs = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install -e '.[peers]'")

DDPM = {  # the settings of google/ddpm-cifar10-32, but narrower
    "sample_size": 16,
    "block_out_channels": (8, 16, 16, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 4,
}
CONFIGS = {
    "ddpm": {},
    "classes": {"num_class_embeds": 5},
    "sines last": {"flip_sin_to_cos": True},
    "padding on all sides": {"downsample_padding": 1, "freq_shift": 0},
    "their defaults": {"block_out_channels": (8, 16), "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "norm_num_groups": 4}
    | {"up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "sample_size": 8, "in_channels": 1, "out_channels": 1},
}


@pytest.fixture
def model(request):
    torch.manual_seed(0)
    name = getattr(request, "param", "classes")
    made = theirs.UNet2DModel(**CONFIGS[name] if name == "their defaults" else DDPM | CONFIGS[name])
    with torch.no_grad():  # their initial scales are 1 and biases 0
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def agrees(model, folder):
    """The model that ``folder`` holds has the outputs of ``model``, at whole times, as their pipelines have them."""
    network, params = diffusers_format.load_model(folder)
    x = np.random.default_rng(1).standard_normal((3, *network.sample_shape)).astype(np.float32)
    t, labels = np.array([0, 17, 999]), np.array([1, 0, 4]) if network.classes else None
    with torch.no_grad():
        expected = model(to_torch(x), torch.tensor(t), class_labels=None if labels is None else torch.tensor(labels)).sample
    same("y", network.forward(params, x, t.astype(np.float32), labels=labels)[0], to_numpy(expected))


@pytest.mark.parametrize("model", CONFIGS, indirect=True)
def test_a_model_that_they_saved_has_their_outputs_here(model, tmp_path):
    model.save_pretrained(tmp_path)
    agrees(model, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_read_exactly(model, tmp_path, dtype):
    model.to(dtype).save_pretrained(tmp_path, variant="fp16" if dtype == torch.float16 else None)
    assert (tmp_path / (HALF if dtype == torch.float16 else WEIGHTS)).is_file()
    agrees(model.float(), tmp_path)


def test_weights_in_several_files_are_read(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert (tmp_path / INDEX).is_file() and not (tmp_path / WEIGHTS).exists() and len([*tmp_path.glob("*.safetensors")]) > 2
    agrees(model, tmp_path)


@pytest.mark.parametrize("convolutions", [False, True])
def test_old_names_of_attention_are_read(model, tmp_path, convolutions):
    from safetensors.torch import save_file

    model.save_pretrained(tmp_path)
    old = {}
    for name, array in model.state_dict().items():
        for before, now in OLD_NAMES.items():
            if f".{now}." in name:
                name = name.replace(f".{now}.", f".{before}.")
                array = array[:, :, None, None] if convolutions and array.ndim == 2 else array
        old[name] = array.contiguous()
    assert sum("proj_attn.weight" in name for name in old) == 6
    save_file(old, tmp_path / WEIGHTS)
    agrees(model, tmp_path)


def test_fields_that_a_config_lacks_have_their_defaults(tmp_path):
    settings = CONFIGS["their defaults"]
    theirs.UNet2DModel(**settings).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    for name in (*diffusers_format.OPTIONAL_FIELDS, *diffusers_format.FIXED_FIELDS):
        without = {field: value for field, value in written.items() if field != name}
        assert diffusers_format.network_of(without) == diffusers_format.network_of(written)


SCHEDULES = {
    "linear": {"beta_schedule": "linear"},
    "scaled-linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "given": {"trained_betas": np.linspace(1e-4, 0.03, 1000).tolist()},
    "zero terminal SNR": {"rescale_betas_zero_snr": True},
    "another T": {"num_train_timesteps": 400},
}


@pytest.mark.parametrize("kind, name", [("DDPMScheduler", "sigmoid"), *product(("DDPMScheduler", "DDIMScheduler"), SCHEDULES)])
def test_the_noise_levels_of_their_schedulers_are_ours(model, tmp_path, kind, name):
    scheduler = getattr(theirs, kind)(**SCHEDULES.get(name, {"beta_schedule": name}), prediction_type="v_prediction")
    theirs.DDPMPipeline(model, scheduler).save_pretrained(tmp_path)
    schedule = open_run(tmp_path).model.schedule
    betas = scheduler.betas.numpy().astype(np.float64)[: schedule.T - (name == "zero terminal SNR")]
    assert schedule.T == len(scheduler.betas)
    error = np.abs(scheduler.alphas_cumprod.numpy().astype(np.float64) - schedule.signal_power(np.arange(1, schedule.T + 1)))
    bound = betas_table(betas, U32)
    if name == "zero terminal SNR":  # a root is shifted by that of alpha_bar_T, and becomes a product again: each rounds
        bound = np.append(bound, bound[-1]) + 8 * U32 * np.arange(1, schedule.T + 1)
    assert (error <= bound).all()


def test_schedulers_without_fields_have_their_defaults():
    for kind in published.SCHEDULERS:
        config = getattr(theirs, kind)().config
        for name, value in published.DEFAULTS.items():
            assert config.get(name, value) in (value, None), f"{kind}: {name}"  # None: a scheduler without variances


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
def test_a_pipeline_that_they_saved_samples_here_as_there(model, tmp_path, sampler, prediction, monkeypatch):
    kind = {"ddpm": theirs.DDPMScheduler, "ddim": theirs.DDIMScheduler}[sampler]
    scheduler = kind(prediction_type=prediction, timestep_spacing="trailing", num_train_timesteps=12, beta_end=0.5)
    theirs.DDPMPipeline(model, scheduler).save_pretrained(tmp_path)
    run, sample, labels = open_run(tmp_path), np.arange(3), np.array([1, 0, 4])
    own = {"variance": "posterior"} if sampler == "ddpm" else {"eta": 0.0}
    run = conditions.with_labels(run, labels)
    run.config["classes"] = None
    ours = final_sample(trajectory(run, ops, sample, sampler, 7, steps=12, **own))

    noises = (ops.normal(7, sample, step, ops_random.Purpose.STEP_NOISE, (16, 16, 3), np.float32) for step in range(12))
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *args, **kwargs: to_torch(next(noises)))
    x = to_torch(prior(7, sample, (16, 16, 3)))
    scheduler.set_timesteps(12)
    with torch.no_grad():
        for t in scheduler.timesteps:
            output = model(x, t, class_labels=torch.tensor(labels)).sample
            how = {"use_clipped_model_output": True} if sampler == "ddim" else {}
            x = scheduler.step(output, t, x, **how).prev_sample
    assert_close(to_numpy(x), ours, PEER_CHAIN, 1.0)


def test_a_difference_of_a_thousandth_would_be_seen(model, tmp_path):
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        model.conv_out.weight.mul_(1.001)
    with pytest.raises(AssertionError, match="relative error"):
        agrees(model, tmp_path)
    assert PEER_NETWORK[np.dtype(np.float32)] < 1e-4
