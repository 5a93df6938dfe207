"""Restoration with arrays on a device: the bits and the dtype of the host, and no copy to the host on the way."""

import numpy as np
import pytest

from accelerated.gpu.simulator import arrays as simulated
from reference import ops
from reference.diffusion.denoiser import Denoiser
from reference.networks import MLP
from reference.restoration.operators import Matrix
from reference.restoration.point_estimates import pnp_admm, total_variation
from reference.runs.devices import to_device
from tests import device_port
from tests.example_networks import random_parameters
from tests.reference.test_restoration_samplers import NOISE, SAMPLERS, states
from tests.restoration_examples import EXAMPLES, IMAGES, curved, every_operator, karras, without_pullback

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
METHODS = {
    "forward": lambda operator, x, y: operator.forward(x),
    "adjoint": lambda operator, x, y: operator.adjoint(y),
    "Vt": lambda operator, x, y: operator.Vt(x),
    "V": lambda operator, x, y: operator.V(x.reshape(len(x), -1)),
    "Ut": lambda operator, x, y: operator.Ut(y),
    "pseudo-inverse": lambda operator, x, y: operator.pseudo_inverse(y),
    "regularised inverse": lambda operator, x, y: operator.regularised_inverse(y, 0.3, 0.1),
    "proximal": lambda operator, x, y: operator.proximal(y, x, 0.7),
    "proximal, limit": lambda operator, x, y: operator.proximal(y, x, 0.0),
}


def example(operator, dtype):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(3, *shape)).astype(dtype) for shape in (operator.shape, operator.measured_shape))


def assert_same_on_device(function, dtype):
    """``function(port, move)`` -> arrays: on the host, and on arrays that ``move`` puts on the device."""
    here, before = function(ops, lambda array: array), simulated.copies
    there = function(device_port, simulated.asarray)
    assert simulated.copies == before, "copied to the host"
    for one, other in zip(here, there, strict=True):
        assert one.dtype == other.dtype == dtype and isinstance(other, simulated.ndarray)
        assert np.isfinite(one).all() and np.array_equal(one, other.get())


@every_operator
@every_dtype
def test_operators_on_a_device_have_the_same_bits_and_dtype_and_no_host_copies(operator, dtype):
    x, y = example(operator, dtype)
    assert_same_on_device(lambda port, move: [method(operator, move(x), move(y)) for method in METHODS.values()], dtype)


@every_operator
@every_dtype
def test_measurements_on_a_device_have_the_same_bits_and_dtype_and_no_host_copies(operator, dtype):
    x, _ = example(operator, dtype)
    assert_same_on_device(lambda port, move: [operator.measure(move(x), 0.2, 5, move(np.arange(3)), port)], dtype)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("operator", EXAMPLES.values(), ids=EXAMPLES)
def test_samplers_on_a_device_have_the_same_bits_and_dtype_and_no_host_copies(name, operator):
    x, y = example(operator, np.float32)

    def last(port, move):
        *_, (_, x_end, x0) = states(name, operator, move(x), move(y), karras(4, 2.0), move(np.arange(3)), port=port)
        return x_end, x0

    assert_same_on_device(last, np.float32)


@pytest.mark.parametrize("operator", IMAGES.values(), ids=IMAGES)
@every_dtype
def test_point_estimates_on_a_device_have_the_same_bits_and_dtype_and_no_host_copies(operator, dtype):
    _, y = example(operator, dtype)

    def estimates(port, move):
        yield pnp_admm(without_pullback(curved), operator, move(y), 0.2, [1.0, 0.5, 0.2])
        yield total_variation(operator, move(y), 0.1, 5)

    assert_same_on_device(lambda port, move: list(estimates(port, move)), dtype)


@pytest.mark.parametrize("name", ["pigdm", "dps"])
@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_a_network_and_its_pullback_on_a_device_have_the_same_bits_and_no_host_copies(name, prediction):
    operator, schedule = Matrix([[1.0, 0.4]]), karras(4, 2.0)
    network = MLP(size=(2,), width=8, depth=2)
    params = {key: array.astype(np.float32) for key, array in random_parameters(network).items()}
    x, y = example(operator, np.float32)

    def last(port, move):
        weights = params if port is ops else to_device(params, port)
        model = Denoiser(network, schedule, prediction).posterior_mean_and_pullback(weights, ops=port)
        sample, ends = move(np.arange(3)), schedule.timesteps(4)
        *_, (_, x_end, x0) = SAMPLERS[name](model, operator, move(y), NOISE, schedule, ends, move(x), 3, sample, ops=port)
        return x_end, x0

    assert_same_on_device(last, np.float32)
