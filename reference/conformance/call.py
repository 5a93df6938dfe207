"""Every op of the contract called alike, whatever its arguments: what tests, traces and budgets
have in common.
"""

import inspect
from functools import cache

import numpy as np

import reference.ops
from reference.conformance.contract import OPS
from reference.ops.checks import parse

# positions of the arguments that an op changes
IN_PLACE_ARGUMENTS = {"adam_step_": (0, 2, 3), "ema_step_": (0,)}


def argument_names(name):
    """The names of an op's arguments, in order."""
    return [word.partition("[")[0].partition(":")[0] for word in OPS[name].arguments.split()]


def axes(signature):
    """name -> axes of the arrays in a part of a signature."""
    return {name: axes for name, _, axes in parse(signature)}


def result_names(name):
    """What ``call_op`` returns, by name."""
    if name in IN_PLACE_ARGUMENTS:
        return [argument_names(name)[position] for position in IN_PLACE_ARGUMENTS[name]]
    return [result for result, _, _ in parse(OPS[name].results)]


def sample_axis(name):
    """The letter of the axis that counts samples, the first of an array; None where there are none."""
    if OPS[name].family in ("optimizer", "random", "fokker_planck"):
        return None
    return {"linear": "n", "mixture": "n", "activation": "..."}.get(OPS[name].family, "b")


def map_float_arrays(arguments, change):
    """The arguments with ``change`` applied to every array of floats, also to those inside a list."""
    one = lambda a: change(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
    return tuple(
        [one(a) for a in argument] if isinstance(argument, list) else one(argument)
        for argument in arguments
    )


def cast(arguments, dtype):
    """The arguments in another precision: arrays of floats, and a dtype among the arguments."""
    return map_float_arrays(
        [np.dtype(dtype) if isinstance(a, np.dtype) else a for a in arguments],
        lambda a: a.astype(dtype),
    )


def call_op(name, function, arguments):
    """What an op returns, as a tuple; for an op that works in place, the arrays that it changed,
    from copies.
    """
    if name not in IN_PLACE_ARGUMENTS:
        results = function(*arguments)
        return results if isinstance(results, tuple) else (results,)
    arguments = map_float_arrays(arguments, np.copy)
    function(*arguments)
    return tuple(arguments[position] for position in IN_PLACE_ARGUMENTS[name])


def differentiable_output(name, results):
    """The output that ``NAME_backward`` takes the gradient of: a loss's is ``per_sample``."""
    return results[1] if name == "mse" else results[0]


def backward_arguments(name, arguments, dy):
    """The arguments of ``NAME_backward``, from those of the forward and a gradient at its output."""
    results = call_op(name, getattr(reference.ops, name), arguments)
    if name == "linear":
        return dy, *arguments[:2]
    if name == "conv2d":
        x, w, _, stride, add = arguments
        return dy, x, w, stride, add
    if name.startswith("group_norm"):
        return dy, *arguments[:4], *results[1:]
    if name == "attention":
        return dy, *arguments, *results
    if name in ("upsample_nearest", "average_pool"):
        return (dy,)
    return dy, *arguments


@cache
def _signature(name):
    return inspect.signature(getattr(reference.ops, name))


def bind_arguments(name, args, kwargs):
    """The arguments of a call in the order of the contract, with defaults where nothing was given."""
    bound = _signature(name).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


def shapes(name, arguments, results):
    """The shapes of all arrays in the signature, as its counts take them; where nothing was given,
    of what could have been.
    """
    if name == "concat_backward":  # two of its arrays are called dy
        return [array.shape for array in (*arguments, *results)]
    image = results[0] if name == "conv2d" else arguments[0]
    arrays = dict(zip(argument_names(name), arguments)) | dict(
        zip(axes(OPS[name].results), results)
    )
    instead = {"b": lambda: arguments[1].shape[1:], "noise": lambda: image.shape}
    instead |= dict.fromkeys(("add", "dadd"), lambda: (len(image), 1, 1, image.shape[-1]))
    present = lambda word: isinstance(arrays[word], (np.ndarray, np.floating))
    return [
        np.shape(arrays[word]) if present(word) else instead[word]()
        for word in axes(OPS[name].signature)
    ]


def describe(name, arguments):
    """``x float32[1,5,7,2], w float32[3,3,2,4], b None, stride 2``: shapes, and plain numbers as
    they are.
    """
    return ", ".join(
        f"{word} {_describe(argument)}" for word, argument in zip(argument_names(name), arguments)
    )


def _describe(argument):
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype}[{','.join(map(str, argument.shape))}]"
    if isinstance(argument, list):
        return f"[{', '.join(map(_describe, argument))}]"
    return str(argument)
