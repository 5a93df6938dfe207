"""Properties that all solvers of the reverse SDE share, and the solvers as the command ``sample`` runs them."""

from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.diffusion.mixtures import example_2_1
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.ops.random import Purpose
from reference.runs.solvers import OPTIONS, STEPS, fill_defaults, prior_sample, solve
from reference.runs.views import schedule_of
from reference.samplers import final_sample
from reference.samplers.dpm_solver import dpm_solver_plus_plus
from reference.samplers.edm import edm
from reference.samplers.sde import PREDICTORS, predictor_corrector
from reference.sde.sde import VP
from tests.call_counter import CallCounter
from tests.oracle_tolerances import SDE_FORMULA, U32, assert_close, ks_distance
from tests.oracles import SDE_EXAMPLES, ImpulsePort, moments
from tests.sde_examples import SAMPLE, SOLVERS, distribution, every_sde, every_solver, score_of


@every_sde
@every_solver
@pytest.mark.parametrize("reverse_noise", [0.5, 1.0, 2.0])
def test_reverse_family_keeps_gaussian_marginals_up_to_solver_order(sde, solver, reverse_noise):
    m, v = distribution(sde, sde.t_min)
    errors = []
    for n in (120, 240):
        grid = np.geomspace(sde.t_max, sde.t_min, n + 1)
        run = lambda x, port, grid=grid: solver(*sde.reverse(score_of(sde), reverse_noise), grid, x, 1, SAMPLE, ops=port)
        mean, variance = moments(run, n, *distribution(sde, sde.t_max))
        errors.append(abs(mean - m) / v**0.5 + abs(variance / v - 1))
    assert errors[0] < 0.5 and errors[1] < 0.65 * errors[0]


# The interface


def samplers(x, sample, score=lambda x, t: (0.5 - x) / (0.3 + t), steps=4, ops=ops):
    """Every solver of the reverse SDE, ready to run: (evaluations per step, states)."""
    sde, grid = SDE_EXAMPLES["vp"], np.linspace(1.3, 0.3, steps + 1)
    predict_noise = lambda x, t: -sde.noise_scale(t) * score(x, t)
    denoise = lambda x, sigma: x + sigma**2 * score(x, sigma)
    return {
        **{
            name: (2 if name == "stochastic-heun" else 1, s(*sde.reverse(score), grid, x, 6, sample, ops=ops))
            for name, s in SOLVERS.items()
        },
        **{f"{name}, corrected": (3, predictor_corrector(sde, score, grid, x, 6, sample, name, 2, ops=ops)) for name in PREDICTORS},
        "sde-dpm-solver++": (1, dpm_solver_plus_plus(sde, predict_noise, grid, x, 6, sample, 1.0, ops)),
        "edm, churned": (2, edm(denoise, grid, x, 6, sample, churn=1.0, ops=ops)),
    }


every_sampler = pytest.mark.parametrize("name", samplers(np.zeros((1, 1)), SAMPLE[:1]))


@every_sampler
def test_number_of_evaluations_per_step(name):
    score = CallCounter(lambda x, t: -x)
    evaluations, states = samplers(np.ones((3, 1)), SAMPLE, score)[name]
    final_sample(states)
    assert score.evaluations == 4 * evaluations


@every_sampler
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3, 1)])
def test_shape_and_dtype_are_kept_and_float32_equals_rounded_float64(name, shape):
    x = ops.normal(1, np.arange(5), 0, Purpose.PRIOR, shape, np.float32)
    before = x.copy()
    _, states = samplers(x, np.arange(5))[name]
    _, exact = samplers(x.astype(np.float64), np.arange(5))[name]
    for (t, y, extra), (t64, y64, _) in zip(states, exact, strict=True):
        assert y.dtype == np.float32 and y64.dtype == np.float64 and y.shape == x.shape and extra is None and t == t64
        assert_close(y, y64, 4 * 3 * 16 * U32, 4 * (1 + np.abs(y64).max()))  # 4 steps of 3 stages; gains of at most 4
    assert np.array_equal(x, before)


@every_sampler
def test_a_sample_does_not_depend_on_its_batch(name):
    x, sample = ops.normal(1, np.arange(8), 0, Purpose.PRIOR, (2, 2)), np.arange(8)
    whole = final_sample(samplers(x, sample)[name][1])
    for i in range(8):
        assert np.array_equal(whole[i : i + 1], final_sample(samplers(x[i : i + 1], sample[i : i + 1])[name][1]))
    assert len(np.unique(whole)) == whole.size


