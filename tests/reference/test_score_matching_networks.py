"""Score matching of networks: the trace by probes, gradients through an MLP, and networks that predict y = -sigma s."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.networks import MLP, UNet
from reference.ops.random import Purpose
from reference.smld.score_matching import denoising, explicit, implicit, rademacher, sliced
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, assert_close, assert_mean
from tests.reference.test_networks import gradient_of_each
from tests.reference.test_score_matching import Affine
from tests.tolerances import assert_gradient

# Sliced: one probe for the trace


POINTS_NETWORK = MLP(size=(2,), width=5, depth=2, embedding=4)
IMAGES = MLP(size=(2, 3, 1), width=4, depth=1, embedding=2)
MLPS = pytest.mark.parametrize("network", [POINTS_NETWORK, IMAGES], ids=["points", "images"])
C = np.array([3.0, 700.0, 41.0])
WEIGHT = np.array([-1.7, 0.3, 2.2])  # of the trace, different for each sample


def batch(network):
    return random_parameters(network), numbers(1, 3, *network.size), C


def patterns(d):
    return np.array(list(product([-1.0, 1.0], repeat=d)))


@MLPS
def test_the_mean_over_all_sign_probes_is_the_implicit_loss_and_gradient(network):
    params, x, c = batch(network)
    every = [sliced(network, params, x, c, np.tile(v.reshape(network.size), (3, *[1] * (x.ndim - 1))), WEIGHT) for v in patterns(x[0].size)]
    _, per_sample, gradients = implicit(network, params, x, c, WEIGHT)
    size = np.abs([each[1] for each in every]).max()
    assert_close(np.mean([each[1] for each in every], axis=0), per_sample, EXACT, size)
    for name, gradient in gradients.items():
        terms = np.array([each[2][name] for each in every])
        assert_close(terms.mean(axis=0), gradient, EXACT, np.abs(terms).max() + np.abs(gradient).max())


def jacobians(network, params, x, c):
    """dy/dx [b,d,d]."""
    _, saved = network.forward(params, x, c, ops)
    basis = np.eye(x[0].size).reshape(-1, 1, *x.shape[1:])
    return np.stack([network.jvp(params, np.broadcast_to(e, x.shape), saved, ops)[0].reshape(len(x), -1) for e in basis], axis=2)


@MLPS
def test_sign_probe_variance_depends_on_the_off_diagonal_symmetric_part(network):
    params, x, c = batch(network)
    v = patterns(x[0].size)
    every = np.array([sliced(network, params, x, c, np.tile(one.reshape(1, *network.size), (3, *[1] * (x.ndim - 1))))[1] for one in v])
    J = jacobians(network, params, x, c)
    pairs = np.triu((J + J.swapaxes(1, 2)) ** 2, 1).sum(axis=(1, 2))
    assert_close(every.var(axis=0), pairs, EXACT, (every**2).mean(axis=0))


def variance_of_sliced(J, probes, weights):
    values = np.array([sliced(Affine(), {"w": J, "b": np.zeros(len(J))}, np.zeros((1, len(J))), None, v[None])[1][0] for v in probes])
    return weights @ values**2 - (weights @ values) ** 2


def test_sign_probes_have_the_printed_variance_and_none_if_diagonal():
    J = numbers(3, 4, 4)
    J, v = J + J.T, patterns(4)
    weights = np.full(len(v), 1 / len(v))
    assert_close(variance_of_sliced(J, v, weights), 2 * (J**2).sum() - 2 * (np.diag(J) ** 2).sum(), EXACT, np.abs(J).sum() ** 2)
    assert_close(variance_of_sliced(np.diag(np.diag(J)), v, weights), 0.0, EXACT, np.abs(J).sum() ** 2)


def test_normal_probes_have_a_larger_variance_than_sign_probes():
    J = numbers(4, 2, 2)
    J = J + J.T
    v, weights = np.array(list(product([-np.sqrt(3), 0.0, np.sqrt(3)], repeat=2))), np.outer([1, 4, 1], [1, 4, 1]).ravel() / 36
    assert_close(variance_of_sliced(J, v, weights), 2 * (J**2).sum(), EXACT, 9 * np.abs(J).sum() ** 2)  # Gauss-Hermite: exact to degree 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sign_probes_are_fair_and_independent(dtype):
    u = ops.uniform(4, np.arange(20_000), 0, Purpose.PROBE, (3,), dtype)
    v = rademacher(u)
    assert v.dtype == dtype and (np.abs(v) == 1).all() and (rademacher(1 - u) == -v).all()
    assert_mean(v, 0, 2)
    assert_mean(v[:, 0] * v[:, 1] * v[:, 2], 0, 2)


# Gradients through a trainable network


def losses(network, dtype=np.float64, x=None, c=C, weight=WEIGHT):
    """Every loss as a function of the parameters."""
    x = numbers(1, 3, *network.size) if x is None else x
    x, target, noise, probe, c = (a.astype(dtype) for a in (x, numbers(5, *x.shape), numbers(6, *x.shape), numbers(7, *x.shape), c))
    return {
        "explicit": lambda params: explicit(network, params, x, c, target),
        "denoising": lambda params: denoising(network, params, x, c, 0.6, noise),
        "implicit": lambda params: implicit(network, params, x, c, weight),
        "sliced": lambda params: sliced(network, params, x, c, probe, weight),
    }


LOSSES = {"explicit": explicit, "denoising": denoising, "implicit": implicit, "sliced": sliced}
every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
@MLPS
def test_gradient_of_the_mean_in_every_parameter(network, name):
    params, x, c = batch(network)
    loss = losses(network)[name]
    mean, per_sample, gradients = loss(params)
    assert per_sample.shape == (3,)
    assert_close(mean, per_sample.mean(), EXACT, np.abs(per_sample).mean())
    y, _ = network.forward(params, x, c)
    traces = np.abs(WEIGHT) @ np.abs(jacobians(network, params, x, c)).sum(axis=(1, 2)) * 3**2  # entries of probes are below 3,
    size = (((np.abs(y) + 5) ** 2).sum() / 2 + traces) / 3  # and for targets below 5
    gradient_of_each(lambda arrays: float(loss(arrays)[0]), params, gradients, size)


@MLPS
def test_the_trace_is_the_sum_of_derivatives_along_the_axes(network):
    params, x, c = batch(network)
    for i in range(3):
        at, when = x[i : i + 1], c[i : i + 1]
        y, _ = network.forward(params, at, when)
        one, two = (implicit(network, params, at, when, weight)[1][0] for weight in (1.0, -2.5))
        assert_close(two - one, -3.5 * (one - (y**2).sum() / 2), EXACT, np.abs(y).sum() ** 2 + abs(one) + abs(two))
        basis = np.eye(y.size).reshape(-1, 1, *network.size)
        f = lambda t: sum(network.forward(params, at + t * e, when)[0].ravel() @ e.ravel() for e in basis)  # noqa: B023
        assert_gradient(one - (y**2).sum() / 2, f, np.abs(y).sum() + 1, np.abs(y).sum() ** 2 + abs(one))


@MLPS
def test_each_sample_has_its_own_weight(network):
    params, x, c = batch(network)
    together = implicit(network, params, x, c, WEIGHT)[1]
    alone = [implicit(network, params, x[i : i + 1], c[i : i + 1], WEIGHT[i])[1][0] for i in range(3)]
    assert_close(together, np.array(alone), EXACT, np.abs(together).max() + 1)


@every_loss
def test_images_are_treated_as_flat_points(name):
    flat = MLP(size=(6,), width=4, depth=1, embedding=2)
    params, x, _ = batch(IMAGES)
    one, other = losses(IMAGES)[name](params), losses(flat, x=x.reshape(3, 6))[name](params)
    assert_close(one[1], other[1], EXACT, np.abs(other[1]).max())
    for key, gradient in other[2].items():
        assert_close(one[2][key], gradient, EXACT, np.abs(gradient).max())


@every_loss
@MLPS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_and_gradients_keep_the_dtype(network, name, dtype):
    params = {key: array.astype(dtype) for key, array in random_parameters(network).items()}
    mean, per_sample, gradients = losses(network, dtype)[name](params)
    assert mean.dtype == per_sample.dtype == dtype and {g.dtype for g in gradients.values()} == {np.dtype(dtype)}


@every_loss
def test_all_network_computations_use_the_port(name):
    port, seen = SimpleNamespace(**vars(ops)), []

    class Watched:
        def __getattr__(self, method):
            return lambda *args: seen.append((method, args[-1])) or getattr(POINTS_NETWORK, method)(*args)

    params, x, c = batch(POINTS_NETWORK)
    probe = {"sliced": {"probe": x}, "explicit": {"target": x}, "denoising": {"sigma": 0.6, "noise": x}}.get(name, {})
    mean, _, _ = LOSSES[name](Watched(), params, x, c, **probe, ops=port)
    assert mean == LOSSES[name](POINTS_NETWORK, params, x, c, **probe)[0]
    assert {method for method, _ in seen} == {"forward", "backward"} | (
        {"jvp", "jvp_backward"} if name in ("implicit", "sliced") else set()
    )
    assert all(used is port for _, used in seen)


def test_an_untrained_network_has_the_loss_of_predicting_zero():
    network, noise = MLP(size=(2,)), numbers(6, 3, 2)
    _, per_sample, _ = denoising(network, network.init(0, np.float64), numbers(1, 3, 2), C, 0.6, noise)
    assert_close(per_sample, (noise**2).sum(axis=1) / (2 * 0.6**2), EXACT)


def test_networks_without_jvp_are_refused_where_it_is_needed():
    network = UNet(size=(4, 4), channels=(4, 8), groups=2)
    params, x = random_parameters(network), numbers(1, 3, 4, 4, 1)
    for name in ("explicit", "denoising"):
        assert np.isfinite(losses(network, x=x)[name](params)[0])
    for name in ("implicit", "sliced"):
        with pytest.raises(ValueError, match="need a network with jvp, which UNet lacks"):
            losses(network, x=x)[name](params)


# Networks that predict y = -sigma s of an input x / k


class Score:
    """The score s(x) = -y(x / k) / sigma that such a network stands for; k and sigma [b]."""

    def __init__(self, network, k, sigma):
        self.network, self.k, self.out = network, k[:, None], -1 / sigma[:, None]

    def forward(self, params, x, c, ops=None):
        y, saved = self.network.forward(params, x / self.k, c)
        return self.out * y, saved

    def backward(self, params, ds, saved, ops=None):
        return self.network.backward(params, self.out * ds, saved)

    def jvp(self, params, v, saved, ops=None):
        y_dot, saved_jvp = self.network.jvp(params, v / self.k, saved)
        return self.out * y_dot, saved_jvp

    def jvp_backward(self, params, ds_dot, saved, saved_jvp, ops=None):
        return self.network.jvp_backward(params, self.out * ds_dot, saved, saved_jvp)


LEVELS = [np.array([0.1, 1.0, 7.0]), np.full(3, 0.6)]


@pytest.mark.parametrize("sigma", LEVELS, ids=["many levels", "one level"])
def test_losses_of_a_scaled_network_are_score_losses_times_noise_power(sigma):
    params, x, c = batch(POINTS_NETWORK)
    k, target, probe = np.sqrt(1 + sigma**2), numbers(5, 3, 2), numbers(7, 3, 2)
    score, u, weight = Score(POINTS_NETWORK, k, sigma), x / np.sqrt(1 + sigma**2)[:, None], -sigma / k
    pairs = [
        (explicit(score, params, x, c, target), explicit(POINTS_NETWORK, params, u, c, -sigma[:, None] * target)),
        (implicit(score, params, x, c), implicit(POINTS_NETWORK, params, u, c, weight)),
        (sliced(score, params, x, c, probe), sliced(POINTS_NETWORK, params, u, c, probe, weight)),
    ]
    if np.ptp(sigma) == 0:  # the denoising loss takes one level
        y_target = (numbers(6, 3, 2), (x + sigma[0] * numbers(6, 3, 2)) / k[:, None])
        pairs.append((denoising(score, params, x, c, sigma[0], y_target[0]), explicit(POINTS_NETWORK, params, y_target[1], c, y_target[0])))
    for (_, of_score, score_gradients), (_, of_y, gradients) in pairs:
        assert_close(sigma**2 * of_score, of_y, EXACT, 10 * (1 + sigma**2))
        for name, gradient in gradients.items() if np.ptp(sigma) == 0 else ():
            assert_close(sigma[0] ** 2 * score_gradients[name], gradient, EXACT, 10 * np.abs(gradient).max())
