"""Uniform calls of every op of the contract, for checks, traces and tolerances: the names of its
arguments and results, its precision, its backward.
"""

import inspect
from functools import cache

import numpy as np

import reference.ops
from reference.conformance.contract import OPS
from reference.ops.checks import parse

# positions of the arguments that an op changes in place
IN_PLACE_ARGUMENTS = {"adam_step_": (0, 2, 3), "ema_step_": (0,)}


def argument_names(name):
    """The names of an op's arguments, in order."""
    return [word.partition("[")[0].partition(":")[0] for word in OPS[name].arguments.split()]


def axes(signature):
    """Name -> axes of the arrays in a part of a signature."""
    return {name: axes for name, _, axes in parse(signature)}


def result_names(name):
    """The names of the results of ``call_op``."""
    if name in IN_PLACE_ARGUMENTS:
        return [argument_names(name)[position] for position in IN_PLACE_ARGUMENTS[name]]
    return [result for result, _, _ in parse(OPS[name].results)]


def sample_axis(name):
    """The letter of the axis of samples, the first of an array; None for an op without one."""
    if OPS[name].family in ("optimizer", "random", "fokker_planck"):
        return None
    return {"linear": "n", "mixture": "n", "activation": "..."}.get(OPS[name].family, "b")


class SeededArguments(tuple):
    """The arguments of an op, with the seed that their numbers were drawn by; printed as shapes."""

    name: str
    seed: int

    def __new__(cls, arguments, name, seed):
        made = super().__new__(cls, arguments)
        made.name, made.seed = name, seed
        return made

    def __repr__(self):
        return f"{self.name}({describe(self.name, self)}; seed {self.seed})"


def _with_seed_of(arguments, changed):
    """The changed arguments, with the seed of the given ones if these have one."""
    if isinstance(arguments, SeededArguments):
        return SeededArguments(changed, arguments.name, arguments.seed)
    return tuple(changed)


def map_float_arrays(arguments, change):
    """The arguments with ``change`` applied to every array of floats, also inside a list."""
    one = lambda a: change(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
    changed = [
        [one(a) for a in argument] if isinstance(argument, list) else one(argument)
        for argument in arguments
    ]
    return _with_seed_of(arguments, changed)


def cast(arguments, dtype):
    """The arguments in another precision: arrays of floats, and a dtype among the arguments."""
    changed = [np.dtype(dtype) if isinstance(a, np.dtype) else a for a in arguments]
    return map_float_arrays(_with_seed_of(arguments, changed), lambda a: a.astype(dtype))


def call_op(name, function, arguments):
    """The results of an op, as a tuple.  For an op that works in place: copies of its targets, as
    it leaves them.
    """
    if name not in IN_PLACE_ARGUMENTS:
        results = function(*arguments)
        return results if isinstance(results, tuple) else (results,)
    arguments = map_float_arrays(arguments, np.copy)
    function(*arguments)
    return tuple(arguments[position] for position in IN_PLACE_ARGUMENTS[name])


def differentiable_output(name, results):
    """The output whose gradient ``NAME_backward`` takes: ``per_sample`` of a loss."""
    return results[1] if name in ("mse", "cross_entropy") else results[0]


def backward_arguments(name, arguments, dy):
    """The arguments of ``NAME_backward``: from those of the forward and its output's gradient."""
    results = call_op(name, getattr(reference.ops, name), arguments)
    if name == "linear":
        return dy, *arguments[:2]
    if name == "conv2d":
        x, w, _, stride, add = arguments
        return dy, x, w, stride, add
    if name.startswith("group_norm"):
        return dy, *arguments[:4], *results[1:]
    if name == "attention":
        return dy, *arguments[:4], *results, *arguments[4:]  # a mask comes last
    if name in ("upsample_nearest", "average_pool"):
        return (dy,)
    return dy, *arguments


@cache
def _signature(name):
    return inspect.signature(getattr(reference.ops, name))


def bind_arguments(name, args, kwargs):
    """The arguments of a call in the order of the contract, completed by the defaults."""
    bound = _signature(name).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


def shapes(name, arguments, results):
    """The shapes of all arrays in the signature, as ``Op.flops`` takes them; for an argument that
    was left out, the shape that it could have had.
    """
    if name == "concat_backward":  # two of its arrays are called dy
        return [array.shape for array in (*arguments, *results)]
    image = results[0] if name == "conv2d" else arguments[0]
    arrays = dict(zip(argument_names(name), arguments)) | dict(
        zip(axes(OPS[name].results), results)
    )
    instead = {"b": lambda: arguments[1].shape[1:], "noise": lambda: image.shape}
    instead["mask"] = lambda: arrays["k"].shape[:2]
    instead |= dict.fromkeys(("add", "dadd"), lambda: (len(image), 1, 1, image.shape[-1]))
    present = lambda word: isinstance(arrays[word], (np.ndarray, np.floating))
    return [
        np.shape(arrays[word]) if present(word) else instead[word]()
        for word in axes(OPS[name].signature)
    ]


def describe(name, arguments):
    """Shapes of arrays, and values of plain numbers: ``x float32[1,5,7,2], stride 2``."""
    return ", ".join(
        f"{word} {_describe(argument)}" for word, argument in zip(argument_names(name), arguments)
    )


def _describe(argument):
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype}[{','.join(map(str, argument.shape))}]"
    if isinstance(argument, list):
        return f"[{', '.join(map(_describe, argument))}]"
    return str(argument)
