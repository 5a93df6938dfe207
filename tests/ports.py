"""The ports under test: the built-in ports, or the ports that ``--port`` names."""

import os
import warnings
from functools import cache

import pytest

import accelerated
from reference import ops
from reference.conformance.port import Proxy

BUILTIN = ("reference.ops", *accelerated.BUILTIN_PORTS.values())
HERE = [name for name in BUILTIN if not accelerated.unavailable_reason(accelerated.load_port(name))]
SIMULATED = bool(os.environ.get("NUMBA_ENABLE_CUDASIM"))  # the simulator runs device kernels thread by thread, a millisecond per thread


@cache
def port_of(source):
    """The CheckedPort of a name or file."""
    with warnings.catch_warnings():
        if source not in BUILTIN:  # warnings of the port's library are no failure
            warnings.simplefilter("default")
        try:
            return accelerated.checked_port(source)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None


def recording_port():
    """A port with the reference's ops; ``called`` holds the names of the ops that were called."""
    called = set()

    def record(name, op, args, kwargs):
        called.add(name)
        return op(*args, **kwargs)

    port = Proxy(ops, record)
    port.called = called
    return port
