"""Progressive distillation: one step of the student is two of its teacher."""

from dataclasses import replace

import numpy as np
import pytest

from reference import ops
from reference.diffusion.conversions import conversion, convert
from reference.diffusion.forward_process import forward
from reference.diffusion.schedules import SCHEDULES, Schedule, zero_terminal_snr
from reference.distillation.progressive import ProgressiveStudent, halvings
from reference.networks.mlp import MLP
from reference.samplers import final_sample
from reference.samplers.ddim import ddim
from reference.sde.flow import Flow
from reference.sde.sde import VE, VP
from tests.example_networks import numbers, random_parameters
from tests.linear_networks import Gains
from tests.oracle_tolerances import EXACT, LINEAR_SAMPLER, assert_close, z_score
from tests.reference.test_networks import gradient_of_all
from tests.tolerances import NETWORK_STEPS, derivative

STEPS, VARIANCE = 4, 0.4
EXAMPLES = {
    "cosine": SCHEDULES["cosine"](40),
    "zero terminal SNR": zero_terminal_snr(SCHEDULES["linear"](40)),
    "vp": VP(),
    "ve": VE(sigma_min=0.01, sigma_max=20.0),
    "flow": Flow(),
}
every_schedule = pytest.mark.parametrize("schedule", EXAMPLES.values(), ids=EXAMPLES)
every_prediction = pytest.mark.parametrize("prediction", ["v", "x0", "velocity", "F"])


def student_of(schedule, prediction="v", steps=STEPS, labels=0):
    """(student with a teacher of random weights, other random weights of the student)."""
    network = MLP((2,), width=6, depth=2, embedding=4, classes=labels)
    teacher = random_parameters(network)
    params = {name: array + 0.1 * numbers([9, k], *array.shape) for k, (name, array) in enumerate(teacher.items())}
    return ProgressiveStudent(network, schedule, prediction, VARIANCE, steps=steps, teacher=teacher), params


def times_of(student):
    """t, t_half and t_prev of all steps, each [steps]."""
    grid = np.array(student.schedule.timesteps(2 * student.steps))
    return grid[:-2:2], grid[1:-1:2], grid[2::2]


def ddim_step(schedule, x0, z, t, t_next):
    """The step as in the paper: the estimate and its noise, at the next level."""
    eps = (z - schedule.signal(t) * x0) / schedule.noise_scale(t)
    return schedule.signal(t_next) * x0 + schedule.noise_scale(t_next) * eps


def estimate(student, params, z, t):
    """x_0 by the network, for one time."""
    prediction = student.predictor(params)(z, t)
    return convert(prediction, z, student.sampled_prediction, "x0", student.schedule.signal(t), student.schedule.noise_scale(t))


# the target


@every_schedule
@every_prediction
def test_one_step_with_the_target_is_two_steps_of_the_teacher(schedule, prediction):
    student, _ = student_of(schedule, prediction)
    times, z = times_of(student), numbers(1, STEPS, 2)
    target = student.target_of(z, *times)
    for i, (t, t_half, t_prev) in enumerate(zip(*times)):
        one = z[i : i + 1]
        half = ddim_step(schedule, first := estimate(student, student.teacher, one, t), one, t, t_half)
        prev = ddim_step(schedule, second := estimate(student, student.teacher, half, t_half), half, t_half, t_prev)
        size = sum(np.abs(x).max() for x in (one, half, first, second))
        assert_close(ddim_step(schedule, target[i : i + 1], one, t, t_prev), prev, LINEAR_SAMPLER, size)
        if isinstance(schedule, Schedule):
            grid, sample = [int(t), int(t_half), int(t_prev)], np.arange(1)
            how = {"prediction": student.sampled_prediction}
            twice = final_sample(ddim(student.predictor(student.teacher), schedule, grid, one, 0, sample, **how))
            once = final_sample(ddim(lambda x, t, i=i: target[i : i + 1], schedule, grid[::2], one, 0, sample, prediction="x0"))
            assert_close(once, twice, LINEAR_SAMPLER, size)


@every_schedule
def test_the_target_of_the_last_step_is_the_teachers_x0_at_half(schedule):
    student, _ = student_of(schedule)
    t, t_half, t_prev = (times[-1:] for times in times_of(student))
    assert t_prev == 0
    z = numbers(2, 1, 2)
    half = ddim_step(schedule, estimate(student, student.teacher, z, t[0]), z, t[0], t_half[0])
    assert_close(student.target_of(z, t, t_half, t_prev), estimate(student, student.teacher, half, t_half[0]), LINEAR_SAMPLER, 10.0)


def test_t_half_and_t_prev_exchanged_would_give_another_target():
    student, _ = student_of(EXAMPLES["cosine"])
    t, t_half, t_prev = (times[:-1] for times in times_of(student))
    z = numbers(3, STEPS - 1, 2)
    right, wrong = student.target_of(z, t, t_half, t_prev), student.target_of(z, t, t_prev, t_half)
    assert (np.abs(right - wrong).max(axis=1) > 0.01).all()


