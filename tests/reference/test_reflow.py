"""Reflow: pairs, loss and training times; on the line its paths are straight, and one step is the quantile map."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from reference import ops
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.mixtures import example_2_1
from reference.distillation.exact import quantile_map
from reference.distillation.reflow import Reflow, join
from reference.networks.mlp import MLP
from reference.runs.trajectory import trajectory
from reference.samplers import final_sample
from reference.sde.flow import Flow
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, QUADRATURE, assert_close, ks_distance
from tests.oracles import normal_data
from tests.reference.test_networks import gradient_of_all

STRAIGHT = 1e-10  # the project's requirement; the path through a point is found to 1e-14, and its slope is at most some tens
FLOW = Flow(times="u-shaped")
NETWORK = MLP((2, 3, 1), width=4, depth=1, embedding=2)
MODEL = Reflow(NETWORK, FLOW, "velocity", 0.4)


def test_pairs_hold_x0_and_noise_on_the_last_axis():
    x0, noise = numbers(1, 4, 2, 3, 1), numbers(2, 4, 2, 3, 1)
    pairs = join(x0, noise)
    assert pairs.shape == (4, 2, 3, 2)
    np.testing.assert_array_equal(pairs[..., :1], x0)
    np.testing.assert_array_equal(pairs[..., 1:], noise)


def test_the_loss_is_that_of_a_denoiser_with_the_noise_of_the_pair():
    x0, noise, t = numbers(1, 4, 2, 3, 1), numbers(2, 4, 2, 3, 1), np.array([0.1, 0.4, 0.8, 0.95])
    params = random_parameters(NETWORK)
    mean, per_sample, gradients = MODEL.loss(params, join(x0, noise), t)
    expected = Denoiser(NETWORK, FLOW, "velocity", 0.4).loss(params, x0, t, noise)
    np.testing.assert_array_equal(per_sample, expected[1])
    assert_close(mean, per_sample.mean(), EXACT)
    gradient_of_all(lambda p: MODEL.loss(p, join(x0, noise), t)[0], params, gradients, 10 * mean + 10)


def test_training_draws_u_shaped_times_and_no_noise():
    n = 20_000
    (t,) = MODEL.sample_training_noise(1, np.arange(n), 2, (2, 3, 2), np.float32)
    cdf = lambda t: 0.5 + np.sinh(4 * (t - 0.5)) / np.sinh(2) / 2
    s, ends = np.sort(t), cdf(np.array([FLOW.t_min, FLOW.t_max]))
    assert np.abs(np.arange(1, n + 1) / n - (cdf(s) - ends[0]) / (ends[1] - ends[0])).max() <= ks_distance(n) + 1 / n


# The line: x_0 = q(eps), the increasing function of eps that gives x_0 its law


@dataclass
class StraightVelocity:
    """The exact velocity eps - q(eps) of the only path x = (1 - t) q(eps) + t eps through x at time t, as a network."""

    q: object
    data_variance: float = 1.0
    sample_shape, classes, outputs = (1,), 0, 1

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        t = c / 1000
        x = x[:, 0] * np.hypot((1 - t) * self.data_variance**0.5, t)
        eps = [brentq(lambda e, x=x, t=t: (1 - t) * self.q(e) + t * e - x, -12, 12, xtol=1e-15) for x, t in zip(x, t)]
        return np.array([[e - self.q(e)] for e in eps]), None


def increasing(distribution):
    """eps -> F_0^{-1}(Phi(eps))."""
    normal = normal_data(0.0, 1.0)
    return lambda e: quantile_map(normal, distribution, np.array([e]))[0]


LAWS = {"gaussian": normal_data(0.7, 0.3), "mixture": example_2_1()}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
EPS = np.linspace(-2.5, 2.5, 7)


def sampled(q, steps, t=FLOW.t_max):
    """DDIM from the points of the paths of EPS at t_max.  Its chain has the variance-preserving form."""
    model, method = Reflow(StraightVelocity(q), FLOW, "velocity"), SimpleNamespace(restores=False, name="reflow")
    run = SimpleNamespace(model=model, state=SimpleNamespace(ema={}), config={}, method=method)
    x = np.array([(1 - t) * q(e) + t * e for e in EPS])[:, None] / np.hypot(1 - t, t)
    how = {"sampler": "ddim", "seed": 0, "steps": steps, "eta": 0.0, "clip": "none"}
    return final_sample(trajectory(run, ops, np.arange(len(EPS)), start=x, **how))[:, 0]


@every_law
def test_one_step_after_reflow_is_the_quantile_map(law):
    found = sampled(increasing(law), 1)
    share = np.sqrt(law.full[:, 0, 0])
    cdf = (law.weights * norm.cdf((found[:, None] - law.means[:, 0]) / share)).sum(axis=1)
    assert_close(cdf, norm.cdf(EPS), STRAIGHT, 1.0)
    assert_close(found, np.array([increasing(law)(e) for e in EPS]), STRAIGHT, 1 + np.abs(found))


@every_law
def test_paths_after_reflow_are_straight(law):
    q = increasing(law)
    one = sampled(q, 1)
    for steps in (2, 5):
        assert_close(sampled(q, steps), one, STRAIGHT, 1 + np.abs(one))


@every_law
def test_the_straight_velocity_has_loss_0_on_the_pairs(law):
    """The velocity is a function of x_t, so nothing of it is left to chance."""
    q = increasing(law)
    x0, t = np.array([q(e) for e in EPS])[:, None], np.linspace(0.05, 0.95, 7)
    prediction, _ = Reflow(StraightVelocity(q), FLOW, "velocity").predict({}, (1 - t)[:, None] * x0 + t[:, None] * EPS[:, None], t)
    assert_close(prediction, EPS[:, None] - x0, STRAIGHT, 1 + np.abs(x0))


def test_paths_before_reflow_are_curved():
    """With the velocity of N(0.7, 0.3) drawn apart from the noise, one step gives the mean almost without deviation."""
    law = LAWS["gaussian"]
    denoise = lambda x, t: law.posterior_mean(np.array([[x]]), 1 - t, t)[0, 0]
    ends = np.array([denoise(e, FLOW.t_max) for e in EPS])
    assert np.ptp(ends) < 0.01 * np.ptp(sampled(increasing(law), 1))


def test_the_quantile_map_increases():
    q = increasing(LAWS["mixture"])
    assert (np.diff([q(e) for e in np.linspace(-4, 4, 101)]) > QUADRATURE).all()
