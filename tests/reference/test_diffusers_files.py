"""Files of models for diffusers: half precision, several files, old names, DDPM's config.  tests/peers reads files that diffusers wrote."""

import json

import numpy as np
import pytest

from reference.networks import UNet
from reference.runs import diffusers_format
from reference.runs.diffusers_weights import HALF, INDEX, PICKLE, WEIGHTS, read_weights
from tests.reference.test_diffusers_weights import random_parameters

OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
NETWORK = UNet(size=(4, 4), channels=(8, 8), groups=4, head_width=4, classes=3)
DDPM_CIFAR10 = {  # google/ddpm-cifar10-32: its fields are those of the first release
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.0.4",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [128, 256, 256, 256],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 32,
    "time_embedding_type": "positional",
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
# google/ddpm-celebahq-256, ddpm-church-256, ddpm-bedroom-256 and ddpm-cat-256: attention at 16x16, the fifth of six levels
DDPM_256 = DDPM_CIFAR10 | {
    "sample_size": 256,
    "block_out_channels": [128, 128, 256, 256, 512, 512],
    "down_block_types": [*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4],
}


@pytest.mark.parametrize("config, attention, parameters", [(DDPM_CIFAR10, (1,), 35_746_307), (DDPM_256, (4,), 113_673_219)])
def test_configs_of_ddpm_are_read_with_their_number_of_parameters(config, attention, parameters):
    network = diffusers_format.network_of(config)
    assert network.attention == attention and network.head_width is None and network.norm_eps == 1e-6
    assert (network.freq_shift, network.downsample_padding) == (1, 0)
    assert sum(np.prod(shape) for shape in network.shapes().values()) == parameters
    ours = diffusers_format.config_of(network)
    assert all(ours[name] == value for name, value in config.items() if name not in ("_diffusers_version", "flip_sin_to_cos"))


@pytest.fixture
def saved(tmp_path):
    """(folder, arrays by diffusers' names) of a model in float32."""
    from safetensors.numpy import save_file

    config, arrays = diffusers_format.to_diffusers(NETWORK, random_parameters(NETWORK))
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(arrays, tmp_path / WEIGHTS)
    return tmp_path, arrays


def loaded(folder):
    """The parameters in ``folder`` by diffusers' names."""
    network, params = diffusers_format.load_model(folder)
    assert network == NETWORK and all(array.dtype == np.float32 for array in params.values())
    return diffusers_format.to_diffusers_arrays(params)


def equal(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], name)


def test_float16_weights_become_the_same_numbers_in_float32(saved):
    from safetensors.numpy import save_file

    folder, arrays = saved
    half = {name: array.astype(np.float16) for name, array in arrays.items()}
    (folder / WEIGHTS).unlink()
    save_file(half, folder / HALF)
    equal(loaded(folder), {name: array.astype(np.float32) for name, array in half.items()})


def test_bfloat16_weights_become_the_same_numbers_in_float32(saved):
    folder, arrays = saved
    header, data, expected = {}, b"", {}
    for name, array in arrays.items():
        upper = (array.view(np.uint32) >> 16).astype("<u2")  # a bfloat16 has the sign, the exponent and 7 bits of a float32
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": [len(data), len(data) + 2 * array.size]}
        data += upper.tobytes()
        mantissa, exponent = np.frexp(array.astype(np.float64))
        expected[name] = np.ldexp(np.trunc(mantissa * 256), exponent - 8).astype(np.float32)
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data)
    equal(loaded(folder), expected)


def split(folder, arrays):
    """The arrays in two files, and their index."""
    from safetensors.numpy import save_file

    (folder / WEIGHTS).unlink()
    places = {name: f"part-{n % 2}.safetensors" for n, name in enumerate(arrays)}
    for file in {*places.values()}:
        save_file({name: arrays[name] for name in arrays if places[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))


def test_weights_in_two_files_are_joined(saved):
    split(*saved)
    equal(read_weights(saved[0])[1], saved[1])


@pytest.mark.parametrize("as_convolutions", [False, True])
def test_old_attention_names_become_the_present_ones(saved, as_convolutions):
    from safetensors.numpy import save_file

    folder, arrays = saved
    old = dict(arrays)
    for name in arrays:
        for before, now in OLD_NAMES.items():
            if f".attentions.0.{now}." in name:
                array = old.pop(name)
                convolution = as_convolutions and name.endswith("weight")
                old[name.replace(f".{now}.", f".{before}.")] = array[:, :, None, None] if convolution else array
    assert "mid_block.attentions.0.query.weight" in old and "mid_block.attentions.0.to_q.weight" not in old
    save_file(old, folder / WEIGHTS)
    equal(read_weights(folder)[1], arrays)


def test_sines_first_exchange_the_halves_of_the_first_layer_on_the_time(saved):
    folder, arrays = saved
    config = json.loads((folder / "config.json").read_text()) | {"flip_sin_to_cos": False}
    (folder / "config.json").write_text(json.dumps(config))
    name = "time_embedding.linear_1.weight"
    changed = loaded(folder)
    for row, column in ((0, 0), (3, 3), (31, 1)):
        assert changed[name][row, column] == arrays[name][row, column + 4]
        assert changed[name][row, column + 4] == arrays[name][row, column]
    equal({other: changed[other] for other in arrays if other != name}, {other: arrays[other] for other in arrays if other != name})


def _no_map(folder):
    (folder / INDEX).write_text("[]")


def _missing_file(folder):
    (folder / "part-1.safetensors").unlink()


def _missing_array(folder):
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] = {name: file for name, file in index["weight_map"].items() if file == "part-0.safetensors"}
    (folder / INDEX).write_text(json.dumps(index))


def _cut(folder):
    part = folder / "part-1.safetensors"
    part.write_bytes(part.read_bytes()[:-1])


def _outside(folder):
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] = {name: f"../{file}" for name, file in index["weight_map"].items()}
    (folder / INDEX).write_text(json.dumps(index))
    (folder / "part-0.safetensors").rename(folder.parent / "part-0.safetensors")


@pytest.mark.parametrize(
    "damage, message",
    [
        (_no_map, "can't be read as an index of weights"),
        (_missing_file, "names part-1.safetensors, and there is no such file"),
        (_missing_array, "is of another architecture: .* must have shape .* got nothing"),
        (_cut, "part-1.safetensors can't be read"),
        (_outside, "names part-0.safetensors, and there is no such file"),
    ],
)
def test_several_files_that_do_not_fit_are_refused(saved, damage, message):
    split(*saved)
    damage(saved[0])
    with pytest.raises(ValueError, match=message):
        diffusers_format.load_model(saved[0])


def test_a_pickle_is_refused_and_never_opened(tmp_path):
    (tmp_path / PICKLE).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ValueError, match="is a pickle, which can run programs: take the safetensors file"):
        read_weights(tmp_path)
