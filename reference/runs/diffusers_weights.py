"""The weights of a model for diffusers, as arrays by name: one safetensors file, or several with an
index; in float32, float16 or bfloat16; with the names of today or of early diffusers.

A file .bin is a pickle.  To read one is to run any program inside it, so it is refused.
"""

import json
from pathlib import Path

import numpy as np

WEIGHTS = "diffusion_pytorch_model.safetensors"
HALF = "diffusion_pytorch_model.fp16.safetensors"
INDEX, PICKLE = f"{WEIGHTS}.index.json", "diffusion_pytorch_model.bin"
FLOATS = {"F32": "<f4", "F16": "<f2"}  # and BF16, which NumPy lacks
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def read_weights(folder):
    """(path of the file or the index, float32 arrays by diffusers' present names).  ValueError if
    there is none, or if a file can't be read.
    """
    folder = Path(folder)
    for name in (WEIGHTS, INDEX, HALF):
        path = folder / name
        if path.is_file():
            arrays = _of_all_files(path) if name == INDEX else _of_file(path)
            return path, dict(_renamed(*item) for item in arrays.items())
    missing = f"{folder} holds no UNet2DModel: it has no {WEIGHTS}"
    if (folder / PICKLE).is_file():
        missing += f"; its {PICKLE} is a pickle, which can run programs: take the safetensors file"
    raise ValueError(missing)


def _of_all_files(index):
    """The arrays of the files that an index names: {"weight_map": {name of array: file}}."""
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted({Path(file).name for file in places.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{index} can't be read as an index of weights: it has no map") from None
    arrays: dict = {}
    for file in files:
        if not (index.parent / file).is_file():
            raise ValueError(f"{index} names {file}, and there is no such file")
        arrays |= _of_file(index.parent / file)
    return arrays


def _of_file(path):
    from safetensors import SafetensorError, deserialize

    try:
        found = deserialize(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    return {name: _float32(path, name, **array) for name, array in found}


def _float32(path, name, dtype, shape, data):
    """The array in float32.  A bfloat16 is the upper half of a float32: the other bits are 0."""
    if dtype == "BF16":
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype in FLOATS:
        array = np.frombuffer(data, FLOATS[dtype])
    else:
        raise ValueError(
            f"{path} can't be read: {name} must hold float32, float16 or bfloat16 numbers,"
            f" got {dtype}"
        )
    return array.astype(np.float32).reshape(shape)


def _renamed(name, array):
    """The array by its present name.  An old attention layer may be a convolution, [o,i,1,1]."""
    layer, _, leaf = name.rpartition(".")
    block, _, last = layer.rpartition(".")
    if ".attentions." in layer and last in OLD_NAMES:
        name = f"{block}.{OLD_NAMES[last]}.{leaf}"
    if ".attentions." in layer and array.ndim > 2 and array.shape[2:] == (1,) * (array.ndim - 2):
        array = array.reshape(array.shape[:2])
    return name, array
