"""Running on a port: the functions that a port may have beside its ops, and arrays on its device.

A port is a module with the ops of the contract.  It may also have the functions of ``Port``, called
its hooks here.  ``hook`` returns a port's hook, or a default that changes nothing.

The arrays of a device work with NumPy's functions, but do not mix with NumPy's arrays.  So the
mathematics makes new arrays by ``like=`` or ``*_like`` and reads no single number from an array.
The functions here copy arrays to the device before the mathematics begins, and back at its end.
"""

from dataclasses import replace
from typing import Any, Protocol

from reference import ops as reference_ops
from reference.diffusion import training
from reference.diffusion.training import ALONE, STATE_ARRAYS, FlatParameters, Team, check_finite


class Port(Protocol):
    """The hooks of a port, beside its ops.  Each is optional."""

    def to_device(self, array: Any) -> Any:
        """A NumPy array -> an array of the device.  A port with this hook computes on a device."""

    def to_host(self, array: Any) -> Any:
        """An array of the device -> a NumPy array.  Waits until the array is computed."""

    def prepare(self, model: Any) -> Any:
        """A copy of a model (diffusion/protocols.py) that computes the same on the device, faster
        if it is called often: the port may record the network and the loss once, and repeat the
        recorded work.  Network and loss must depend on nothing but their arguments.

        The caller may write to the arrays of a dictionary of parameters, but not exchange them.
        The next call of the loss overwrites its gradients.
        """

    def synchronize(self) -> None:
        """Wait until the device has finished.  Code that measures time calls it."""

    def environment(self) -> dict[str, str]:
        """What the bits of the port's results depend on.  Checkpoints keep it."""

    def missing(self) -> str | None:
        """The reason why the port can't work on this machine, in a sentence; None if it can."""

    def compile_all(self, threads: int | None = None, networks_only: bool = False) -> None:
        """Compile all kernels before use, for so many threads; with ``networks_only`` only those
        of networks.
        """

    def threads(self) -> int | None:
        """The number of threads that the port computes with; None if it has none of its own."""

    def set_threads(self, n: int) -> None:
        """Compute with n threads from now on.  The bits of results must not depend on n."""

    def choose_device(self, rank: int) -> None:
        """Compute, as process ``rank`` of this machine, on a device of its own where there are as
        many devices as processes, from now on.
        """


DEFAULTS: dict[str, Any] = {
    "to_device": lambda array: array,
    "to_host": lambda array: array,
    "prepare": lambda model: model,
    "synchronize": lambda: None,
    "environment": dict,
    "missing": lambda: None,
    "compile_all": lambda threads=None, networks_only=False: None,
    "threads": lambda: None,
    "set_threads": lambda n: None,
    "choose_device": lambda rank: None,
}


def has_hook(port, name):
    """Does the port have this hook itself?"""
    return hasattr(port, name)


def hook(port, name):
    """The port's hook, or a function with its arguments that changes nothing."""
    return getattr(port, name, DEFAULTS[name])


def to_device(value, port):
    """An array, or a dictionary of arrays, on the port's device.  None stays None."""
    return _map_arrays(hook(port, "to_device"), value)


def to_host(value, port):
    """An array, or a dictionary of arrays, as NumPy arrays.  None stays None."""
    return _map_arrays(hook(port, "to_host"), value)


def _map_arrays(function, value):
    if isinstance(value, dict):
        return {name: _map_arrays(function, item) for name, item in value.items()}
    return None if value is None else function(value)


def prepare(model, port):
    """The model as the port's ``prepare`` returns it, the weights of a student's teacher on the
    device.
    """
    if getattr(model, "teacher", None):
        model = replace(model, teacher=to_device(model.teacher, port))
    return hook(port, "prepare")(model)


def state_to_device(state, port):
    """Move the arrays of a training state to the port's device."""
    _move(state, to_device, port)


def state_to_host(state, port):
    """Move the arrays of a training state back to the host."""
    _move(state, to_host, port)


def _move(state, move, port):
    if not has_hook(port, "to_device"):
        return
    for name in STATE_ARRAYS:
        setattr(state, name, FlatParameters(move(dict(getattr(state, name)), port)))


def train(model, data, labels, settings, state, steps, port=reference_ops, team=ALONE):
    """``training.train`` on the port.  At its end the state's arrays are on the host again.

    On a device the state's loss and gradient norm are not checked: that would wait for each step.
    ``read_loss`` checks them.
    """
    if not has_hook(port, "to_device"):
        yield from training.train(model, data, labels, settings, state, steps, port, team=team)
        return
    if team.count > 1:  # MPI exchanges arrays of the host
        add = team.sum
        team = Team(team.rank, team.count, lambda array: to_device(add(to_host(array, port)), port))
    state_to_device(state, port)
    data, labels = to_device(data, port), to_device(labels, port)
    model, unchecked = prepare(model, port), lambda loss, norm, step: None
    yield from training.train(model, data, labels, settings, state, steps, port, unchecked, team)
    state_to_host(state, port)


def read_loss(state):
    """Make Python numbers of the state's loss and gradient norm.  Waits for the device.

    FloatingPointError if they are not finite.
    """
    state.loss, state.gradient_norm = float(state.loss), float(state.gradient_norm)
    check_finite(state.loss, state.gradient_norm, state.step)
