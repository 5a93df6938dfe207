"""The U-Net in diffusers' format: the config.json and diffusion_pytorch_model.safetensors of a
UNet2DModel, written and read without diffusers.

Both libraries compute the same function of the same parameters.  Names and layouts differ:

    this library                      diffusers
    layer.w, .b, .scale, .shift       layer.weight, .bias, .weight, .bias
    convolution [h,w,i,o]             [o,i,h,w]
    linear [i,o]                      [o,i]
    images [b,h,w,channels]           [b,channels,h,w]
    cosines of the time first         first if flip_sin_to_cos, else last

The files do not describe the network's input.  Here a network gets x scaled to unit variance and a
real time in [0, 1000] (denoiser.py); in diffusers it gets x itself and a whole number from 0 on.
``scheduler_config`` holds the settings for diffusers' sampler.  published.py samples from models of
both kinds.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import betas_of_log_alpha_bar
from reference.diffusion.schedules import Schedule
from reference.networks import UNet
from reference.ops.checks import is_whole
from reference.runs import checkpoint
from reference.runs.diffusers_weights import WEIGHTS, read_weights
from reference.sde.flow import Flow

CONFIG = "config.json"
RUN_FIELD = "_run"  # of the config: an exported run's config and step, which diffusers ignores
LEAF_NAMES = {"w": "weight", "b": "bias", "scale": "weight", "shift": "bias", "table": "weight"}
TIME_WEIGHT = "time_embedding.linear_1.weight"
PREDICTIONS = {"noise": "epsilon", "x0": "sample", "v": "v_prediction"}
FIXED_FIELDS = {  # fields of a UNet2DModel for which a UNet has one value only
    "act_fn": "silu",
    "add_attention": True,
    "attn_norm_num_groups": None,
    "center_input_sample": False,
    "class_embed_type": None,
    "downsample_type": "conv",
    "dropout": 0.0,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2D",
    "num_train_timesteps": None,
    "resnet_time_scale_shift": "default",
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "upsample_type": "conv",
}
OPTIONAL_FIELDS: dict[str, Any] = {  # the value of a UNet2DModel whose config lacks the field
    "attention_head_dim": 8,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "norm_eps": 1e-5,
    "num_class_embeds": None,
}


def to_diffusers(network, params):
    """(config, arrays): the config of a UNet2DModel, and its parameters by diffusers' names."""
    return config_of(network), to_diffusers_arrays(params)


def to_diffusers_arrays(params):
    """Parameters of any network, or their gradients, with PyTorch's names and layouts."""
    return {
        diffusers_name(name): np.ascontiguousarray(array.transpose(_axes(name, array.shape)))
        for name, array in params.items()
    }


def from_diffusers_arrays(network, arrays):
    """The inverse of ``to_diffusers_arrays``."""
    params = {}
    for name, shape in network.shapes().items():
        array = arrays[diffusers_name(name)].transpose(np.argsort(_axes(name, shape)))
        params[name] = np.ascontiguousarray(array)
    return params


def diffusers_name(name):
    """layer.w -> layer.weight, and so on."""
    layer, _, leaf = name.rpartition(".")
    return f"{layer}.{LEAF_NAMES[leaf]}"


def diffusers_shapes(network):
    """diffusers' name -> diffusers' shape, for every parameter."""
    return {
        diffusers_name(name): tuple(shape[axis] for axis in _axes(name, shape))
        for name, shape in network.shapes().items()
    }


def _axes(name, shape):
    """This library's axes in diffusers' order: for a layer's weights the outputs, the inputs, then
    the axes of the kernel, if any.
    """
    n = len(shape)
    return (n - 1, n - 2, *range(n - 2)) if name.endswith(".w") else tuple(range(n))


def config_of(network):
    """The config of the UNet2DModel that computes the same function as ``network``.  ValueError for
    a network with captions, which a UNet2DModel has not.
    """
    if network.vocabulary:
        raise ValueError("a UNet2DModel has no text encoder, and the network has a vocabulary")
    attends = ["Attn" * (i in network.attention_levels) for i in range(len(network.channels))]
    height, width = network.size
    return {
        "_class_name": "UNet2DModel",
        "sample_size": height if height == width else [height, width],
        "in_channels": network.in_channels,
        "out_channels": network.in_channels * network.outputs,
        "block_out_channels": list(network.channels),
        "down_block_types": [f"{attn}DownBlock2D" for attn in attends],
        "up_block_types": [f"{attn}UpBlock2D" for attn in reversed(attends)],
        "layers_per_block": network.layers,
        "norm_num_groups": network.groups,
        "attention_head_dim": network.head_width,
        "num_class_embeds": network.classes or None,
        "downsample_padding": network.downsample_padding,
        "flip_sin_to_cos": True,
        "freq_shift": network.freq_shift,
        "norm_eps": network.norm_eps,
        **FIXED_FIELDS,
    }


def model_files(network, params, run=None):
    """The two files, name -> bytes.  ``run``: the config and the step of the model's run."""
    from safetensors.numpy import save as to_bytes

    config, arrays = to_diffusers(network, params)
    config |= {RUN_FIELD: run} if run else {}
    return {CONFIG: json_bytes(config), WEIGHTS: to_bytes(arrays, {"format": "pt"})}


def json_bytes(config):
    return (json.dumps(config, indent=2) + "\n").encode()


