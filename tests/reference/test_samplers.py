"""Properties that all samplers of a noise prediction share: draws, dtypes, batches, clipping, errors."""

from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.ddpm.ddpm import VARIANCES, posterior
from reference.diffusion.schedules import SCHEDULES, vp
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral, prior
from reference.samplers.ddim import ddim, ddim_invert
from tests.oracle_tolerances import EXACT, U32, assert_close
from tests.oracles import every_schedule, gaussian_noise, point_mass_noise


def samplers(schedule, grid, x, seed=3, sample=None, clip=None, predict_noise=None, port=ops):
    """Every sampler that takes a noise prediction, ready to run."""
    sample, predict_noise = np.arange(len(x)) if sample is None else sample, predict_noise or gaussian_noise(schedule)
    runs = {f"ancestral {v}": ancestral(predict_noise, schedule, grid, x, seed, sample, v, lambda t: 0.01, clip, port) for v in VARIANCES}
    return runs | {f"ddim {eta}": ddim(predict_noise, schedule, grid, x, seed, sample, eta, clip, port) for eta in (0.0, 0.5, 1.0)}


NAMES = list(samplers(vp(5), [5, 0], np.zeros((1, 1))))
every_sampler = pytest.mark.parametrize("sampler", NAMES)


# The end of a run


@every_sampler
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
@every_schedule
def test_the_last_step_returns_the_x0_estimate(sampler, steps, name):
    schedule = SCHEDULES[name](30)
    x = prior(0, np.arange(4), (2, 2, 1), np.float64)
    *_, (t, x, x0) = samplers(schedule, schedule.timesteps(steps), x)[sampler]
    assert t == 0 and (x == x0).all()


@every_sampler
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_samplers_of_a_point_mass_end_at_the_point(sampler, steps):
    schedule, target = vp(30), np.array([0.3, -0.9])
    x = prior(0, np.arange(4), (2,), np.float64)
    grid = schedule.timesteps(steps)
    for t, (_, _, x0) in zip(grid, samplers(schedule, grid, x, predict_noise=point_mass_noise(target, schedule))[sampler]):
        assert_close(x0, np.broadcast_to(target, (4, 2)), EXACT, 1 + 4 / schedule.signal(t))


def test_every_step_except_the_last_draws_noise():
    schedule, sample = vp(30), np.array([5, 9])
    for steps in (1, 2, 7):
        grid = schedule.timesteps(steps)
        for name in NAMES:
            seen = []

            def reverse_step(x, prediction, a, b, c, noise, seen=seen):
                seen.append((c, noise))
                return ops.reverse_step(x, prediction, a, b, c, noise)

            port = SimpleNamespace(reverse_step=reverse_step)
            final_sample(samplers(schedule, grid, np.zeros((2, 1)), 8, sample, port=port)[name])
            drawn = seen[1::2]  # every other call computes x_0
            assert len(drawn) == steps and drawn[-1] == (0, None)
            for step, (c, noise) in enumerate(drawn[:-1]):
                if name == "ddim 0.0":
                    assert (c, noise) == (0, None)
                else:
                    assert c > 0 and noise.sample is sample
                    assert (noise.seed, noise.step, noise.purpose) == (8, step, Purpose.STEP_NOISE)


# The interface


def runs_of(schedule, grid, predict_noise, x):
    return samplers(schedule, grid, x, predict_noise=predict_noise) | {"invert": ddim_invert(predict_noise, schedule, grid, x)}


@pytest.mark.parametrize("sampler", [*NAMES, "invert"])
@pytest.mark.parametrize("steps", [1, 3, 9, 27, 30])
def test_every_step_gives_one_state_and_costs_one_evaluation(sampler, steps):
    schedule, asked = vp(30), []
    grid, predict_noise = schedule.timesteps(steps), gaussian_noise(schedule)

    def counted(x, t):
        asked.append(t)
        return predict_noise(x, t)

    states = list(runs_of(schedule, grid, counted, np.ones((2, 3)))[sampler])
    assert len(asked) == len(states) == steps
    if sampler != "invert":
        assert [t for t, _, _ in states] == grid[1:] and asked == grid[:-1]
    for _, x, x0 in states:
        assert x.shape == x0.shape == (2, 3) and np.isfinite(x).all()


