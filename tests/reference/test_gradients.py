"""Every backward of the contract against numeric derivatives of its forward, in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ops
from reference.conformance.call import argument_names, axes, backward_arguments, call_op, differentiable_output
from reference.conformance.contract import CONTRACT, OPS
from tests.strategies import SEED, arguments
from tests.tolerances import assert_adjoint, assert_gradient

DIFFERENTIABLE = [op.name for op in CONTRACT if op.gradients]
UNIT = {"scales": (1.0,), "offsets": (0.0,)}


def normal(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


def fixed(name):
    """Arguments of one small call of an op."""
    n = lambda *shape: normal(sum(shape), shape)
    return {
        "linear": (n(3, 4), n(4, 2), n(2)),
        "conv2d": (n(2, 5, 4, 2), n(3, 3, 2, 3), n(3), 2, n(2, 3, 2, 3)),
        "group_norm": (n(2, 3, 6), n(6), n(6), 2, 1e-5),
        "group_norm_silu": (n(2, 3, 6), n(6), n(6), 3, 1e-5),
        "silu": (n(7),),
        "attention": (n(2, 3, 4), n(2, 5, 4), n(2, 5, 4), 2),
        "upsample_nearest": (n(2, 2, 3, 2),),
        "average_pool": (n(2, 2, 4, 2),),
        "concat": (n(2, 3, 2), n(2, 3, 4)),
        "embedding": (np.array([2, 0, 2, 2]), n(4, 3)),
        "mse": (n(3, 4), normal(9, (3, 4))),
        "gaussian_kl": (n(3, 4), normal(9, (3, 4))),
        "cross_entropy": (n(3, 4), np.array([2, 0, 2])),
    }[name]


def gradients(name, args, dy):
    """Argument -> its gradient, by the analytic backward."""
    results = call_op(f"{name}_backward", getattr(ops, f"{name}_backward"), backward_arguments(name, args, dy))
    names = [result[1:] for result in axes(OPS[f"{name}_backward"].results)]
    return dict(zip(names, results, strict=True))


def along(function, args, position, direction, dy, result=differentiable_output, name=""):
    """t -> <dy, function(args with one argument moved by t direction)>."""

    def f(t):
        moved = [*args[:position], args[position] + t * direction, *args[position + 1 :]]
        return float(np.vdot(dy, result(name, call_op(name, function, moved))))

    return f


def check_direction(name, args, seed):
    """Each gradient along its own random direction, for one random upstream gradient."""
    y = differentiable_output(name, call_op(name, getattr(ops, name), args))
    dy = normal([seed, 0], y.shape)
    magnitude = np.abs(dy * y).sum()
    for argument, gradient in gradients(name, args, dy).items():
        position = argument_names(name).index(argument)
        if args[position] is None:
            continue
        direction = normal([seed, position + 1], args[position].shape)
        terms = gradient * direction
        f = along(getattr(ops, name), args, position, direction, dy, name=name)
        assert_gradient(terms.sum(), f, magnitude, np.abs(terms).sum())


def check_coordinates(function, args, position, gradient, dy, name=""):
    """Check every entry of a gradient separately."""
    y = differentiable_output(name, call_op(name, function, args))
    magnitude = np.abs(dy * y).sum()
    assert gradient.shape == args[position].shape
    for index in np.ndindex(gradient.shape):
        direction = np.zeros(gradient.shape)
        direction[index] = 1
        assert_gradient(gradient[index], along(function, args, position, direction, dy, name=name), magnitude)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(data=st.data(), seed=SEED)
def test_gradient_along_a_random_direction(name, data, seed):
    check_direction(name, data.draw(arguments(name, np.float64, **UNIT)), seed)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_in_every_coordinate(name):
    args = fixed(name)
    y = differentiable_output(name, call_op(name, getattr(ops, name), args))
    dy = normal(5, y.shape)
    for argument, gradient in gradients(name, args, dy).items():
        check_coordinates(getattr(ops, name), args, argument_names(name).index(argument), gradient, dy, name)


@pytest.mark.parametrize("h, w", [(5, 7), (7, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("add", ["none", "per channel", "per pixel"])
def test_gradient_of_conv2d_with_unequal_sides_and_channels(h, w, stride, k, add):
    pixels = {"none": None, "per channel": (1, 1), "per pixel": (-(-h // stride), -(-w // stride))}[add]
    n = lambda *shape: normal(sum(shape), shape)
    check_direction("conv2d", (n(2, h, w, 2), n(k, k, 2, 3), n(3), stride, pixels and n(2, *pixels, 3)), seed=h + stride)


def test_conv2d_has_no_gradient_of_add_without_add():
    x, w, dy = normal(0, (1, 3, 3, 1)), normal(1, (3, 3, 1, 2)), normal(2, (1, 3, 3, 2))
    assert ops.conv2d_backward(dy, x, w)[3] is None


@given(args=arguments("silu_second", np.float64, **UNIT), seed=SEED)
def test_silu_second_is_the_derivative_of_silu_backward(args, seed):
    dy, v, x = args
    direction = normal(seed, x.shape)
    terms = ops.silu_second(dy, v, x) * direction
    magnitude = np.abs(dy * ops.silu_backward(v, x)).sum()
    assert_gradient(terms.sum(), along(ops.silu_backward, (v, x), 1, direction, dy), magnitude, np.abs(terms).sum())


def test_silu_second_in_every_coordinate():
    dy, v, x = normal(0, 5), normal(1, 5), 3 * normal(2, 5)
    check_coordinates(ops.silu_backward, (v, x), 1, ops.silu_second(dy, v, x), dy)


LINEAR = [("linear", "x"), ("linear", "w"), ("conv2d", "x"), ("conv2d", "w"), ("conv2d", "add"), ("upsample_nearest", "x")]
LINEAR += [("average_pool", "x"), ("concat", "x"), ("concat", "y"), ("embedding", "table")]
AFFINE = {  # other arguments that are added to the output
    ("linear", "x"): [2],
    ("linear", "w"): [2],
    ("conv2d", "x"): [2, 4],
    ("conv2d", "w"): [2, 4],
    ("conv2d", "add"): [0, 2],
    ("concat", "x"): [1],
    ("concat", "y"): [0],
}


@pytest.mark.parametrize("name, argument", LINEAR)
@given(data=st.data(), seed=SEED)
def test_backward_is_the_adjoint_of_a_linear_op(name, argument, data, seed):
    args = list(data.draw(arguments(name, np.float64, **UNIT)))
    position = argument_names(name).index(argument)
    if args[position] is None:
        return
    for other in AFFINE.get((name, argument), []):
        args[other] = None if args[other] is None else np.zeros_like(args[other])
    (y,) = call_op(name, getattr(ops, name), args)
    dy = normal(seed, y.shape)
    assert_adjoint(dy * y, gradients(name, args, dy)[argument] * args[position])


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_contract_lists_the_gradients_that_the_backward_returns(name):
    returned = [result[1:] for result in axes(OPS[f"{name}_backward"].results)]
    without_biases = lambda names: [argument for argument in names if argument != "b"]
    assert without_biases(OPS[name].gradients.split()) == without_biases(returned)
