"""The networks end to end: gradients, the tangent of the MLP, allowed operations, initial values and errors."""

import numpy as np
import pytest

from reference import ops
from reference.networks import MLP, NETWORKS, Autoencoder, ConvNet, UNet
from reference.networks.blocks import halving_convolution
from tests.example_networks import (
    CONVNET,
    CONVNETS,
    IMAGES,
    LABELS,
    MLPS,
    NOISY_CONVNET,
    ONE_LEVEL,
    PLAIN,
    POINTS,
    SMALL,
    UNETS,
    C,
    inputs,
    numbers,
    random_parameters,
)
from tests.oracle_tolerances import EXACT, U32, assert_close
from tests.tolerances import NETWORK_STEPS, assert_adjoint, assert_equal_to_rounding, assert_gradient, assert_unit_size


def gradient_of_each(value, arrays, gradients, magnitude):
    """Check each array's gradient along its own direction; ``value`` is a function of the dictionary."""
    assert {name: gradient.shape for name, gradient in gradients.items()} == {name: array.shape for name, array in arrays.items()}
    for seed, (name, array) in enumerate(arrays.items()):
        direction = numbers([2, seed], *array.shape) * np.sqrt(np.mean(array**2))
        terms = gradients[name] * direction
        f = lambda t, name=name, array=array, direction=direction: value(arrays | {name: array + t * direction})
        try:
            assert_gradient(terms.sum(), f, magnitude, np.abs(terms).sum(), NETWORK_STEPS)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


def gradient_of_all(value, arrays, gradients, magnitude):
    """Check the gradient of all arrays together along one direction."""
    directions = {name: numbers([3, seed], *a.shape) * np.sqrt(np.mean(a**2)) for seed, (name, a) in enumerate(arrays.items())}
    terms = np.concatenate([(gradients[name] * directions[name]).ravel() for name in arrays])
    f = lambda t: value({name: array + t * directions[name] for name, array in arrays.items()})
    assert_gradient(terms.sum(), f, magnitude, np.abs(terms).sum(), NETWORK_STEPS)


def loss(network):
    """(<dy, forward> as a function of parameters and x in one dictionary, these arrays, its gradients, its magnitude)."""
    x, c, labels = inputs(network)
    params = random_parameters(network)
    y, saved = network.forward(params, x, c, labels=labels)
    dy = numbers(4, *y.shape)
    dx, gradients = network.backward(params, dy, saved)
    value = lambda arrays: float(np.vdot(dy, network.forward(arrays, arrays["x"], c, labels=labels)[0]))
    return value, params | {"x": x}, gradients | {"x": dx}, np.abs(dy * y).sum()


@pytest.mark.parametrize("network", [*MLPS, SMALL, *CONVNETS], ids=LABELS.get)
def test_gradient_of_every_parameter_and_of_x(network):
    gradient_of_each(*loss(network))


@pytest.mark.parametrize("network", UNETS, ids=LABELS.get)
def test_gradient_of_all_parameters_and_x_together(network):
    gradient_of_all(*loss(network))


def test_gradient_in_every_coordinate_of_a_tiny_mlp():
    value, arrays, gradients, magnitude = loss(MLP(size=(2,), width=2, depth=1, embedding=2))
    for name, array in arrays.items():
        for index in np.ndindex(array.shape):
            direction = np.zeros(array.shape)
            direction[index] = 1
            f = lambda t, name=name, array=array, direction=direction: value(arrays | {name: array + t * direction})
            assert_gradient(gradients[name][index], f, magnitude)


@pytest.mark.parametrize(
    "network, count", [(UNet(size=(8, 8), channels=(32, 64)), 701_345), (UNet(size=(32, 32), channels=(32, 64, 64)), 1_112_801)]
)
def test_unet_has_as_many_parameters_as_diffusers(network, count):
    assert sum(np.prod(shape) for shape in network.shapes().values()) == count


def test_networks_are_found_by_name():
    assert NETWORKS == {"mlp": MLP, "unet": UNet, "autoencoder": Autoencoder, "convnet": ConvNet}