@every_sampler
def test_every_step_has_its_own_noise_draw(name):
    draws = 4 * (3 if name.endswith("corrected") else 1)
    port = ImpulsePort(draws)
    final_sample(samplers(port.x, SAMPLE, ops=port)[name][1])
    assert len(port.keys) == draws
    steps = [step for _, step, purpose in port.keys if purpose == Purpose.STEP_NOISE]
    assert steps == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "call, message",
    [
        ({"predictor": "best"}, "predictor must be one of euler-maruyama, reverse-diffusion, ancestral, got 'best'"),
        ({"corrections": -1}, "corrections must not be negative, got -1"),
        ({"step": 0.0}, "step must be a positive number, got 0.0"),
        ({"step": float("nan")}, "step must be a positive number, got nan"),
        ({"grid": (0.5, 1.0, 0.2)}, "grid must hold two or more times, rising or falling strictly"),
        ({"grid": (1.5, 1.0)}, r"t must lie in \[0, 1\], the time of the SDE, got 1.5"),
    ],
)
def test_invalid_input_is_named_with_its_value(call, message):
    arguments = {"grid": (1.0, 0.5)} | call
    with pytest.raises(ValueError, match=message):
        list(predictor_corrector(VP(), lambda x, t: -x, x=np.ones((1, 1)), seed=1, sample=SAMPLE[:1], **arguments))


# All solvers as ``sample`` runs them, on the mixture of Ex 2.1 with its exact score


CASES = {name: (name, {}) for name in STEPS} | {"edm, churned": ("edm", {"churn": 10.0})}


@pytest.mark.parametrize("name, options", CASES.values(), ids=CASES)
def test_the_default_number_of_steps_samples_the_mixture(name, options):
    mixture, sde, count = example_2_1(), VP(), 1000
    variance = float(mixture.covariance[0, 0] + mixture.mean[0] ** 2)
    model = SimpleNamespace(schedule=sde, data_variance=variance, network=SimpleNamespace(sample_shape=(1,)))
    score = CallCounter(lambda x, alpha, sigma: mixture.noised(alpha, sigma).score(x))
    how = fill_defaults(name, **dict.fromkeys(OPTIONS[name]) | options)
    states = list(solve(SimpleNamespace(model=model), ops, np.arange(count), name, 1, score=score, **how))
    t, x, _ = states[-1]
    assert t == 0 and x.shape == (count, 1) and x.dtype == np.float32
    at, below = np.sort(mixture.cdf(x[:, 0])), np.arange(count)
    assert max(np.max((below + 1) / count - at), np.max(at - below / count)) <= ks_distance(count)
    cost = {
        "stochastic-heun": 2,
        "predictor-corrector": 2,
        "ode-midpoint": 2,
        "ode-heun": 2,
        "ode-rk4": 4,
        "dpm-solver-2": 2,
        "dpm-solver-3": 3,
    }
    if name == "edm":
        assert score.evaluations == 2 * STEPS[name] - 1
    elif STEPS[name]:
        assert score.evaluations == cost.get(name, 1) * STEPS[name] + 1  # one more for the mean of the last step


def run_of(sde, variance=0.6):
    """A stand-in for a trained run, with the exact denoiser of Gaussian data of mean 0."""
    mean = lambda x, alpha, sigma: alpha * variance * x / (alpha**2 * variance + sigma**2)
    model = SimpleNamespace(
        schedule=sde, data_variance=variance, network=SimpleNamespace(sample_shape=(2,)), posterior_mean_function=lambda params, ops: mean
    )
    return SimpleNamespace(model=model, state=SimpleNamespace(ema={}))


@every_sde
def test_a_solver_starts_with_the_variance_of_data_at_the_end_time(sde):
    x = prior_sample(run_of(sde), SAMPLE, 4)
    scale = np.sqrt(sde.signal(sde.t_max) ** 2 * 0.6 + sde.noise_scale(sde.t_max) ** 2)
    assert x.dtype == np.float32
    assert_close(x, scale * ops.normal(4, SAMPLE, 0, Purpose.PRIOR, (2,), np.float32), 4 * U32)


@pytest.mark.parametrize("name", ["vp", "ve", "subvp", "flow"])
@pytest.mark.parametrize("steps", [1, 6, 900])
def test_chain_samplers_receive_the_posterior_mean_of_the_sde_at_even_times(name, steps):
    sde = SDE_EXAMPLES[name]
    chain, x0_of, _ = schedule_of(run_of(sde), ops, steps)
    first = sde.t_min if sde.t_min > sde.t_max / steps else sde.t_max / steps
    times = [first + k * (sde.t_max - first) / max(steps - 1, 1) for k in range(steps)] if steps > 1 else [sde.t_max]
    assert chain.T == steps and type(chain) is (VarianceExplodingSchedule if name == "ve" else Schedule)
    x = np.ones((3, 2))
    for t in (1, (steps + 1) // 2, steps):
        time = times[t - 1]
        alpha, sigma = chain.signal(t), chain.noise_scale(t)
        assert_close(sigma / alpha, sde.noise_scale(time) / sde.signal(time), SDE_FORMULA)
        assert_close(x0_of(x, t), alpha * 0.6 * x / (alpha**2 * 0.6 + sigma**2), SDE_FORMULA)
