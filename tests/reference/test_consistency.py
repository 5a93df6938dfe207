"""Consistency models: their boundary, coefficients, levels, loss, optimum on Gaussian data and sampler."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from reference import ops
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import SCHEDULES, VarianceExplodingSchedule
from reference.distillation.consistency import ConsistencyModel
from reference.distillation.exact import consistency_floors, consistency_gains, heun_gain
from reference.networks.mlp import MLP
from reference.samplers import final_sample
from reference.samplers.ddim import ddim
from reference.samplers.edm import edm, sigmas
from reference.sde.flow import Flow
from reference.sde.sde import VE, VP
from tests.example_networks import numbers, random_parameters
from tests.linear_networks import Gains, gaussian_batch, newton_step
from tests.oracle_tolerances import EXACT, LINEAR_SAMPLER, NETWORK_TIME, assert_close, assert_printed, ks_distance, z_score
from tests.reference.test_networks import gradient_of_all
from tests.tolerances import NETWORK_STEPS, derivative

VARIANCE = 0.25
WIDE = VE(sigma_min=0.002, sigma_max=80.0, min_noise_ratio=0.002)
EXAMPLES = {"cosine": SCHEDULES["cosine"](1000), "vp": VP(), "ve": WIDE, "flow": Flow()}
every_schedule = pytest.mark.parametrize("schedule", EXAMPLES.values(), ids=EXAMPLES)
every_prediction = pytest.mark.parametrize("prediction", ["v", "velocity", "F"])
NETWORK = MLP((2,), width=6, depth=2, embedding=4)


def model_of(schedule=WIDE, prediction="F", network=NETWORK, **own):
    return ConsistencyModel(network, schedule, prediction, VARIANCE, **own)


def parameters(seed=0, network=NETWORK):
    return {name: array + 0.1 * numbers([seed, k], *array.shape) for k, (name, array) in enumerate(random_parameters(network).items())}


def draws(model, t, r, seed=1):
    """The arguments of the loss after the parameters."""
    y, noise = VARIANCE**0.5 * numbers(seed, len(t), 2), numbers(seed + 1, len(t), 2)
    return y, t, r, model.coefficients(t), model.coefficients(r), noise


# Six pairs of levels: two ends of paths, and neighbours of any size.
T = np.array([0.05, 0.3, 0.9, 4.0, 25.0, 45.0])
R = np.array([0.0, 0.2, 0.0, 3.9, 5.0, 44.0])


# f


@every_schedule
@every_prediction
def test_f_at_noise_0_is_x(schedule, prediction):
    model, x = model_of(schedule, prediction), numbers(1, 3, 2)
    f, slope, _ = model.evaluate(parameters(), x, model.coefficients(np.zeros(3)))
    np.testing.assert_array_equal(f, x)
    assert not slope.any()


@every_schedule
def test_for_F_the_coefficients_are_those_of_edm_at_any_schedule(schedule):
    t = np.geomspace(*schedule.noise_range(VARIANCE), 9)
    c_in, c_skip, c_out, _ = model_of(schedule).coefficients(t).T
    power, sd = t**2 + VARIANCE, VARIANCE**0.5
    assert_close(c_in, 1 / np.sqrt(power), LINEAR_SAMPLER)
    assert_close(c_skip, sd**2 / power, LINEAR_SAMPLER, 1.0)
    assert_close(c_out, t * sd / np.sqrt(power), LINEAR_SAMPLER)


@every_schedule
@every_prediction
def test_f_is_continuous_at_noise_0(schedule, prediction):
    """The coefficients of x and of the output tend to 1 and to 0, like t at least."""
    low = schedule.noise_range(VARIANCE)[0]
    _, a, b, _ = model_of(schedule, prediction).coefficients(np.array([low]))[0]
    assert abs(a - 1) <= 2 * low and abs(b) <= 2 * low


@every_schedule
@every_prediction
def test_f_is_the_posterior_mean_of_the_denoiser_that_it_begins_as(schedule, prediction):
    model, params = model_of(schedule, prediction), parameters()
    denoiser = Denoiser(NETWORK, schedule, prediction, VARIANCE).posterior_mean_function(params)
    f = model.consistency_function(params, ops=ops)
    low, high = schedule.noise_range(VARIANCE)
    for t in np.geomspace(low, min(high, 300.0), 5):
        x = (VARIANCE + t**2) ** 0.5 * numbers(3, 4, 2)
        trained, _, _ = model.evaluate(params, x, model.coefficients(np.full(4, t)))
        assert_close(f(x, t), denoiser(x, 1.0, t), EXACT, np.abs(x).max() + 10)
        assert_close(trained, denoiser(x, 1.0, t), NETWORK_TIME, np.abs(x).max() + 10)  # 1000 times in [0, 1000]


def test_a_consistency_model_has_no_score():
    for name in ("posterior_mean_function", "score_function", "score_and_pullback", "posterior_mean_and_pullback"):
        with pytest.raises(ValueError, match="predicts the end of a path, not E"):
            getattr(model_of(), name)({})


# levels


def test_ln_t_has_mean_minus_1_1_and_deviation_2_within_the_range():
    model, n = model_of(), 50_000
    t, _ = model.sample_levels(5, np.arange(n), 1)
    low, high = WIDE.noise_range(VARIANCE)
    law = stats.norm(-1.1, 2.0)
    assert t.min() == low and t.max() == high
    s = np.sort(np.log(t))
    inside = (s > np.log(low)) & (s < np.log(high))
    below = np.arange(1, n + 1)[inside] / n
    rate = ks_distance(n)
    assert np.abs(below - law.cdf(s[inside])).max() <= rate + 1 / n
    assert abs((t == low).mean() - law.cdf(np.log(low))) <= rate and abs((t == high).mean() - law.sf(np.log(high))) <= rate


@pytest.mark.parametrize("step, stage", [(1, 0), (7, 0), (8, 1), (14, 1), (15, 2), (71, 10)])
def test_r_approaches_t_from_stage_to_stage(step, stage):
    t, r = model_of(stage_steps=7).sample_levels(6, np.arange(500), step)
    expected = t * (1 - (1 + 8 * expit(-t)) / 2 ** (stage + 1))
    low = WIDE.noise_range(VARIANCE)[0]
    sure = np.abs(expected - low) > 1e-9
    assert_close(r[sure], np.where(expected < low, 0, expected)[sure], EXACT, t[sure])
    assert (r >= 0).all() and (r < t).all() and not ((r > 0) & (r < low)).any()
    assert (r == 0).any() == (stage < 3 or (expected < low).any())


def test_fixed_levels_are_neighbours_and_equally_frequent():
    model, n, count = model_of(levels=5), 5000, 5
    t, r = model.sample_levels(7, np.arange(n), 1)
    grid = sigmas(5, *WIDE.noise_range(VARIANCE))
    assert {*zip(t, r)} == {*pairwise(grid)}
    _, counts = np.unique(t, return_counts=True)
    assert (np.abs(counts - n / count) <= z_score(count) * (n / count * (1 - 1 / count)) ** 0.5).all()


def test_training_noise_holds_both_levels_their_coefficients_and_one_noise():
    model = model_of()
    t, r, at_t, at_r, noise = model.sample_training_noise(1, np.arange(6), 3, (2,), np.float32)
    np.testing.assert_array_equal(at_t, model.coefficients(t))
    np.testing.assert_array_equal(at_r, model.coefficients(r))
    np.testing.assert_array_equal([t, r], model.sample_levels(1, np.arange(6), 3))
    assert noise.shape == (6, 2) and noise.dtype == np.float32


# the loss

OBJECTIVES = pytest.mark.parametrize("objective", ["squared", "pseudo-huber"])
TARGETS = pytest.mark.parametrize("taught, solver", [(False, "heun"), (True, "euler"), (True, "heun")], ids=["training", "euler", "heun"])


def with_fixed_target(model, params, arguments):
    """The model with the target of these parameters, whatever parameters its loss gets."""
    y, t, r, at_t, at_r, noise = arguments
    target = model.target_of(params, y + t[:, None] * noise, y, t, r, at_t, at_r, noise)

    class Fixed(ConsistencyModel):
        def target_of(self, *rest):
            return target

    return Fixed(**vars(model)), target


@OBJECTIVES
@TARGETS
def test_the_loss_is_its_formula(objective, taught, solver):
    model = model_of(objective=objective, teacher=parameters(4) if taught else None, solver=solver)
    params, arguments = parameters(), draws(model_of(), T, R)
    y, t, _, at_t, _, noise = arguments
    _, target = with_fixed_target(model, params, arguments)
    mean, per_sample, _ = model.loss(params, *arguments)
    difference = model.evaluate(params, y + t[:, None] * noise, at_t)[0] - target
    squares = (difference**2).mean(axis=1)
    c = 0.00054
    expected = (squares if objective == "squared" else np.sqrt(squares + c**2) - c) / (T - R)
    assert_close(per_sample, expected, LINEAR_SAMPLER)
    assert_close(mean, expected.mean(), LINEAR_SAMPLER)


@every_prediction
@OBJECTIVES
@TARGETS
def test_the_gradient_is_that_of_the_loss_with_the_target_held_fixed(prediction, objective, taught, solver):
    schedule = EXAMPLES["cosine"]
    model = model_of(schedule, prediction, objective=objective, teacher=parameters(4) if taught else None, solver=solver)
    params, arguments = parameters(), draws(model_of(schedule), T, R)
    mean, _, gradients = model.loss(params, *arguments)
    fixed, _ = with_fixed_target(model, params, arguments)
    gradient_of_all(lambda p: fixed.loss(p, *arguments)[0], params, gradients, 100 * mean + 10)


@OBJECTIVES
def test_no_gradient_flows_through_the_target(objective):
    """The derivative of the loss whose target moves along with the parameters is another number."""
    model, params = model_of(objective=objective), parameters()
    arguments = draws(model, T, R)
    gradients = model.loss(params, *arguments)[2]
    fixed, _ = with_fixed_target(model, params, arguments)
    directions = {name: numbers([3, k], *array.shape) for k, (name, array) in enumerate(params.items())}
    along = lambda of: lambda h: of.loss({name: array + h * directions[name] for name, array in params.items()}, *arguments)[0]
    analytic = sum((gradients[name] * directions[name]).sum() for name in params)
    stopped, error = derivative(along(fixed), 10.0, NETWORK_STEPS)
    through, _ = derivative(along(model), 10.0, NETWORK_STEPS)
    assert abs(analytic - stopped) <= error
    assert abs(analytic - through) > 1e3 * error


class Recorder:
    """A network that records its inputs, and the gradients that it gets."""

    sample_shape, classes, outputs = (2,), 0, 1

    def __init__(self):
        self.inputs, self.gradients, self.labels = [], [], []

    def forward(self, params, x, c, ops=None, labels=None, keep=True):
        self.inputs.append(x)
        self.labels.append(labels)
        return params["w"] * x, x

    def backward(self, params, dy, saved, ops=None):
        self.gradients.append(dy)
        return params["w"] * dy, {"w": (dy * saved).sum()}


def test_both_passes_have_the_same_noise_and_labels():
    model, labels = model_of(network=Recorder()), np.arange(6)
    y, t, r, at_t, at_r, noise = draws(model, T, R)
    model.loss({"w": 0.3}, y, t, r, at_t, at_r, noise, labels)
    x_r, x_t = (x / at[:, :1] for x, at in zip(model.network.inputs, (at_r, at_t)))
    assert_close((x_t - y) / t[:, None], noise, LINEAR_SAMPLER, (np.abs(x_t) + 1) / t[:, None])
    assert_close((x_r - y), r[:, None] * noise, LINEAR_SAMPLER, np.abs(x_r) + 1)
    assert len(model.network.labels) == 2 and all(given is labels for given in model.network.labels)


@TARGETS
def test_labels_reach_the_teacher(taught, solver):
    model = model_of(network=Recorder(), teacher={"w": 0.2} if taught else None, solver=solver)
    model.loss({"w": 0.3}, *draws(model, T, R), labels=(labels := np.arange(6)))
    assert len(model.network.labels) == 2 + (1 + (solver == "heun")) * taught
    assert all(given is labels for given in model.network.labels)


def test_the_gradient_of_pseudo_huber_is_bounded_and_zero_without_a_difference():
    model = model_of(network=Recorder())
    zero = np.zeros((6, 2))
    _, t, r, at_t, at_r, _ = draws(model, T, R)
    mean, per_sample, gradients = model.loss({"w": 0.3}, zero, t, r, at_t, at_r, zero)
    assert mean == 0 and not per_sample.any() and gradients["w"] == 0
    y, noise = 1e3 * numbers(1, 6, 2), 1e3 * numbers(2, 6, 2)
    _, per_sample, _ = model.loss({"w": 0.3}, y, t, r, at_t, at_r, noise)
    root = per_sample * (t - r) + 0.00054
    norms = np.linalg.norm(model.network.gradients[-1] / at_t[:, 2:3], axis=1)
    bound = 1 / (t - r) / 6 / 2**0.5  # |d rho / d f| <= 1 / sqrt(d) for d entries
    assert_close(norms, bound * (1 - (0.00054 / root) ** 2) ** 0.5, LINEAR_SAMPLER)
    assert (norms <= bound * (1 + EXACT)).all()


def test_small_differences_have_half_the_squared_loss_over_c():
    """sqrt(s + c^2) - c = s / (2 c) - .., with an error of s / (4 c^2) of it."""
    y, t, r, at_t, at_r, noise = draws(model_of(), T, R)
    small = 1e-9
    losses = {}
    for objective in ("squared", "pseudo-huber"):
        model = model_of(network=Recorder(), objective=objective)
        losses[objective] = model.loss({"w": 0.3}, small * y, t, r, at_t, at_r, small * noise)[1]
    # s is some 1e-16 beside c^2 of 3e-7: eight digits of c are lost in root - c
    assert_close(losses["pseudo-huber"], losses["squared"] / (2 * 0.00054), 1e-4, 1e-13 / (T - R) / 0.001 + losses["squared"] / 0.001)


# the teacher


@every_schedule
@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_the_teachers_step_is_that_of_edm_or_of_ddim(schedule, solver):
    teacher = parameters(4)
    model = model_of(schedule, teacher=teacher, solver=solver)
    D = Denoiser(NETWORK, schedule, "F", VARIANCE).posterior_mean_function(teacher)
    y, t, r, at_t, at_r, noise = draws(model, T, R)
    x = y + t[:, None] * noise
    student_at_r = lambda z, i: model.evaluate(parameters(), z, at_r[i : i + 1])[0]
    target = model.target_of(parameters(), x, y, t, r, at_t, at_r, noise)
    for i in range(len(t)):
        one = x[i : i + 1]
        if solver == "heun":
            grid = [t[i], r[i], 0.0] if r[i] else [t[i], 0.0]
            _, x_r, _ = next(edm(lambda z, sigma: D(z, 1.0, sigma), grid, one))
        else:
            table = VarianceExplodingSchedule(np.array([0.0, *log_alpha_bar_of_sigma(np.array([r[i] or t[i] / 2, t[i]]))]))
            predict = lambda z, n, i=i: D(z, 1.0, t[i])
            x_r = final_sample(ddim(predict, table, [2, 1 if r[i] else 0], one, 0, np.arange(1), prediction="x0"))
        assert_close(target[i : i + 1], student_at_r(x_r, i), NETWORK_TIME, 10 * np.abs(one).max() + 10)


# Gaussian data: a gain for each level


def trained(n, variance=VARIANCE, **own):
    """(levels from 0 on, gains of f at each after training to the optimum, least losses) with n levels."""
    model = model_of(levels=n, objective="squared", **{"schedule": WIDE} | own)
    grid = sigmas(n, *WIDE.noise_range(variance))[::-1]
    at = model.coefficients(grid)
    scale, a, b, times = at.T
    model = replace(model, network=Gains(tuple(times[1:])))
    y, noise = gaussian_batch(variance)
    exact = {"gain": ((variance / (variance + grid**2) - a) / np.where(b, b * scale, 1))[1:]}
    model = replace(model, teacher=exact if own.get("solver") else None)
    params, floors = {"gain": np.zeros(n)}, []
    for k in range(n):
        r, t, at_r, at_t = (np.repeat(row[None], 4, axis=0) for row in (*grid[k : k + 2], *at[k : k + 2]))
        loss = lambda p, rest=(t, r, at_t, at_r, noise): model.loss(p, y, *rest)
        params = newton_step(loss, params, k)
        floors.append(loss(params)[0] * (grid[k + 1] - grid[k]))
    gains = np.append(1.0, a[1:] + b[1:] * scale[1:] * params["gain"])
    return grid, gains, np.array(floors)


def test_the_optimum_of_training_is_ddim_with_its_floor():
    grid, gains, floors = trained(20)
    assert_close(gains, consistency_gains(VARIANCE, grid), LINEAR_SAMPLER)
    assert_close(floors, consistency_floors(VARIANCE, grid), LINEAR_SAMPLER, grid[1:] ** 2 * gains[:-1] ** 2 + 1)


def test_the_optimum_of_distillation_is_the_teachers_steps_without_a_floor():
    grid, gains, floors = trained(20, solver="euler")
    assert_close(gains, consistency_gains(VARIANCE, grid), LINEAR_SAMPLER)
    assert_close(floors, np.zeros(20), LINEAR_SAMPLER, grid[1:] ** 2 + 1)
    grid, gains, floors = trained(20, solver="heun")
    first = VARIANCE / (VARIANCE + grid[1] ** 2)  # the step to 0 is Euler's
    assert_close(gains[-1], first * heun_gain(VARIANCE, grid[1:]), LINEAR_SAMPLER)
    assert_close(floors, np.zeros(20), LINEAR_SAMPLER, grid[1:] ** 2 + 1)


PRINTED = {
    "training": [(10, ".7528"), (20, ".8676"), (80, ".9651"), (320, ".9912")],
    "heun": [(10, "1.1746"), (20, "1.0392"), (80, "1.0023"), (320, "1.0001")],
}


@pytest.mark.parametrize("kind, n, printed", [(kind, *row) for kind, rows in PRINTED.items() for row in rows])
def test_the_deviation_of_one_step_samples_is_the_printed_one(kind, n, printed):
    """Printed for n steps between n + 1 levels, the smallest of which is the end of the path."""
    _, gains, _ = trained(n + 1, **({} if kind == "training" else {"solver": kind}))
    assert_printed(gains[-1] / gains[1] * ((VARIANCE + 80.0**2) / (VARIANCE + 0.002**2)) ** 0.5, printed)


# bad input


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"prediction": "noise", "schedule": VP()}, "can't begin with a run that predicts noise"),
        ({"prediction": "x0"}, "can't begin with a run that predicts x0"),
        ({"levels": 1}, "levels must be 0 or at least 2 and stage-steps at least 1, got 1 and 1000"),
        ({"levels": -1}, "levels must be 0 or at least 2"),
        ({"stage_steps": 0}, "got 0 and 0"),
        ({"objective": "huber"}, "objective must be pseudo-huber or squared, got 'huber'"),
        ({"solver": "rk45"}, "solver must be euler or heun, got 'rk45'"),
        ({"network": replace(NETWORK, outputs=2)}, "no learned variances"),
        ({"schedule": SCHEDULES["cosine"](999)}, "needs all noise levels, and the schedule has 999"),
    ],
)
def test_models_that_can_not_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        model_of(**arguments)