# the tangent of the MLP


@pytest.mark.parametrize("network", MLPS, ids=LABELS.get)
def test_jvp_is_the_derivative_along_v(network):
    x, c, labels = inputs(network)
    params, v, u = random_parameters(network), numbers(5, *x.shape), numbers(6, *x.shape)
    y, saved = network.forward(params, x, c, labels=labels)
    y_dot, _ = network.jvp(params, v, saved)
    assert y_dot.shape == y.shape
    terms = u * y_dot
    f = lambda t: float(np.vdot(u, network.forward(params, x + t * v, c, labels=labels)[0]))
    assert_gradient(terms.sum(), f, np.abs(u * y).sum(), np.abs(terms).sum())


@pytest.mark.parametrize("network", MLPS, ids=LABELS.get)
def test_jvp_is_the_transpose_of_backward(network):
    x, c, labels = inputs(network)
    params, v, u = random_parameters(network), numbers(5, *x.shape), numbers(6, *x.shape)
    _, saved = network.forward(params, x, c, labels=labels)
    assert_adjoint(u * network.jvp(params, v, saved)[0], v * network.backward(params, u, saved)[0])


@pytest.mark.parametrize("network", MLPS, ids=LABELS.get)
def test_gradient_of_jvp_in_every_parameter_in_x_and_in_v(network):
    x, c, labels = inputs(network)
    params, v, u = random_parameters(network), numbers(5, *x.shape), numbers(6, *x.shape)

    def tangent(arrays):
        _, saved = network.forward(arrays, arrays["x"], c, labels=labels)
        return saved, *network.jvp(arrays, arrays["v"], saved)

    value = lambda arrays: float(np.vdot(u, tangent(arrays)[1]))
    arrays = params | {"x": x, "v": v}
    saved, y_dot, saved_jvp = tangent(arrays)
    dx, dv, gradients = network.jvp_backward(params, u, saved, saved_jvp)
    last = f"layers.{network.depth}.b"
    assert last not in gradients
    gradients |= {"x": dx, "v": dv, last: np.zeros_like(params[last])}
    gradient_of_each(value, arrays, {name: gradients[name] for name in arrays}, np.abs(u * y_dot).sum())


@pytest.mark.parametrize("network", [*MLPS, SMALL, *UNETS, *CONVNETS], ids=LABELS.get)
def test_forward_without_saved_arrays_gives_the_same_result(network):
    x, c, labels = inputs(network)
    params = random_parameters(network)
    y, saved = network.forward(params, x, c, labels=labels, keep=False)
    assert not saved
    assert np.array_equal(y, network.forward(params, x, c, labels=labels)[0])


# initial values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", [POINTS, SMALL, CONVNET], ids=LABELS.get)
def test_init_depends_only_on_the_seed_and_honours_the_dtype(network, dtype):
    one, again, other = network.init(3, dtype), network.init(3, dtype), network.init(4, dtype)
    for name, shape in network.shapes().items():
        assert one[name].dtype == dtype and one[name].shape == shape
        assert np.array_equal(one[name], again[name])
        assert np.array_equal(one[name], other[name]) == (len(np.unique(one[name])) == 1)
    drawn = [array.ravel()[0] for array in one.values() if len(np.unique(array)) > 1]
    assert len(set(drawn)) == len(drawn) > 1


@pytest.mark.parametrize("network", [*MLPS, SMALL, *UNETS, *CONVNETS], ids=LABELS.get)
def test_an_untrained_network_predicts_exactly_zero(network):
    x, c, labels = inputs(network)
    assert not network.forward(network.init(0, np.float64), x, c, labels=labels)[0].any()


def test_activations_of_an_untrained_mlp_have_about_unit_size():
    network = MLP(size=(2,), width=128, depth=3)
    _, (_, _, _, pre, _) = network.forward(network.init(0, np.float64), numbers(1, 64, 2), np.linspace(0, 1000, 64))
    for silus, a in enumerate(pre):
        assert_unit_size(a, silus)


