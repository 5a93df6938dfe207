"""The ports under test: the shipped ones, or those that ``--port`` names."""

import os
import warnings
from functools import cache
from types import SimpleNamespace

import pytest

import accelerated
from reference import ops
from reference.conformance.contract import OPS

SHIPPED = ("reference.ops", *accelerated.SHIPPED.values())
HERE = [name for name in SHIPPED if not accelerated.missing(accelerated.load(name))]
SIMULATED = bool(os.environ.get("NUMBA_ENABLE_CUDASIM"))  # the simulator runs device kernels thread by thread, a millisecond per thread


class Missing(AttributeError):
    """A port lacks an op."""


class Port:
    """A port under test, with its ops as attributes.

    ``lacks``: names of missing ops (none for a shipped port).  ``whole``: the port completed with ops of the reference, or None where
    that is impossible.
    """

    def __init__(self, source):
        self.name, self.shipped = source, accelerated.SHIPPED.get(source, source) in SHIPPED
        with warnings.catch_warnings():
            if not self.shipped:  # warnings of the port's library are no failure
                warnings.simplefilter("default")
            try:
                self.module = accelerated.load(source)
            except ValueError as error:
                raise pytest.UsageError(str(error)) from None
        self.lacks = [] if self.shipped else accelerated.lacking(self.module)
        self.whole = None if self.lacks and hasattr(self.module, "to_device") else accelerated.complete(self.module)

    def __getattr__(self, name):
        function = getattr(self.module, name, None)
        if function is None and name in OPS and not self.shipped:
            pytest.skip(f"missing in {self.name}: {name}")
        if function is None:
            raise Missing(f"{self.name} lacks {name}")
        return function


port_of = cache(Port)


def recording_port():
    """A port with the reference's ops; ``called`` holds the names of the ops that were called."""
    port = SimpleNamespace(called=set())

    def recorded(name):
        def op(*args, **kwargs):
            port.called.add(name)
            return getattr(ops, name)(*args, **kwargs)

        return op

    vars(port).update({name: recorded(name) for name in OPS})
    return port