def test_labels_reach_the_teacher_in_the_loss():
    student, params = student_of(EXAMPLES["cosine"], "x0", labels=3)
    times, x0, noise, labels = times_of(student), numbers(4, STEPS, 2), numbers(5, STEPS, 2), np.array([1, 2, 1, 2])
    z = forward(student.schedule, x0, times[0], noise)
    output, _ = student.predict(params, z, times[0], labels)
    snr = (student.schedule.signal(times[0]) / student.schedule.noise_scale(times[0])) ** 2
    expected = np.maximum(snr, 1) * ((output - student.target_of(z, *times, labels)) ** 2).mean(axis=1)
    assert_close(student.loss(params, x0, *times, noise, labels)[1], expected, LINEAR_SAMPLER)


def test_labels_reach_the_teacher_and_the_student():
    student, params = student_of(EXAMPLES["cosine"], labels=3)
    times, z, labels = times_of(student), numbers(4, STEPS, 2), np.array([0, 1, 2, 0])
    assert (student.target_of(z, *times, labels) != student.target_of(z, *times, labels[::-1])).any(axis=1)[:-1].any()
    noise = numbers(5, STEPS, 2)
    value = lambda p: student.loss(p, z, *times, noise, labels)[0]
    _, per_sample, gradients = student.loss(params, z, *times, noise, labels)
    gradient_of_all(value, params, gradients, 10 * per_sample.max() + 10)


# Gaussian data: a student that is one gain for each time


def gaussian_gain(schedule, t, t_next):
    """The gain of DDIM's step with the exact E[x_0 | x] for N(0, VARIANCE)."""
    (alpha, sigma), (alpha_next, sigma_next) = ((schedule.signal(s), schedule.noise_scale(s)) for s in (t, t_next))
    return (alpha_next * alpha * VARIANCE + sigma_next * sigma) / (alpha**2 * VARIANCE + sigma**2)


def gain_for(student, x0_gain, t):
    """The network's gain with which the estimate of x_0 is ``x0_gain`` z."""
    level = student.schedule.signal(t), student.schedule.noise_scale(t)
    a, b = conversion("x0", student.prediction, *level, VARIANCE)
    return (a + b * x0_gain) / student.input_scale(level[0] ** 2, level[1] ** 2)


@every_schedule
@every_prediction
def test_on_gaussian_data_the_best_gain_is_the_product_of_two_and_the_loss_zero(schedule, prediction):
    grid = schedule.timesteps(2 * STEPS)[:-1]
    student = ProgressiveStudent(Gains(tuple(schedule.network_time(t) for t in grid)), schedule, prediction, VARIANCE, steps=STEPS)
    posterior_gain = lambda t: gaussian_gain(schedule, t, 0 * t)  # DDIM to t = 0 gives E[x_0 | x]
    teacher = {"gain": np.array([gain_for(student, posterior_gain(t), t) for t in grid])}
    student = replace(student, teacher=teacher)
    params = {"gain": teacher["gain"].copy()}
    times = times_of(student)
    for k, (t, t_half, t_prev) in enumerate(zip(*times)):
        product = gaussian_gain(schedule, t, t_half) * gaussian_gain(schedule, t_half, t_prev)
        (alpha, sigma), (alpha_prev, sigma_prev) = ((schedule.signal(s), schedule.noise_scale(s)) for s in (t, t_prev))
        # z_prev = alpha_prev x + sigma_prev (z - alpha x) / sigma, solved for x
        x0_gain = (sigma * product - sigma_prev) / (sigma * alpha_prev - sigma_prev * alpha)
        params["gain"][2 * k] = gain_for(student, x0_gain, t)
    x0, noise = numbers(6, STEPS, 1), numbers(7, STEPS, 1)
    _, per_sample, _ = student.loss(params, x0, *times, noise)
    z = forward(schedule, x0, times[0], noise)
    weight = np.maximum((schedule.signal(times[0]) / schedule.noise_scale(times[0])) ** 2, 1)
    assert_close(
        per_sample, np.zeros(STEPS), LINEAR_SAMPLER**2, weight * ((1 + np.abs(z[:, 0])) / np.abs(schedule.noise_scale(times[0]))) ** 2
    )
    _, at_teacher, _ = student.loss(teacher, x0, *times, noise)
    assert (at_teacher > 1e-9 * z[:, 0] ** 2).all()  # the teacher itself, with half as many steps, is no optimum


# the loss


@every_schedule
@every_prediction
def test_the_loss_is_the_larger_of_the_squared_errors_of_x0_and_noise(schedule, prediction):
    student, params = student_of(schedule, prediction)
    times, x0, noise = times_of(student), numbers(1, STEPS, 2), numbers(2, STEPS, 2)
    mean, per_sample, _ = student.loss(params, x0, *times, noise)
    z = forward(schedule, x0, times[0], noise)
    target, expected = student.target_of(z, *times), []
    for i, t in enumerate(times[0]):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        x, wanted = estimate(student, params, z[i : i + 1], t)[0], target[i]
        eps, wanted_eps = ((z[i] - alpha * each) / sigma for each in (x, wanted))
        expected.append(max(((x - wanted) ** 2).mean(), ((eps - wanted_eps) ** 2).mean()))
    assert_close(per_sample, np.array(expected), LINEAR_SAMPLER, np.array(expected) + 10)
    assert_close(mean, per_sample.mean(), EXACT)