def test_activations_of_an_untrained_unet_have_about_unit_size():
    network = UNet(size=(8, 8), channels=(16, 32))
    _, saved = network.forward(network.init(0, np.float64), numbers(1, 4, 8, 8, 1), np.linspace(0, 1000, 4))
    for name in saved:
        if ".resnets." in name:
            assert_unit_size(saved[name][0])
    assert_unit_size(saved["conv_out"][0])


# batches


@pytest.mark.parametrize("network", [POINTS, IMAGES, SMALL, ONE_LEVEL, *CONVNETS], ids=LABELS.get)
def test_empty_batch_has_an_empty_result_and_no_gradient(network):
    x, c, labels = inputs(network, 0)
    params = random_parameters(network)
    y, saved = network.forward(params, x, c, labels=labels)
    dx, gradients = network.backward(params, y, saved)
    assert dx.shape == x.shape and len(y) == 0
    assert all(gradients[name].shape == params[name].shape and not gradients[name].any() for name in params)


@pytest.mark.parametrize("network", [POINTS, IMAGES, SMALL, ONE_LEVEL, *CONVNETS], ids=LABELS.get)
def test_a_sample_does_not_depend_on_its_batch(network):
    params = random_parameters(network)
    both, alone = (network.forward(params, x, c, labels=labels)[0] for x, c, labels in (inputs(network, batch) for batch in (2, 1)))
    assert_equal_to_rounding(both[:1], alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", [POINTS, SMALL, NOISY_CONVNET], ids=LABELS.get)
def test_dtype_of_x_is_kept_throughout(network, dtype):
    x, c, labels = inputs(network)
    params = {name: array.astype(dtype) for name, array in random_parameters(network).items()}
    y, saved = network.forward(params, x.astype(dtype), c.astype(dtype), labels=labels)
    dx, gradients = network.backward(params, y, saved)
    assert {array.dtype for array in (y, dx, *gradients.values())} == {np.dtype(dtype)}


def test_a_label_changes_only_the_prediction_of_its_own_sample():
    x, c, labels = inputs(SMALL)
    params = random_parameters(SMALL)
    before, after = (SMALL.forward(params, x, c, labels=l)[0] for l in (labels, np.array([labels[0], 2])))
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[1], after[1])


# bad input


@pytest.mark.parametrize(
    "network, shape", [(POINTS, (2, 3)), (POINTS, (2, 2, 1)), (IMAGES, (2, 6)), (PLAIN, (2, 4, 4, 2)), (PLAIN, (2, 8, 4, 1))]
)
def test_wrong_shape_of_x_is_a_value_error_that_names_it(network, shape):
    with pytest.raises(ValueError, match="x must have shape"):
        network.forward(random_parameters(network), np.zeros(shape), C)


def test_missing_or_superfluous_labels_are_a_value_error():
    labels = np.array([0, 1])
    for network in (PLAIN, POINTS):
        with pytest.raises(ValueError, match="labels must not be given"):
            network.forward(random_parameters(network), *inputs(network)[:2], labels=labels)
    with pytest.raises(ValueError, match="labels must be given: the network has 3 classes"):
        SMALL.forward(random_parameters(SMALL), *inputs(SMALL)[:2])


