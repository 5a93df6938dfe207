"""A run on disk: config.json, checkpoint.safetensors and log.jsonl in one folder.

The checkpoint is one file and is replaced as a whole.  It holds the arrays weights/, ema/, adam/m/
and adam/v/ by parameter name.  Its metadata hold, as text, the config, the step, the seed, and the
environment: the versions, threads and processor that the bits of the result depend on.
"""

import json
import os
import platform
from pathlib import Path

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.training import State
from reference.ops.checks import is_whole
from reference.runs.devices import hook, to_host
from reference.runs.files import write_atomically

FORMAT = 1
# name in the file -> field of the state
PARTS = {"weights": "params", "ema": "ema", "adam/m": "m", "adam/v": "v"}


def environment(ops=reference_ops):
    """The versions, threads and processor that the bits of a result depend on, besides the code and
    the config.  A port can add entries by its own ``environment``.
    """
    import scipy

    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    values = [os.environ[name] for name in variables if os.environ.get(name)]
    threads = values[0] if values else str(os.cpu_count())
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "threads": threads,
        "processor": _processor(),
        "port": getattr(ops, "__name__", type(ops).__name__),
        **hook(ops, "environment")(),
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("model name"))
        return line.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def save(folder, state, config, ops=reference_ops):
    """Replace the folder's checkpoint by ``state``.  FloatingPointError if an array is not finite:
    the last checkpoint stays.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {
        # safetensors saves other memory layouts wrong, without an error
        f"{part}/{name}": np.ascontiguousarray(to_host(array, ops))
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
    # one entry, because safetensors writes several entries in a different order every time
    metadata = {"run": json.dumps(facts)}
    write_atomically(Path(folder) / "checkpoint.safetensors", to_bytes(tensors, metadata))


def load(folder, shapes):
    """(state, environment, config) of the folder's checkpoint.  ValueError unless its arrays are
    float32, finite and have the names and ``shapes`` of the network's parameters.
    """
    path = Path(folder) / "checkpoint.safetensors"
    metadata, arrays = read_safetensors(path)
    try:
        facts = _checked_facts(json.loads(metadata.get("run", "{}")))
    except ValueError as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    named = {f"{part}/{name}": shape for part in PARTS for name, shape in shapes.items()}
    check_arrays(path, arrays, named)
    fields: dict = {
        field: {name: arrays[f"{part}/{name}"] for name in shapes} for part, field in PARTS.items()
    }
    numbers = {name: facts[name] for name in ("step", "loss", "gradient_norm")}
    state = State(**fields, **numbers)
    return state, facts["environment"], facts["config"]


def read_safetensors(path):
    """(metadata, arrays by name) of a safetensors file.  ValueError for any other file, and for a
    truncated one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    # TypeError: a number type that NumPy lacks, such as bfloat16
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    for name, array in arrays.items():
        # another library can add types to NumPy; the result must not depend on that
        if array.dtype.isbuiltin != 1:
            raise ValueError(
                f"{path} can't be read: {name} holds {array.dtype}, a type that NumPy itself lacks"
            )
    return metadata, arrays


def check_arrays(path, arrays, shapes):
    """ValueError unless the ``arrays`` from ``path`` are float32, finite and have exactly the names
    and shapes of ``shapes``.
    """
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != tuple(shape):
            got = "nothing" if array is None else f"shape {array.shape}"
            raise ValueError(
                f"{path} is of another architecture: {name} must have shape {tuple(shape)}, "
                f"got {got}"
            )
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{path} can't be read: {name} must hold finite float32 numbers")
    for name in arrays:
        if name not in shapes:
            raise ValueError(f"{path} is of another architecture: it also holds {name}")


def _checked_facts(facts):
    """The metadata that ``save`` wrote.  ValueError if an entry is missing or of another type."""
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise ValueError(f"it has format {found}, this version reads {FORMAT}")
    whole = is_whole(facts.get("step")) and facts["step"] >= 1
    numbers = all(isinstance(facts.get(name), float) for name in ("loss", "gradient_norm"))
    tables = all(isinstance(facts.get(name), dict) for name in ("environment", "config"))
    if not (whole and numbers and tables):
        raise ValueError("its step, loss, gradient norm, environment or config is not valid")
    return facts


class Log:
    """log.jsonl, one line per step.  Opening it at a step removes the lines of later steps, which
    training will repeat.
    """

    def __init__(self, folder, step):
        self.path = Path(folder) / "log.jsonl"
        kept = [json.dumps(entry) for entry in read_log(folder) if entry["step"] <= step]
        write_atomically(self.path, "".join(line + "\n" for line in kept).encode())
        self.file = open(self.path, "a", encoding="utf-8")

    def append(self, **entry):
        self.file.write(json.dumps(entry) + "\n")

    def flush(self):
        """Flush to the disk.  The caller flushes before each checkpoint, so that the log is never
        behind it.
        """
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self):
        self.file.close()


def read_log(folder):
    """The entries of log.jsonl.  A line that is not an entry is left out, for example one that a
    kill cut short.
    """
    path = Path(folder) / "log.jsonl"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    entries = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and is_whole(entry.get("step")):
            entries.append(entry)
    return entries
