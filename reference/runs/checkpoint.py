"""A run on disk: config.json, checkpoint.safetensors and log.jsonl in one folder.

The checkpoint is one file, replaced as a whole: weights/, ema/, adam/m/ and adam/v/ by parameter
name, and beside them, as text, the config, the step, the seed, and what the bits depend on:
versions, threads and processor.
"""

import json
import os
import platform
from pathlib import Path

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.devices import to_host
from reference.diffusion.training import State
from reference.ops.checks import is_whole
from reference.runs.files import write_atomically

FORMAT = 1
# in the file: in the state
PARTS = {"weights": "params", "ema": "ema", "adam/m": "m", "adam/v": "v"}


def environment(ops=reference_ops):
    """What the bits of a result depend on, beside the code and the config; a port may have an
    ``environment`` of its own.
    """
    import scipy

    threads = next(
        (
            os.environ[name]
            for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
            if os.environ.get(name)
        ),
        str(os.cpu_count()),
    )
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "threads": threads,
        "processor": _processor(),
        "port": getattr(ops, "__name__", type(ops).__name__),
        **getattr(ops, "environment", dict)(),
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def save(folder, state, config, ops=reference_ops):
    """Replace the folder's checkpoint by ``state``.  FloatingPointError for weights that are not
    finite: the last checkpoint stays.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {
        # other layouts would be saved wrong, without a word
        f"{part}/{name}": np.ascontiguousarray(to_host(array))
        for part, field in PARTS.items()
        for name, array in getattr(state, field).items()
    }
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(
                f"{name} is not finite at step {state.step}; a smaller lr may help"
            )
    facts = {
        "format": FORMAT,
        "step": state.step,
        "seed": config["training"]["seed"],
        "loss": float(state.loss),
        "gradient_norm": float(state.gradient_norm),
        "config": config,
        "environment": environment(ops),
    }
    # one entry: safetensors writes several in a different order every time
    write_atomically(
        Path(folder) / "checkpoint.safetensors", to_bytes(tensors, {"run": json.dumps(facts)})
    )


def load(folder, shapes):
    """(state, environment, config) of the folder's checkpoint, whose arrays must be float32, finite
    and those of ``shapes``.
    """
    path = Path(folder) / "checkpoint.safetensors"
    metadata, arrays = read(path)
    try:
        facts = _facts(json.loads(metadata.get("run", "{}")))
    except ValueError as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    named = {f"{part}/{name}": shape for part in PARTS for name, shape in shapes.items()}
    checked(path, arrays, named)
    parts: dict = {
        field: {name: arrays[f"{part}/{name}"] for name in shapes} for part, field in PARTS.items()
    }
    state = State(
        **parts, step=facts["step"], loss=facts["loss"], gradient_norm=facts["gradient_norm"]
    )
    return state, facts["environment"], facts["config"]


def read(path):
    """(metadata, arrays by name) of a safetensors file.  ValueError if it is none, or is cut short."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata, arrays = (
                file.metadata() or {},
                {name: file.get_tensor(name) for name in file.keys()},
            )
    # TypeError: numbers that NumPy hasn't got, such as bfloat16
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    for name, array in arrays.items():
        # which another library may have taught NumPy: what is read must not depend on that
        if array.dtype.isbuiltin != 1:
            raise ValueError(
                f"{path} can't be read: {name} holds {array.dtype}, which NumPy by itself hasn't got"
            )
    return metadata, arrays


def checked(path, arrays, shapes):
    """``arrays``, read from ``path``.  ValueError unless they are float32, finite and those of
    ``shapes``.
    """
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != tuple(shape):
            got = "nothing" if array is None else f"shape {array.shape}"
            raise ValueError(
                f"{path} is of another architecture: {name} must have shape {tuple(shape)}, got {got}"
            )
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{path} can't be read: {name} must hold finite float32 numbers")
    for name in arrays:
        if name not in shapes:
            raise ValueError(f"{path} is of another architecture: it also holds {name}")
    return arrays


def _facts(facts):
    """The metadata that ``save`` wrote, after a look at it."""
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(
            f"it has format {facts.get('format') if isinstance(facts, dict) else None}, this version reads {FORMAT}"
        )
    numbers = all(isinstance(facts.get(name), float) for name in ("loss", "gradient_norm"))
    if not (
        is_whole(facts.get("step"))
        and facts["step"] >= 1
        and numbers
        and all(isinstance(facts.get(name), dict) for name in ("environment", "config"))
    ):
        raise ValueError("its step, loss or environment is not what a checkpoint holds")
    return facts


class Log:
    """log.jsonl, one line a step.  Opened at a step it is cut to that step: later lines belong to
    steps that will be taken again.
    """

    def __init__(self, folder, step):
        self.path = Path(folder) / "log.jsonl"
        kept = [json.dumps(entry) for entry in read_log(folder) if entry["step"] <= step]
        write_atomically(self.path, "".join(line + "\n" for line in kept).encode())
        self.file = open(self.path, "a", encoding="utf-8")

    def append(self, **entry):
        self.file.write(json.dumps(entry) + "\n")

    def flush(self):
        """To the disk: called before a checkpoint is written, so that no checkpoint is ahead of its
        log.
        """
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self):
        self.file.close()


def read_log(folder):
    """The entries of log.jsonl; a line that is none, such as one that a kill cut short, is left
    out.
    """
    path = Path(folder) / "log.jsonl"
    entries = []
    for line in (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ()
    ):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and is_whole(entry.get("step")):
            entries.append(entry)
    return entries
