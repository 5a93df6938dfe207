"""The U-Net as diffusers keeps it: the config.json and diffusion_pytorch_model.safetensors of a
UNet2DModel, written and read without it.

Both libraries compute the same function of the same numbers; names and layouts differ:

    here                              there
    layer.w, .b, .scale, .shift       layer.weight, .bias, .weight, .bias
    convolution [h,w,i,o]             [o,i,h,w]
    linear [i,o]                      [o,i]
    images [b,h,w,channels]           [b,channels,h,w]

What the function is a function of is not in these files: here a network is fed x scaled to unit
variance and a real condition in [0, 1000] (denoiser.py), there x as it is and a whole number from 0
on.  ``scheduler_config`` says what their sampler must be told.
"""

import json
from pathlib import Path

import numpy as np

from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import betas_of_log_alpha_bar
from reference.networks import UNet
from reference.ops.checks import is_whole
from reference.runs import checkpoint
from reference.runs.files import write_together

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
LEAF_NAMES = {"w": "weight", "b": "bias", "scale": "weight", "shift": "bias", "table": "weight"}
PREDICTIONS = {"noise": "epsilon", "x0": "sample", "v": "v_prediction"}
FIXED = {  # what a UNet2DModel could be told, and a UNet is
    "act_fn": "silu",
    "add_attention": True,
    "attn_norm_num_groups": None,
    "center_input_sample": False,
    "class_embed_type": None,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "dropout": 0.0,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2D",
    "norm_eps": 1e-5,
    "num_train_timesteps": None,
    "resnet_time_scale_shift": "default",
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "upsample_type": "conv",
}


def to_diffusers(network, params):
    """(config, arrays): what UNet2DModel is told, and its parameters by its names."""
    return config_of(network), to_diffusers_arrays(params)


def to_diffusers_arrays(params):
    """Parameters, or their gradients, by PyTorch's names and in its layouts: those of any network
    here.
    """
    return {
        diffusers_name(name): np.ascontiguousarray(array.transpose(_axes(name, array.shape)))
        for name, array in params.items()
    }


def from_diffusers_arrays(network, arrays):
    """The way back."""
    params = {}
    for name, shape in network.shapes().items():
        ours = arrays[diffusers_name(name)].transpose(np.argsort(_axes(name, shape)))
        params[name] = np.ascontiguousarray(ours)
    return params


def diffusers_name(name):
    layer, _, word = name.rpartition(".")
    return f"{layer}.{LEAF_NAMES[word]}"


def diffusers_shapes(network):
    """Their name -> shape of every parameter."""
    return {
        diffusers_name(name): tuple(shape[axis] for axis in _axes(name, shape))
        for name, shape in network.shapes().items()
    }


def _axes(name, shape):
    """Our axes in their order: of a layer's weights the outputs, the inputs, then those of the
    kernel, if it has one.
    """
    n = len(shape)
    return (n - 1, n - 2, *range(n - 2)) if name.endswith(".w") else tuple(range(n))


def config_of(network):
    lower = len(network.channels) - 1
    height, width = network.size
    return {
        "_class_name": "UNet2DModel",
        "sample_size": height if height == width else [height, width],
        "in_channels": network.in_channels,
        "out_channels": network.in_channels * network.outputs,
        "block_out_channels": list(network.channels),
        "down_block_types": [*["DownBlock2D"] * lower, "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", *["UpBlock2D"] * lower],
        "layers_per_block": network.layers,
        "norm_num_groups": network.groups,
        "attention_head_dim": network.head_width,
        "num_class_embeds": network.classes or None,
        **FIXED,
    }


def save(folder, network, params):
    """Write the two files into ``folder``."""
    write_together(folder, files(network, params))


def files(network, params):
    """The two files, bytes by name."""
    from safetensors.numpy import save as to_bytes

    config, arrays = to_diffusers(network, params)
    return {CONFIG: json_bytes(config), WEIGHTS: to_bytes(arrays, {"format": "pt"})}


def json_bytes(config):
    return (json.dumps(config, indent=2) + "\n").encode()


def load(folder):
    """(network, params) of the UNet2DModel in ``folder``: ValueError unless it is one that a
    ``UNet`` can be, in float32.
    """
    path, weights = Path(folder) / CONFIG, Path(folder) / WEIGHTS
    for file in (path, weights):
        if not file.is_file():
            raise ValueError(f"{folder} holds no UNet2DModel: it has no {file.name}")
    try:
        network = network_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} can't be read as the config of a UNet2DModel that a UNet can be: {error}"
        ) from None
    _, arrays = checkpoint.read(weights)
    if network.layers > len(arrays):  # before as many shapes are made
        raise ValueError(
            f"{path} is not the config of {weights.name}: layers_per_block is {network.layers}"
        )
    checkpoint.checked(weights, arrays, diffusers_shapes(network))
    return network, from_diffusers_arrays(network, arrays)


def network_of(config):
    """The UNet of a UNet2DModel's config.  ValueError for one that it can't be, with the name of
    the field.
    """
    if not isinstance(config, dict) or config.get("_class_name") != "UNet2DModel":
        raise ValueError("_class_name must be UNet2DModel")
    size, head, classes = (
        config.get(name) for name in ("sample_size", "attention_head_dim", "num_class_embeds")
    )
    height, width = _wholes("sample_size", [size, size] if is_whole(size) else size, 2)
    channels = _wholes("block_out_channels", config.get("block_out_channels"))
    in_channels, out_channels, layers, groups = (
        _wholes(name, [config.get(name)], 1)[0]
        for name in ("in_channels", "out_channels", "layers_per_block", "norm_num_groups")
    )
    if out_channels % in_channels:
        raise ValueError(
            f"out_channels must be a multiple of in_channels, {in_channels}, got {out_channels}"
        )
    # None: one head
    head_width = channels[-1] if head is None else _wholes("attention_head_dim", [head], 1)[0]
    if channels[-1] % head_width:
        raise ValueError(
            f"attention_head_dim must divide the {channels[-1]} channels of the lowest level, got {head_width}"
        )
    network = UNet(
        size=(height, width),
        in_channels=in_channels,
        channels=channels,
        layers=layers,
        groups=groups,
        head_width=head_width,
        classes=0 if classes is None else _wholes("num_class_embeds", [classes], 1)[0],
        outputs=out_channels // in_channels,
    )
    own = config_of(network)
    for name in (*FIXED, "down_block_types", "up_block_types"):
        if (value := config.get(name, FIXED.get(name))) != own[name]:
            raise ValueError(f"{name} must be {json.dumps(own[name])}, got {json.dumps(value)}")
    for name in config:
        if name not in own and not name.startswith("_"):
            raise ValueError(f"{name} is not a field known here")
    return network


def _wholes(name, values, count=None):
    if not (
        isinstance(values, list)
        and len(values) == (count or len(values) or 1)
        and all(is_whole(n) and n >= 1 for n in values)
    ):
        raise ValueError(
            f"{name} must hold {count or ''} whole number{'s' * (count != 1)} from 1 on, got {json.dumps(values)}"
        )
    return tuple(values)


def scheduler_config(model):
    """What their DDPMScheduler must be told to take the steps of ``ancestral`` on a DDPM's
    schedule, as ``sample`` takes them of images.

    Its t is ours less 1, its alphas_cumprod[t] our alpha_bar[t + 1], in float32.
    """
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
