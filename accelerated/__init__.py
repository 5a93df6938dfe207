"""Ports: modules that export the ops of the contract (reference/conformance/contract.py).  The command line, ``trace`` and ``check`` run
on any port.

Importing this package sets OPENBLAS_THREAD_TIMEOUT, unless it is set.
"""

import os

# NumPy's BLAS reads this when it is loaded: idle threads look for work for 2^20 cycles before they sleep.  By default they spin for 0.1 s.
# They then compete with the port's threads and distort the timings that follow.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

import importlib
import importlib.util
import sys
from pathlib import Path

BUILTIN_PORTS = {"cpu": "accelerated.cpu", "gpu": "accelerated.gpu"}  # values of --port


def default_port():
    """The built-in port that suits this machine best: "gpu" where a CUDA device works, else "cpu"."""
    if importlib.util.find_spec("cupy") is None:  # a fast test: importing the GPU port takes half a second
        return "cpu"
    return "cpu" if unavailable_reason(load_port("gpu")) else "gpu"


def unavailable_reason(port):
    """Why a port can't work on this machine, in a sentence; None if it can, or if it has no function ``missing``."""
    from reference.runs.devices import hook  # not above, as in _contract

    return hook(port, "missing")()


def load_port(source):
    """The port named by a key of BUILTIN_PORTS, a dotted module name or the path of a file.  ValueError if there is no such port."""
    source = BUILTIN_PORTS.get(source, source)
    path = Path(source)
    try:
        port = _load_file(path) if path.suffix == ".py" else importlib.import_module(source)
    except Exception as error:  # a port under development may raise any
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise ValueError(f"port {source} can't be imported: {kind}{error}") from None
    if not any(callable(getattr(port, name, None)) for name in _contract()):
        raise ValueError(f"{source} is not a port: it exports none of the contract's ops (python -m reference contract lists them)")
    return port


def _contract():
    from reference.conformance.contract import OPS  # not above: importing NumPy takes a moment, and interrupts must be handled before

    return OPS


def missing_ops(port):
    """The names of the contract's ops that a port lacks."""
    return [name for name in _contract() if not callable(getattr(port, name, None))]


class PortWithReferenceOps:
    """A ``port`` with the reference's ops in place of ``missing_ops``."""

    def __init__(self, port):
        self.port, self.missing_ops, self.__name__ = port, missing_ops(port), f"{port.__name__} with ops of the reference"

    def __getattr__(self, name):
        from reference import ops

        return getattr(ops if name in self.missing_ops else self.port, name)


def with_reference_ops(port):
    """The port if it has every op, else a PortWithReferenceOps.

    ValueError for a port of a device that lacks ops: the reference's ops do not take a device's arrays.
    """
    from reference.runs.devices import has_hook  # not above, as in _contract

    if missing_ops(port) and has_hook(port, "to_device"):
        message = "computes on a device, so the reference's ops can't replace its missing ones"
        raise ValueError(f"port {port.__name__} {message}: {', '.join(missing_ops(port))}")
    return PortWithReferenceOps(port) if missing_ops(port) else port


def checked_port(source, port=None):
    """The port that ``source`` names (or ``port``, if it is loaded) as the checks of reference/conformance/ take it."""
    from reference.conformance.port import CheckedPort
    from reference.runs.devices import has_hook

    port, builtin = port or load_port(source), BUILTIN_PORTS.get(source, source) in ("reference.ops", *BUILTIN_PORTS.values())
    missing = [] if builtin else missing_ops(port)  # a built-in port without an op is wrong
    whole = None if missing and has_hook(port, "to_device") else with_reference_ops(port)
    return CheckedPort(source, port, builtin, missing, whole)


def _load_file(path):
    if not path.is_file():
        raise ImportError("there is no such file")
    name = f"port_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
