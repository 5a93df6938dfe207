"""The autoencoder, and networks with two outputs."""

import numpy as np
import pytest

from reference.networks import MLP, Autoencoder, UNet
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, assert_close
from tests.reference.test_networks import gradient_of_all, gradient_of_each

POINTS = Autoencoder(size=(3,), latent=2, width=5, depth=2)
IMAGES = Autoencoder(size=(2, 3, 2), latent=4, width=6, depth=1)
LINEAR = Autoencoder(size=(3,), latent=2, depth=0)
each_network = pytest.mark.parametrize("network", [POINTS, IMAGES, LINEAR], ids=["points", "images", "linear"])


@each_network
def test_gradient_of_the_encoder_in_every_parameter_and_in_x(network):
    params, x = random_parameters(network), numbers(1, 3, *network.size)
    mean, log_var, saved = network.encode(params, x)
    d_mean, d_log_var = numbers(2, *mean.shape), numbers(3, *log_var.shape)
    gradients: dict = {}
    gradients["x"] = network.encode_backward(params, d_mean, d_log_var, saved, gradients)

    def value(arrays):
        mean, log_var, _ = network.encode(params | arrays, arrays["x"])
        return float(np.vdot(d_mean, mean) + np.vdot(d_log_var, log_var))

    arrays = {name: params[name] for name in params if name.startswith("encoder")} | {"x": x}
    gradient_of_each(value, arrays, gradients, np.abs(d_mean * mean).sum() + np.abs(d_log_var * log_var).sum())


@each_network
def test_gradient_of_the_decoder_in_every_parameter_and_in_z(network):
    params, z = random_parameters(network), numbers(1, 3, network.latent)
    y, saved = network.decode(params, z)
    dy = numbers(2, *y.shape)
    gradients: dict = {}
    gradients["z"] = network.decode_backward(params, dy, saved, gradients)
    value = lambda arrays: float(np.vdot(dy, network.decode(params | arrays, arrays["z"])[0]))
    arrays = {name: params[name] for name in params if name.startswith("decoder.") and name != "decoder.log_var"} | {"z": z}
    gradient_of_each(value, arrays, gradients, np.abs(dy * y).sum())


def test_without_hidden_layers_both_halves_are_affine():
    params, x, z = random_parameters(LINEAR), numbers(1, 4, 3), numbers(2, 4, 2)
    mean, log_var, _ = LINEAR.encode(params, x)
    assert_close(np.concatenate((mean, log_var), axis=1), x @ params["encoder.0.w"] + params["encoder.0.b"], EXACT, 8.0)
    assert_close(LINEAR.decode(params, z)[0], z @ params["decoder.0.w"] + params["decoder.0.b"], EXACT, 8.0)


@each_network
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_untrained_encoder_gives_a_unit_normal_and_decoder_log_var_minus_2(network, dtype):
    params = network.init(3, dtype)
    assert {name: p.shape for name, p in params.items()} == network.shapes() and {p.dtype for p in params.values()} == {np.dtype(dtype)}
    mean, log_var, _ = network.encode(params, numbers(1, 3, *network.size).astype(dtype))
    assert not mean.any() and not log_var.any() and mean.dtype == dtype
    assert params["decoder.log_var"] == -2


@pytest.mark.parametrize("fields", [{"size": (0,)}, {"latent": 0}, {"width": 0}, {"depth": -1}])
def test_invalid_autoencoder_settings_are_refused(fields):
    with pytest.raises(ValueError, match="size, latent and width must be at least 1 and depth at least 0"):
        Autoencoder(**fields)


def test_wrong_shapes_are_refused_by_name():
    params = POINTS.init(0)
    with pytest.raises(ValueError, match=r"x must have shape \(2, 3\), got \(2, 4\)"):
        POINTS.encode(params, np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"z must have shape \(2, 2\), got \(2, 3\)"):
        POINTS.decode(params, np.zeros((2, 3), np.float32))


TWO = [
    MLP(size=(2,), width=5, depth=2, embedding=4, outputs=2),
    MLP(size=(2, 3, 1), width=4, depth=1, embedding=2, outputs=2),
    UNet(size=(4, 4), in_channels=2, channels=(4, 4), groups=2, head_width=4, outputs=2),
]


@pytest.mark.parametrize("network", TWO, ids=["points", "images", "unet"])
def test_two_outputs_are_concatenated_on_the_last_axis_and_have_gradients(network):
    params, x, c = random_parameters(network), numbers(1, 2, *network.sample_shape), np.array([3.0, 700.0])
    y, saved = network.forward(params, x, c)
    assert y.shape == (*x.shape[:-1], 2 * x.shape[-1])
    dy = numbers(4, *y.shape)
    dx, gradients = network.backward(params, dy, saved)
    value = lambda arrays: float(np.vdot(dy, network.forward(arrays, arrays["x"], c)[0]))
    gradient_of_all(value, params | {"x": x}, gradients | {"x": dx}, np.abs(dy * y).sum())


@pytest.mark.parametrize("network", TWO[:2], ids=["points", "images"])
def test_the_tangent_of_two_outputs_and_its_gradient(network):
    params, x, v, c = random_parameters(network), *numbers(1, 2, 2, *network.size), np.array([3.0, 700.0])
    _, saved = network.forward(params, x, c)
    y_dot, saved_jvp = network.jvp(params, v, saved)
    dy_dot = numbers(4, *y_dot.shape)
    dx, dv, gradients = network.jvp_backward(params, dy_dot, saved, saved_jvp)

    def value(arrays):
        _, saved = network.forward(arrays, arrays["x"], c)
        return float(np.vdot(dy_dot, network.jvp(arrays, arrays["v"], saved)[0]))

    last_bias = f"layers.{network.depth}.b"
    arrays = {name: p for name, p in params.items() if name != last_bias} | {"x": x, "v": v}
    with_bias = lambda arrays: value(arrays | {last_bias: params[last_bias]})
    gradient_of_each(with_bias, arrays, gradients | {"x": dx, "v": dv}, np.abs(dy_dot * y_dot).sum() + 1)