@every_prediction
@pytest.mark.parametrize("name", ["zero terminal SNR", "flow"])
def test_the_gradient_is_that_of_the_loss_with_the_target_held_fixed(name, prediction):
    student, params = student_of(EXAMPLES[name], prediction)
    times, x0, noise = times_of(student), numbers(1, STEPS, 2), numbers(2, STEPS, 2)
    loss = lambda p: student.loss(p, x0, *times, noise)
    mean, _, gradients = loss(params)
    gradient_of_all(lambda p: loss(p)[0], params, gradients, 100 * mean + 10)


def test_no_gradient_flows_through_the_target():
    """A student that is its own teacher: the derivative of the loss with a teacher that moves along is another number."""
    student, params = student_of(EXAMPLES["cosine"])
    times, x0, noise = times_of(student), numbers(1, STEPS, 2), numbers(2, STEPS, 2)
    student = replace(student, teacher=params)
    gradients = student.loss(params, x0, *times, noise)[2]
    directions = {name: numbers([3, k], *array.shape) for k, (name, array) in enumerate(params.items())}
    moved = lambda h: {name: array + h * directions[name] for name, array in params.items()}
    analytic = sum((gradients[name] * directions[name]).sum() for name in params)
    stopped, error = derivative(lambda h: student.loss(moved(h), x0, *times, noise)[0], 10.0, NETWORK_STEPS)
    through, _ = derivative(lambda h: replace(student, teacher=moved(h)).loss(moved(h), x0, *times, noise)[0], 10.0, NETWORK_STEPS)
    assert abs(analytic - stopped) <= error
    assert abs(analytic - through) > 1e3 * error


# times


@every_schedule
def test_training_takes_all_steps_of_the_student_equally_often(schedule):
    student, n = student_of(schedule)[0], 4000
    t, t_half, t_prev, noise = student.sample_training_noise(1, np.arange(n), 3, (2,), np.float32)
    grid = schedule.timesteps(2 * STEPS)
    assert noise.shape == (n, 2) and {*zip(t, t_half, t_prev)} == {*zip(grid[:-2:2], grid[1:-1:2], grid[2::2])}
    assert_close(np.array(sorted({*t}, reverse=True)), np.array(schedule.timesteps(STEPS)[:-1]), EXACT)
    _, counts = np.unique(t, return_counts=True)
    assert (np.abs(counts - n / STEPS) <= z_score(STEPS) * (n / STEPS * (1 - 1 / STEPS)) ** 0.5).all()


@pytest.mark.parametrize(
    "teacher_steps, steps, found", [(64, 4, [32, 16, 8, 4]), (2, 1, [1]), (96, 3, [48, 24, 12, 6, 3]), (6, 3, [3]), (1024, 512, [512])]
)
def test_halvings(teacher_steps, steps, found):
    assert halvings(teacher_steps, steps) == found


@pytest.mark.parametrize("teacher_steps, steps", [(64, 3), (64, 64), (4, 8), (6, 2), (1, 1), (1, 0), (0, 0), (8, 0), (8, -1), (-8, -4)])
def test_steps_to_which_no_halving_leads_are_refused(teacher_steps, steps):
    with pytest.raises(ValueError, match=f"halving {teacher_steps} steps does not lead to {steps}: teacher-steps must be"):
        halvings(teacher_steps, steps)


def test_students_that_can_not_work_are_refused():
    network, schedule = MLP((2,), width=4, depth=1, embedding=2), EXAMPLES["cosine"]
    with pytest.raises(ValueError, match="predicts noise can't sample in one step"):
        ProgressiveStudent(network, SCHEDULES["linear"](40), "noise")
    with pytest.raises(ValueError, match="no learned variances"):
        ProgressiveStudent(replace(network, outputs=2), schedule, "v")
    with pytest.raises(ValueError, match="at most the number of times, and the schedule has 40, got 42"):
        ProgressiveStudent(network, schedule, "v", steps=21)
    with pytest.raises(ValueError, match="at most the number of times"):
        ProgressiveStudent(network, Flow(min_noise_ratio=0.1), "v", steps=6)
    assert ProgressiveStudent(network, Flow(min_noise_ratio=0.1), "v", steps=5).steps == 5
    with pytest.raises(ValueError, match="predicts the end of its step, not E"):
        ProgressiveStudent(network, schedule, "v").score_function({})


def test_a_student_samples_by_the_same_function_that_it_was_trained_with():
    """``x0_function``, at any scale of x, and ``to_x0`` of the loss."""
    student, params = student_of(EXAMPLES["vp"], "F")
    (t, *_), z = times_of(student), numbers(1, STEPS, 2)
    trained, _ = student.to_x0(student.predict(params, z, t)[0], z, t)
    for i, time in enumerate(t):
        alpha, sigma = student.schedule.marginal(time)
        assert_close(student.x0_function(params, ops=ops)(z[i : i + 1] / alpha, 1.0, sigma / alpha)[0], trained[i], LINEAR_SAMPLER, 10.0)
