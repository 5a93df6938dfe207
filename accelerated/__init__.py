"""What serves a port, a module that exports the ops of the contract (reference/conformance/contract.py): the command line on it, and ``trace``."""

import os

# NumPy's BLAS reads this when it is loaded: for so many cycles, 2^20, its threads look for work before they sleep.  Of itself it does for
# 0.1 s, in which they take the processors from a port's threads, and whoever times the one after the other blames the port.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

import importlib
import importlib.util
import sys
from pathlib import Path

SHIPPED = {"cpu": "accelerated.cpu", "gpu": "accelerated.gpu"}  # by the words of --port


def pick():
    """The word for the shipped port that this machine can use best."""
    if importlib.util.find_spec("cupy") is None:  # soon seen; to import what kernels are made with takes half a second
        return "cpu"
    return "cpu" if missing(load("gpu")) else "gpu"


def missing(port):
    """Why a port can't work here, in a sentence; None if it can, or does not say."""
    from reference.runs.devices import hook  # here, as in _contract

    return hook(port, "missing")()


def load(source):
    """The port that a word of SHIPPED, a dotted name or the path of a file stands for.  ValueError where there is none."""
    source = SHIPPED.get(source, source)
    path = Path(source)
    try:
        port = _of_file(path) if path.suffix == ".py" else importlib.import_module(source)
    except Exception as error:  # whatever a file in the making raises
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise ValueError(f"port {source} can't be imported: {kind}{error}") from None
    if not any(callable(getattr(port, name, None)) for name in _contract()):
        raise ValueError(f"port {source} is none: it has no op of the contract, neither {', '.join(list(_contract())[:3])} nor another")
    return port


def _contract():
    from reference.conformance.contract import OPS  # here: its import of NumPy takes a moment, and an interrupt must be handled before

    return OPS


def lacking(port):
    """The ops of the contract that a port does not have, by name."""
    return [name for name in _contract() if not callable(getattr(port, name, None))]


class Completed:
    """A port whose missing ops are the reference's."""

    def __init__(self, port):
        self.port, self.lacking, self.__name__ = port, lacking(port), f"{port.__name__} with ops of the reference"

    def __getattr__(self, name):
        from reference import ops

        return getattr(ops if name in self.lacking else self.port, name)


def complete(port):
    """The port if it has every op, else ``Completed``.  ValueError for the port of a device, whose arrays the reference does not take."""
    from reference.runs.devices import has_hook  # here, as in _contract

    if lacking(port) and has_hook(port, "to_device"):
        message = "computes on a device, so the reference's ops can't replace its missing ones"
        raise ValueError(f"port {port.__name__} {message}: {', '.join(lacking(port))}")
    return Completed(port) if lacking(port) else port


def _of_file(path):
    if not path.is_file():
        raise ImportError("there is no such file")
    name = f"port_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
