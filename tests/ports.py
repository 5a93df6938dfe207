"""The ports under test: the shipped ones, or those that ``--port`` names."""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path

import pytest

from reference.contract import OPS

SHIPPED = ("reference.ops", "accelerated.cpu")


class Missing(AttributeError):
    """A port lacks an op."""


class Port:
    """A port under test: its ops by name, and whether it may lack some."""

    def __init__(self, source):
        self.name, self.module, self.shipped = source, load(source), source in SHIPPED
        if not any(callable(getattr(self.module, name, None)) for name in OPS):
            raise pytest.UsageError(f"{source} is no port: it has none of the ops of the contract, {', '.join(list(OPS)[:3])} ..")

    def __getattr__(self, name):
        function = getattr(self.module, name, None)
        if function is None and name in OPS and not self.shipped:
            pytest.skip(f"missing in {self.name}: {name}")
        if function is None:
            raise Missing(f"{self.name} lacks {name}")
        return function


def load(source):
    """A module by its dotted name, or the file whose path is given."""
    path = Path(source)
    if path.suffix != ".py":
        try:
            return importlib.import_module(source)
        except ModuleNotFoundError as error:
            raise pytest.UsageError(f"--port {source}: {error}") from None
    if not path.is_file():
        raise pytest.UsageError(f"--port {source}: there is no such file")
    name = f"port_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


port_of = cache(Port)
