"""Arrays of NumPy, PyTorch and JAX, converted into each other."""

import sys

import numpy as np

LIBRARIES = ("numpy", "torch", "jax")


def library_of(value):
    """numpy, torch or jax; numpy for anything else."""
    root = type(value).__module__.partition(".")[0]
    return {"torch": "torch", "jax": "jax", "jaxlib": "jax"}.get(root, "numpy")


def to_library(array, library):
    """A NumPy array as an array of ``library``, with memory of its own."""
    if library == "torch":
        return sys.modules["torch"].from_numpy(np.array(array))
    if library == "jax":
        return sys.modules["jax"].numpy.asarray(np.array(array))
    return np.array(array)


def to_numpy(value):
    """A result of any of the libraries, or of one with DLPack, as a NumPy array.

    TypeError, in a sentence, if it is no array of numbers.
    """
    if library_of(value) == "torch":
        value = value.detach().cpu().float() if _is_bfloat16(value) else value.detach().cpu()
        return value.numpy()
    if (
        not isinstance(value, np.ndarray)
        and hasattr(value, "__dlpack__")
        and library_of(value) != "jax"
    ):
        return np.from_dlpack(value)
    array = np.asarray(value)
    if array.dtype.kind not in "biufV":
        given = f"an array of {array.dtype}" if array is value else type(value).__name__
        raise TypeError(f"an array of real numbers was expected, got {given}")
    return array.astype(np.float32) if array.dtype.kind == "V" else array  # bfloat16 of JAX


def _is_bfloat16(tensor):
    return str(tensor.dtype) == "torch.bfloat16"