def load_model(folder):
    """(network, params) of the UNet2DModel in ``folder``, the parameters in float32.  ValueError
    unless a ``UNet`` can compute the same function.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} holds no UNet2DModel: it has no {CONFIG}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        network = network_of(config)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} can't be read as the config of a UNet2DModel that is supported here: {error}"
        ) from None
    weights, arrays = read_weights(folder)
    if network.layers > len(arrays):  # checked before the shapes of so many layers are listed
        raise ValueError(
            f"{path} is not the config of {weights.name}: layers_per_block is {network.layers}"
        )
    checkpoint.check_arrays(weights, arrays, diffusers_shapes(network))
    if not config.get("flip_sin_to_cos", True):
        arrays |= {TIME_WEIGHT: cosines_first(arrays[TIME_WEIGHT])}
    return network, from_diffusers_arrays(network, arrays)


def cosines_first(weight):
    """The weight [o,i] of the first layer on the time, of a model with the sines first, for the
    time embedding with the cosines first: the two halves of its inputs exchanged.
    """
    return np.roll(weight, weight.shape[1] // 2, axis=1)


def network_of(config):
    """The UNet for a UNet2DModel's config.  ValueError with the name of the field if a UNet does
    not support its value.
    """
    if not isinstance(config, dict) or config.get("_class_name") != "UNet2DModel":
        raise ValueError("_class_name must be UNet2DModel")
    size, types = config.get("sample_size"), config.get("down_block_types")
    head, padding, sines_last, shift, eps, classes = (
        config.get(name, default) for name, default in OPTIONAL_FIELDS.items()
    )
    height, width = _whole_numbers("sample_size", [size, size] if is_whole(size) else size, 2)
    channels = _whole_numbers("block_out_channels", config.get("block_out_channels"))
    in_channels, out_channels, layers, groups = (
        _whole_numbers(name, [config.get(name)], 1)[0]
        for name in ("in_channels", "out_channels", "layers_per_block", "norm_num_groups")
    )
    if out_channels % in_channels:
        raise ValueError(
            f"out_channels must be a multiple of in_channels, {in_channels}, got {out_channels}"
        )
    if head is not None:  # None means one head
        head = _whole_numbers("attention_head_dim", [head], 1)[0]
    if not isinstance(sines_last, bool):
        raise ValueError(f"flip_sin_to_cos must be true or false, got {json.dumps(sines_last)}")
    for name, value in (("downsample_padding", padding), ("freq_shift", shift)):
        if not is_whole(value):
            raise ValueError(f"{name} must be a whole number, got {json.dumps(value)}")
    if not isinstance(eps, (int, float)):
        raise ValueError(f"norm_eps must be a number, got {json.dumps(eps)}")
    last = len(channels) - 1
    attends = [
        -1 if i == last else i  # -1 is the usual name of the last level
        for i, kind in enumerate(types[: last + 1] if isinstance(types, list) else ())
        if kind == "AttnDownBlock2D"
    ]
    network = UNet(
        size=(height, width),
        in_channels=in_channels,
        channels=channels,
        layers=layers,
        groups=groups,
        head_width=head,
        classes=0 if classes is None else _whole_numbers("num_class_embeds", [classes], 1)[0],
        outputs=out_channels // in_channels,
        attention=tuple(attends),
        norm_eps=eps,
        freq_shift=shift,
        downsample_padding=padding,
    )
    own = config_of(network)
    for name in (*FIXED_FIELDS, "down_block_types", "up_block_types"):
        if (value := config.get(name, FIXED_FIELDS.get(name))) != own[name]:
            raise ValueError(f"{name} must be {json.dumps(own[name])}, got {json.dumps(value)}")
    for name in config:
        if name not in own and not name.startswith("_"):
            raise ValueError(f"{name} is not a known field")
    return network


def _whole_numbers(name, values, count=None):
    """``values`` as a tuple.  ValueError unless it lists ``count`` whole numbers from 1 on."""
    if not (
        isinstance(values, list)
        and len(values) == (count or len(values) or 1)
        and all(is_whole(n) and n >= 1 for n in values)
    ):
        wanted = f"{count or ''} whole number{'s' * (count != 1)} from 1 on"
        raise ValueError(f"{name} must hold {wanted}, got {json.dumps(values)}")
    return tuple(values)


def scheduler_config(model):
    """The config of diffusers' scheduler that takes the steps of our sampler; None if none does.

    A model on DDPM's schedule: a DDPMScheduler takes the steps of ``ancestral``, as the command
    ``sample`` does for images.  Its t is t - 1 here, and its alphas_cumprod[t] is alpha_bar[t + 1]
    here, in float32.
    The velocity on the schedule of ``Flow``: a FlowMatchEulerDiscreteScheduler takes the steps of
    ``ddim`` without clipping.  Its sigmas are our times, and its timesteps are the network's.
    """
    if isinstance(model.schedule, Flow) and model.prediction == "velocity":
        return {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": 1.0,
            "use_dynamic_shifting": False,
        }
    if type(model.schedule) is not Schedule or model.prediction not in PREDICTIONS:
        return None
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": model.schedule.T,
        "trained_betas": betas_of_log_alpha_bar(model.schedule.log_alpha_bar).tolist(),
        "prediction_type": PREDICTIONS[model.prediction],
        "variance_type": "learned_range" if isinstance(model, LearnedVariance) else "fixed_small",
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "timestep_spacing": "trailing",
    }