@pytest.mark.parametrize(
    "config, message",
    [
        ({"size": (6, 8), "channels": (8, 8, 8)}, "3 levels need an image size that 4 divides, got 6x8"),
        ({"size": (8, 1), "channels": (8, 8)}, "2 levels need an image size"),
        ({"channels": (8, 12)}, "groups must divide the channels"),
        ({"groups": 0}, "groups must divide the channels"),
        ({"head_width": 7}, "head_width must divide the 64 channels of level 1, got 7"),
        ({"head_width": 64, "attention": (0, 1)}, "head_width must divide the 32 channels of level 0, got 64"),
        ({"attention": (2,)}, "attention must list levels from 0 to 1, got 2"),
        ({"attention": (-3,)}, "attention must list levels from 0 to 1, got -3"),
        ({"norm_eps": 0.0}, "norm_eps must be a positive number, got 0.0"),
        ({"freq_shift": 16}, "freq_shift must be at least 0 and below 16, half of the channels of the first level, got 16"),
        ({"downsample_padding": 2}, "downsample_padding must be 0 or 1, got 2"),
        ({"channels": ()}, "channels must be at least 2"),
        ({"channels": (3, 8), "groups": 1}, "channels must be at least 2 on every level and even on the first"),
        ({"layers": 0}, "layers, in_channels and outputs must be at least 1"),
        ({"in_channels": 0}, "layers, in_channels and outputs must be at least 1"),
    ],
)
def test_invalid_unet_settings_are_a_value_error_that_names_the_reason(config, message):
    with pytest.raises(ValueError, match=message):
        UNet(**config)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"size": ()}, "size, width, depth and outputs must be at least 1"),
        ({"size": (0,)}, "size, width, depth and outputs must be at least 1"),
        ({"width": 0}, "size, width, depth and outputs must be at least 1"),
        ({"depth": 0}, "size, width, depth and outputs must be at least 1"),
        ({"embedding": 3}, "embedding must be an even number"),
    ],
)
def test_invalid_mlp_settings_are_a_value_error_that_names_the_reason(config, message):
    with pytest.raises(ValueError, match=message):
        MLP(**config)


def test_the_unet_equals_unet2dmodel_with_the_same_weights():
    """Six outputs of diffusers's UNet2DModel (layers_per_block 1, 4 groups, heads of 4, attention below), in float64, to its precision.

    diffusers computes sines and cosines of the time in float32: an error of 3 units of 2^{-24} through a network of gain one.
    """
    network = UNet(size=(4, 8), in_channels=2, channels=(8, 16), groups=4, head_width=4)
    params = {
        name: ops.normal(11, np.array([i]), 0, 0, shape)[0] * (0.3 if len(shape) > 1 else 0.5)
        for i, (name, shape) in enumerate(network.shapes().items())
    }
    y, _ = network.forward(params, ops.normal(12, np.arange(2), 0, 0, (4, 8, 2)), np.array([0.75, 3.0]))
    theirs = [2.6494309564725835, 1.4548554847600768, 1.4637103721867704, 1.8612912573313394, 1.5887204900482752, 0.29121075799867535]
    assert_close(y[1, 2, 3:6].ravel(), np.array(theirs), 3 * U32, 1.0)


@pytest.mark.parametrize("padding", [0, 1])
def test_an_image_is_halved_with_zeros_on_the_sides_that_padding_names(padding):
    x, params = numbers(0, 2, 4, 6, 3), {"conv.w": numbers(1, 3, 3, 3, 2), "conv.b": numbers(2, 2)}
    wide = np.zeros((2, 6, 8, 3))
    wide[:, padding : 4 + padding, padding : 6 + padding] = x
    expected = np.zeros((2, 2, 3, 2)) + params["conv.b"]
    for i, j, k, m in np.ndindex(2, 3, 3, 3):
        expected[:, i, j] += wide[:, 2 * i + k, 2 * j + m] @ params["conv.w"][k, m]
    assert_close(halving_convolution(params, "conv", x, padding, ops), expected, EXACT, np.abs(expected).max())


def test_the_mlp_equals_its_formula():
    network = MLP(size=(2, 1), width=3, depth=2, embedding=4)
    params, x, c = random_parameters(network), numbers(1, 5, 2, 1), C[0] * np.arange(5) / 5
    frequencies = np.array([1.0, 0.01])
    h = np.concatenate((x[:, :, 0], np.cos(np.outer(c, frequencies)), np.sin(np.outer(c, frequencies))), axis=1)
    for layer in range(2):
        a = h @ params[f"layers.{layer}.w"] + params[f"layers.{layer}.b"]
        h = a / (1 + np.exp(-a))
    expected = h @ params["layers.2.w"] + params["layers.2.b"]
    assert_close(network.forward(params, x, c)[0][:, :, 0], expected, EXACT, 16.0)
