"""Training: its random draws, its state, and identical results after a stop and resume."""

from copy import deepcopy

import numpy as np
import pytest

from reference.diffusion import training
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.mixtures import ring
from reference.diffusion.schedules import linear
from reference.networks import MLP
from tests.example_networks import SMALL, random_parameters
from tests.oracle_tolerances import EXACT32, accumulated, assert_close, z_score

DATA = ring().sample(5, np.arange(200))[0].astype(np.float32)
LABELS = np.zeros(200, np.int64)
DENOISER = Denoiser(MLP(size=(2,), width=16, depth=2, embedding=8), linear(50), "noise", float((DATA**2).mean()))


def run(settings, steps, state=None):
    state = state or training.init_state(DENOISER.network, settings.seed)
    return [(s.step, s.loss) for s in training.train(DENOISER, DATA, LABELS, settings, state, steps)], state


def bits(state):
    return {(part, name): a.tobytes() for part in ("params", "ema", "m", "v") for name, a in getattr(state, part).items()}


def test_training_yields_each_step_and_lowers_the_loss():
    steps, _ = run(training.Settings(batch=64, lr=3e-3), 200)
    assert [step for step, _ in steps] == list(range(1, 201))
    losses = [loss for _, loss in steps]
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])


def test_training_in_two_parts_equals_training_in_one():
    settings = training.Settings(batch=8)
    whole, at_once = run(settings, 10)
    first, state = run(settings, 4)
    second, state = run(settings, 10, state)
    assert first + second == whole and bits(state) == bits(at_once)


def test_a_copied_state_trains_like_the_original_without_changing_it():
    settings = training.Settings(batch=8)
    _, state = run(settings, 3)
    before, copied = bits(state), deepcopy(state)
    run(settings, 6, copied)
    assert bits(state) == before and bits(copied) == bits(run(settings, 6)[1])


def test_an_assigned_parameter_array_is_trained():
    settings = training.Settings(batch=8)
    state = training.init_state(DENOISER.network, 0)
    state.params["layers.2.b"] = np.ones_like(state.params["layers.2.b"])
    at_first = state.params["layers.2.b"].copy()
    run(settings, 1, state)
    assert (at_first == 1).all() and not (state.params["layers.2.b"] == 1).any()


def test_another_seed_trains_differently():
    assert bits(run(training.Settings(batch=8), 2)[1]) != bits(run(training.Settings(batch=8, seed=1), 2)[1])


def test_batches_draw_all_indices_and_times_and_no_others():
    seen_t, seen_i = set(), set()
    for step in range(1, 200):
        indices, t, noise = training.draw_batch(DENOISER, DATA, training.Settings(batch=32), step)
        seen_t |= set(t.tolist())
        seen_i |= set(indices.tolist())
        assert noise.shape == (32, 2) and noise.dtype == np.float32
    assert seen_t == set(range(1, 51))  # each of 50 times in 6,368 draws: one is missed with probability 50 e^{-127}
    assert seen_i == set(range(200))


def test_the_weight_average_never_includes_untrained_weights():
    """decay(1) = 0, and the weights of all steps sum to one: an average of equal values is that value."""
    average = np.array([123.0])
    for step in range(1, 500):
        decay = training.ema_decay(0.99, step)
        assert 0 <= decay <= 0.99
        average = decay * average + (1 - decay) * 1.0
    assert_close(average, np.ones(1), accumulated(500))
    assert training.ema_decay(0.99, 1) == 0


def test_the_first_average_is_the_first_parameters():
    _, state = run(training.Settings(batch=8), 1)
    for name, p in state.params.items():
        np.testing.assert_array_equal(state.ema[name], p)


def test_the_weight_average_is_a_mix_of_all_parameters_so_far():
    """After n steps the average is a mix of the n parameters so far, the last of them with weight 1 - decay."""
    settings, average = training.Settings(batch=8), None
    state = training.init_state(DENOISER.network, 0)
    for s in training.train(DENOISER, DATA, LABELS, settings, state, 5):
        p, decay = s.params["layers.0.w"].astype(np.float64), training.ema_decay(settings.ema, s.step)
        average = p if average is None else decay * average + (1 - decay) * p
        assert_close(s.ema["layers.0.w"], average, EXACT32, np.abs(p).max())


def test_a_training_step_is_adam_with_learning_rate_warm_up():
    from reference import ops

    settings, state = training.Settings(batch=8, lr=1e-2, warmup=4), training.init_state(DENOISER.network, 0)
    p, m, v = (state.params["layers.1.w"].copy() for _ in range(3))
    m[:], v[:] = 0, 0
    for step in range(1, 7):
        indices, t, noise = training.draw_batch(DENOISER, DATA, settings, step)
        _, _, gradients = DENOISER.loss(state.params, DATA[indices], t, noise)
        ops.adam_step_(p, gradients["layers.1.w"], m, v, step, 1e-2 * min(1, step / 4))
        next(training.train(DENOISER, DATA, LABELS, settings, state, step))
        np.testing.assert_array_equal(state.params["layers.1.w"], p)


