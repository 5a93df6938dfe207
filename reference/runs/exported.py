"""A run's weights alone, in one safetensors file with the run's config and step: written by
``export``, and the form of the package's models in reference/models.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

import reference
from reference.ops.checks import is_whole
from reference.runs.checkpoint import check_arrays, read_safetensors
from reference.runs.config import checked_model

DTYPES = ("float32", "float16")
FOLDER = Path(reference.__file__).parent / "models"


class NameWarning(UserWarning):
    """A folder has the name of a model of the package."""


def package_models():
    """The path of each model of the package, by name."""
    found = {path.stem: path for path in FOLDER.glob("*.safetensors")}
    return {name: found[name] for name in sorted(found)}


def package_classifier(run):
    """The name of the package's classifier for the data of a run with classes; None without one."""
    name = f"{run.config['data']}-classifier"
    return name if run.config.get("classes") and name in package_models() else None


def digest(weights):
    """A hash of the weights, to tell apart samples drawn with different ones."""
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())
    ).hexdigest()


def to_bytes(weights, facts, dtype="float32"):
    """The bytes of a file with arrays by name.  ``facts``: config, step, and which weights they
    are.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array, dtype) for name, array in weights.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite in {dtype}: nothing was written")
    return save(arrays, {"run": json.dumps(facts)})


def read(path):
    """(config, model, weights, step) of a file that ``to_bytes`` made; the weights are float32.
    ValueError for any other file.
    """
    metadata, arrays = read_safetensors(path)
    try:
        facts = json.loads(metadata.get("run", "null"))
        config, step = facts["config"], facts["step"]
        if not is_whole(step) or step < 1:
            raise ValueError(f"its step is {step!r}")
    except (ValueError, TypeError, KeyError):
        written = "it was not written by export --format native"
        raise ValueError(f"{path} can't be read as the weights of a run: {written}") from None
    model = checked_model(config, path)
    for name, array in arrays.items():
        if array.dtype == np.float16:
            arrays[name] = array.astype(np.float32)
    shapes = model.network.shapes()
    check_arrays(path, arrays, shapes)
    return config, model, {name: arrays[name] for name in shapes}, step