@pytest.mark.parametrize("sampler", [*NAMES, "invert"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_schedule
def test_samples_keep_the_dtype_of_their_start(sampler, dtype, name):
    schedule = SCHEDULES[name](20)
    x = prior(0, np.arange(3), (2, 2, 1), dtype)
    assert x.dtype == dtype
    for _, y, x0 in runs_of(schedule, schedule.timesteps(4), gaussian_noise(schedule), x)[sampler]:
        assert y.dtype == x0.dtype == dtype and y.shape == x.shape


@every_sampler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_do_not_depend_on_their_batch(sampler, dtype):
    schedule, sample = vp(50), np.array([3, 0, 7, 2**32 - 1, 5, 1, 2, 6])
    run = lambda indices: final_sample(samplers(schedule, schedule.timesteps(10), prior(1, indices, (3, 1), dtype), 1, indices)[sampler])
    together = run(sample)
    for i in range(8):
        assert (run(sample[i : i + 1])[0] == together[i]).all()
    assert len(np.unique(together)) == together.size


@pytest.mark.parametrize("sampler", [name for name in NAMES if name != "ddim 0.0"])
def test_another_seed_gives_other_samples(sampler):
    schedule, x = vp(50), np.ones((4, 1))
    one, same, other = (final_sample(samplers(schedule, schedule.timesteps(10), x, seed)[sampler]) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).all()


def test_the_deterministic_sampler_ignores_the_seed():
    schedule, x = vp(50), np.ones((4, 1))
    one, other = (final_sample(samplers(schedule, schedule.timesteps(10), x, seed)["ddim 0.0"]) for seed in (1, 2))
    assert (one == other).all()


def test_the_prior_draws_unit_normals_of_its_purpose():
    assert (prior(7, np.arange(5), (2, 3), np.float64) == ops.normal(7, np.arange(5), 0, Purpose.PRIOR, (2, 3))).all()


@every_sampler
def test_clipping_bounds_the_x0_estimate_and_uses_the_bounded_value(sampler):
    schedule, x = vp(50), 2 * prior(1, np.arange(20), (3,), np.float64)
    wild = lambda x, t: 0 * x  # its estimate of x_0 is x / signal
    grid = schedule.timesteps(10)
    free, held = (list(samplers(schedule, grid, x, predict_noise=wild, clip=clip)[sampler]) for clip in (None, 1.0))
    assert max(np.abs(x0).max() for _, _, x0 in held) == 1.0
    assert np.abs(free[0][2]).max() > 1.0
    assert (held[0][2] == free[0][2].clip(-1, 1)).all()
    if sampler.startswith("ancestral"):
        _, c_x0, _ = posterior(schedule, grid[0], grid[1])
        (_, x_free, guess), (_, x_held, clipped) = free[0], held[0]
        assert_close(x_free - x_held, c_x0 * (guess - clipped), EXACT, c_x0 * np.abs(guess) + 8)
    assert (held[-1][1] == held[-1][2]).all()


@every_sampler
def test_clipping_changes_nothing_while_the_x0_estimate_is_inside(sampler):
    schedule, x = vp(50), prior(1, np.arange(20), (3,), np.float64)
    free, held = (
        list(samplers(schedule, schedule.timesteps(10), x, predict_noise=point_mass_noise(0.5, schedule), clip=clip)[sampler])
        for clip in (None, 1.0)
    )
    for (_, one, _), (_, other, _) in zip(free, held):
        assert (one == other).all()


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_outside_the_unit_interval_is_refused(eta):
    schedule = vp(10)
    with pytest.raises(ValueError, match=f"eta must lie between 0 and 1, got {eta}"):
        final_sample(ddim(gaussian_noise(schedule), schedule, schedule.timesteps(5), np.ones((1, 1)), 0, np.arange(1), eta))


@pytest.mark.parametrize("variance, words", [("fixed", "variance must be one of posterior, beta, exact, got 'fixed'"), ("exact", "mmse")])
def test_unavailable_variances_are_refused(variance, words):
    schedule = vp(10)
    with pytest.raises(ValueError, match=words):
        final_sample(ancestral(gaussian_noise(schedule), schedule, schedule.timesteps(5), np.ones((1, 1)), 0, np.arange(1), variance))


def test_a_grid_that_does_not_decrease_is_refused():
    schedule = vp(10)
    for grid in ([5, 7, 0], [5, 5, 0], [11, 0], [0, 5, 10], [5], [5, -1]):
        for sampler in (ancestral, ddim):
            with pytest.raises(ValueError, match=r"grid must hold two or more times that fall strictly|t must be a whole number"):
                final_sample(sampler(gaussian_noise(schedule), schedule, grid, np.ones((1, 1)), 0, np.arange(1)))
        with pytest.raises(ValueError, match=r"grid must hold two or more times that fall strictly|t must be a whole number"):
            final_sample(ddim_invert(gaussian_noise(schedule), schedule, grid, np.ones((1, 1))))


def test_float32_and_float64_agree_after_200_steps():
    """Each of 200 steps adds a few roundings of x, and the steps for Gaussian data do not amplify them."""
    schedule, sample = vp(200), np.arange(50)
    grid, wide = schedule.timesteps(200), prior(3, sample, (4,), np.float64)
    runs = (ancestral(gaussian_noise(schedule), schedule, grid, wide.astype(dtype), 3, sample) for dtype in (np.float32, np.float64))
    for (_, one, _), (_, other, _) in zip(*runs):
        assert_close(one.astype(np.float64), other, 4 * 200 * U32, 4.0)