def test_the_learning_rate_falls_to_0_in_each_stage():
    settings = training.Settings(lr=2.0, warmup=4, stage=10)
    rates = [settings.rate(settings.step_of_stage(step)) for step in range(1, 31)]
    expected = [2.0 * min(1, k / 4) * (11 - k) / 10 for k in range(1, 11)]
    assert_close(np.array(rates), np.array(3 * expected), accumulated(4))
    settings = training.Settings(lr=2.0, warmup=0)
    assert [settings.rate(settings.step_of_stage(step)) for step in (1, 2, 1000)] == [2.0] * 3


def test_adam_and_the_average_begin_anew_with_a_stage():
    settings = training.Settings(batch=8, ema=0.9, stage=6, warmup=3, lr=1e-3)
    _, state = run(settings, 6)
    assert (state.ema.flat != state.params.flat).any()
    before = state.params.flat.copy()
    run(settings, 7, state)
    # Adam's first step is lr g / (|g| + 1e-8), and the largest |g| is above 1e-4; parameters below 2 are rounded by u
    assert_close(np.abs(state.params.flat - before).max(), settings.rate(1), 1e-4 + 2 * EXACT32 / settings.rate(1))
    assert (state.ema.flat == state.params.flat).all()


def test_every_step_has_new_draws():
    one, two = (training.draw_batch(DENOISER, DATA, training.Settings(batch=32), step) for step in (1, 2))
    for first, second in zip(one, two):
        assert (first != second).mean() > 0.8  # of 32 times out of 50, more than 6 agree with probability 1e-6


def test_indices_and_times_of_a_batch_are_independent():
    draws = [training.draw_batch(DENOISER, DATA, training.Settings(batch=64), step)[:2] for step in range(1, 101)]
    indices, times = (np.concatenate(column).astype(float) for column in zip(*draws))
    assert abs(np.corrcoef(indices, times)[0, 1]) < z_score() / len(times) ** 0.5


def test_the_state_reports_the_norm_of_the_gradient():
    settings, state = training.Settings(batch=8), training.init_state(DENOISER.network, 0)
    indices, t, noise = training.draw_batch(DENOISER, DATA, settings, 1)
    _, _, gradients = DENOISER.loss(state.params, DATA[indices], t, noise)
    next(training.train(DENOISER, DATA, LABELS, settings, state, 1))
    assert_close(state.gradient_norm, sum((g.astype(np.float64) ** 2).sum() for g in gradients.values()) ** 0.5, EXACT32)


def test_a_step_trains_each_sample_with_its_own_label():
    denoiser, settings = Denoiser(SMALL, linear(50)), training.Settings(batch=8)
    data = np.random.default_rng(0).standard_normal((20, *SMALL.sample_shape)).astype(np.float32)
    labels = np.arange(20) % SMALL.classes
    params = {name: p.astype(np.float32) for name, p in random_parameters(SMALL).items()}
    indices, t, noise = training.draw_batch(denoiser, data, settings, 1)
    loss, _, _ = denoiser.loss(params, data[indices], t, noise, labels=labels[indices])
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    state = training.State(params, params, zeros, zeros)
    assert next(training.train(denoiser, data, labels, settings, state, 1)).loss == loss


def test_a_step_checks_its_loss_and_norm_before_the_state_changes():
    state, checked = training.init_state(DENOISER.network, 0), []
    before, check = bits(state), lambda *numbers: checked.append((*numbers, bits(state)))
    next(training.train(DENOISER, DATA, LABELS, training.Settings(batch=8), state, 1, check=check))
    assert checked == [(state.loss, state.gradient_norm, 1, before)] and bits(state) != before


def test_a_non_finite_gradient_stops_training():
    state = training.init_state(DENOISER.network, 0)
    state.params["layers.2.w"][:] = 1e30  # the output, and its square, overflow on the way back
    with pytest.raises(FloatingPointError, match="step 1"):
        next(training.train(DENOISER, DATA, LABELS, training.Settings(batch=8), state, 5))


def test_a_non_finite_loss_stops_training_and_names_the_step():
    data = DATA.copy()
    data[:] = np.inf
    state = training.init_state(DENOISER.network, 0)
    before = bits(state)
    with pytest.raises(FloatingPointError, match="step 1"), np.errstate(all="ignore"):
        next(training.train(DENOISER, data, LABELS, training.Settings(batch=8), state, 5))
    assert state.step == 0 and bits(state) == before


@pytest.mark.parametrize(
    "field, value", [("batch", 0), ("lr", 0.0), ("lr", float("nan")), ("lr", float("inf")), ("ema", 1.0), ("seed", -1), ("seed", 2**64)]
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        training.Settings(**{field: value})


@pytest.mark.parametrize(
    "name, value", [("batch", 1.5), ("batch", float("nan")), ("seed", -1), ("seed", 0.5), ("warmup", "many"), ("warmup", -1)]
)
def test_count_settings_must_be_whole_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from [01] on, got {value}"):
        training.Settings(**{name: value})
