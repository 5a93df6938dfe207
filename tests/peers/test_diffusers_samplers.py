"""Steps of our samplers against diffusers' DDPMScheduler, DDIMScheduler and DPMSolverMultistepScheduler, with the same noise.

The differences, and how these tests remove them.  "Theirs" is diffusers, "ours" is this project:

time          Their t = 0 .. T-1 is our t - 1.  Their tables have no entry for our time 0.
tables        They keep beta and alpha_bar in float32 and compute 1 - alpha_bar by subtraction: at t = 1 of the linear schedule it has
              three correct digits.  We keep log(alpha_bar) in float64.  Hence two comparisons: both with their table, within the error
              of float32; and, where their formulas work in float64, both with our table, within the error of float64.
other T       Their named schedules keep the first and last beta for any T; ours keep the curve.  They agree at T = 1000 (cosine: at all
              T).  An exported scheduler has our betas, as ``trained_betas``.
grid          Their default spacing is "leading", which begins below T.  "trailing" is ours except for rounding: theirs rounds T - iT/n
              to the nearest, ours rounds down.  These tests pass the times.
DDIM's stride Their previous time is t - T // n for any grid; ours is the next time of the grid.  In these tests the two are equal.
last step     With the defaults, ``set_alpha_to_one`` and "zero", theirs ends at alpha_bar = 1, as ours.  Their DPM-Solver ends there with
              x_0 itself (``final_sigmas_type="zero"``); ours ends at the grid's last time, t > 0: their "sigma_min" for t = 1.
              Where a grid skips times, their DDPM adds noise in the last step: none with "fixed_small", all of beta with "fixed_large".
              Ours adds none.  In these tests that noise is 0.
order         Their ``lower_order_final`` makes the last of fewer than 15 steps first order; ours are second order after the first.
clipping      Their DDPM clips x_0 by default, ours with ``clip``; DPM-Solver does not clip.  Their DDIM keeps the predicted noise
              unless ``use_clipped_model_output``; ours derives the noise from the clipped x_0.
variance      posterior: "fixed_small" and "fixed_small_log"; beta: "fixed_large"; learned: "learned_range", interpolated as logs.
              Not compared: their "fixed_large_log" takes the root of a logarithm, which is NaN; we lack "learned", the variance itself;
              they lack the exact variance.
dtype         Their DPM-Solver casts x to float32: no comparison in float64.
network       Theirs takes x and t unchanged; ours takes x scaled to unit variance and 1000 t / T.  The README of an export states this,
              and the last test runs the program in it.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.commands.cli import main
from reference.ddpm.ddpm import posterior
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import betas_of_log_alpha_bar, convert
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import Schedule, cosine, linear, scaled_linear, vp
from reference.networks import UNet
from reference.ops.random import Purpose
from reference.runs import diffusers_format
from reference.runs.run import open_run
from reference.runs.trajectory import trajectory
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.ddim import ddim
from reference.samplers.dpm_solver import dpm_solver_plus_plus
from tests.oracle_tolerances import (
    PEER_CHAIN,
    PEER_NETWORK,
    U32,
    U,
    assert_close,
    betas_table,
    lost_in_ratio,
    root_of_difference,
    sensitivity,
)
from tests.reference.test_diffusers_weights import random_parameters

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
theirs = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install -e '.[peers]'")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, with NumPy 2

SCHEDULES = {"linear": linear(), "scaled-linear": scaled_linear(), "cosine": cosine(), "vp": vp(), "linear, T = 50": linear(50)}
NAMED = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled-linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
PREDICTIONS = ("noise", "x0", "v")
TABLES = {"theirs": U32, "ours": U}  # the table of alpha_bar that both use, and its unit roundoff
every_schedule = pytest.mark.parametrize("name", SCHEDULES)
every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
every_table = pytest.mark.parametrize("table", TABLES)

SAMPLE = np.arange(3)
rng = np.random.default_rng(0)
X, OUTPUT, V = rng.standard_normal((3, 3, 1, 4, 4))
Z = ops.normal(5, SAMPLE, 0, Purpose.STEP_NOISE, X.shape[1:], np.float64)


def config(schedule, prediction="noise", learned=False):
    """The config of an exported scheduler."""
    model = LearnedVariance(UNet(outputs=2), schedule, prediction) if learned else Denoiser(UNet(), schedule, prediction)
    return diffusers_format.scheduler_config(model)


def shared_table(scheduler, schedule, table):
    """alpha_bar[0 .. T] of both.  Our table is passed to the scheduler in float64."""
    if table == "theirs":
        return np.concatenate(([1.0], scheduler.alphas_cumprod.numpy().astype(np.float64)))
    alpha_bar = schedule.signal_power(np.arange(schedule.T + 1))
    scheduler.alphas_cumprod = torch.tensor(alpha_bar[1:])
    return alpha_bar


def agree(ours, step, alpha_bar, unit, ends, slack=0.0):
    """``ours(schedule)``, from ends[0] to ends[-1], equals their result ``step`` within ``slack`` plus the effect of rounding the table."""
    of = lambda alpha_bar: ours(Schedule(np.log(alpha_bar)))
    cancelled = (alpha_bar[ends[-1]] / alpha_bar[ends[0]]) ** 0.5 * np.abs(X).max()
    error, bound = np.abs(step.numpy() - of(alpha_bar)).max(), sensitivity(of, alpha_bar, unit, cancelled) + slack
    assert error <= bound, f"{ends}: an error of {error:.3g} exceeds {bound:.3g}"


def predict_noise(schedule, t, prediction, output=OUTPUT):
    return convert(output, X, prediction, "noise", schedule.signal(t), schedule.noise_scale(t))


# tables


@every_schedule
def test_an_exported_schedulers_table_is_ours(name):
    schedule = SCHEDULES[name]
    scheduler = theirs.DDPMScheduler.from_config(config(schedule))
    assert scheduler.config.num_train_timesteps == len(scheduler) == schedule.T
    close_tables(scheduler, schedule)


@pytest.mark.parametrize("name", NAMED)
def test_their_named_schedules_are_ours(name):
    close_tables(theirs.DDPMScheduler(**NAMED[name]), SCHEDULES[name])


def test_at_another_T_they_keep_the_betas_and_we_the_curve():
    at_50 = {name: theirs.DDPMScheduler(num_train_timesteps=50, **NAMED[name]) for name in NAMED}
    close_tables(at_50["cosine"], cosine(50))
    for name, ours in (("linear", linear(50)), ("scaled-linear", scaled_linear(50))):
        assert at_50[name].alphas_cumprod[-1] > 0.5 and ours.signal_power(50) < 0.01


def close_tables(scheduler, schedule):
    betas = betas_of_log_alpha_bar(schedule.log_alpha_bar)
    error = np.abs(np.log(scheduler.alphas_cumprod.numpy().astype(np.float64)) - schedule.log_alpha_bar[1:])
    assert (error <= betas_table(betas, U32)).all()


def test_their_grids_of_a_divisor_of_T_are_ours():
    for n in (1, 10, 50, 1000):
        for scheduler in (theirs.DDPMScheduler, theirs.DDIMScheduler, theirs.DPMSolverMultistepScheduler):
            made = scheduler.from_config(config(linear()))
            made.set_timesteps(n)
            assert [*(made.timesteps.numpy() + 1), 0] == linear().timesteps(n)


# one step

VARIANCES = {
    "fixed_small": "posterior",
    "fixed_small_log": "posterior",
    "fixed_large": "beta",
    "learned_range": "learned",
}


@every_table
@every_prediction
@every_schedule
@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("clip", [None, 1.0])
def test_the_step_of_ddpm_is_theirs(name, variance, prediction, clip, table, monkeypatch):
    schedule, learned = SCHEDULES[name], variance == "learned_range"
    settings = config(schedule, prediction, learned)
    assert settings["variance_type"] in (variance, "fixed_small") and settings["clip_sample"] and settings["clip_sample_range"] == 1.0
    scheduler = theirs.DDPMScheduler.from_config(settings | {"variance_type": variance, "clip_sample": clip is not None})
    noise = {}
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *args, **kwargs: noise["z"])
    alpha_bar = shared_table(scheduler, schedule, table)
    for t, t_prev in steps(schedule.T):
        scheduler.set_timesteps(timesteps=[t - 1, t_prev - 1] if t_prev else [t - 1])
        noise["z"] = torch.tensor(Z if t_prev else 0 * Z)  # see "last step"
        output = torch.tensor(np.concatenate((OUTPUT, V), axis=1) if learned else OUTPUT)
        step = scheduler.step(output, t - 1, torch.tensor(X)).prev_sample

        def ours(schedule, t=t, t_prev=t_prev):
            predict = lambda x, t: (predict_noise(schedule, t, prediction), V) if learned else predict_noise(schedule, t, prediction)
            return final_sample(ancestral(predict, schedule, (t, t_prev), X, 5, SAMPLE, VARIANCES[variance], clip=clip))

        _, c_x0, _ = posterior(schedule, t, t_prev)
        x0 = clip or np.abs(convert(OUTPUT, X, prediction, "x0", schedule.signal(t), schedule.noise_scale(t))).max()
        slack = lost_in_ratio(schedule.beta(t, t_prev), TABLES[table]) * c_x0 * x0
        agree(ours, step, alpha_bar, TABLES[table], (t, t_prev), slack)


def steps(T):
    """Short and long steps from the noisy end, the middle and the clean end."""
    return (T, T - 1), (T, T // 2), (T // 2, T // 2 - 1), (T // 10, T // 50), (2, 1), (1, 0), (T // 10, 0), (T, 0)


@every_table
@every_prediction
@every_schedule
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_the_step_of_ddim_is_theirs(name, eta, prediction, clip, table):
    schedule = SCHEDULES[name]
    scheduler = theirs.DDIMScheduler.from_config(config(schedule, prediction) | {"clip_sample": clip is not None})
    alpha_bar = shared_table(scheduler, schedule, table)
    for t, t_prev in steps(schedule.T):
        n = schedule.T // (t - t_prev)
        if schedule.T // n != t - t_prev:
            continue  # a stride that they can't make
        scheduler.set_timesteps(n)
        more = {"variance_noise": torch.tensor(Z)} if eta else {}
        step = scheduler.step(torch.tensor(OUTPUT), t - 1, torch.tensor(X), eta, clip is not None, **more).prev_sample
        ours = lambda schedule, t=t, t_prev=t_prev: final_sample(
            ddim(lambda x, t: predict_noise(schedule, t, prediction), schedule, (t, t_prev), X, 5, SAMPLE, eta, clip)
        )
        _, _, variance = posterior(schedule, t, t_prev)
        root = max(schedule.noise_power(t_prev) - eta**2 * variance, 0.0) ** 0.5
        slack = root_of_difference(root, TABLES[table]) * np.abs(predict_noise(schedule, t, prediction)).max() if t_prev else 0.0
        agree(ours, step, alpha_bar, TABLES[table], (t, t_prev), slack)


@pytest.mark.parametrize("reverse_noise", [0.0, 1.0])
@pytest.mark.parametrize("final", ["sigma_min", "zero"])
@every_prediction
@every_schedule
def test_the_steps_of_dpm_solver_plus_plus_are_theirs(name, prediction, final, reverse_noise):
    """0 is their "dpmsolver++", 1 their "sde-dpmsolver++", both with the midpoint type, their default."""
    schedule = SCHEDULES[name]
    algorithm = {"algorithm_type": "sde-dpmsolver++" if reverse_noise else "dpmsolver++"}
    settings = config(schedule, prediction) | {"final_sigmas_type": final, "lower_order_final": False} | algorithm
    scheduler = theirs.DPMSolverMultistepScheduler.from_config(settings)
    alpha_bar, how = shared_table(scheduler, schedule, "theirs"), (5, SAMPLE, reverse_noise)
    outputs = dict(zip(range(4), (OUTPUT, V, Z, 2 * OUTPUT - V)))
    for times in ((schedule.T, schedule.T - 1, schedule.T - 2), (schedule.T, schedule.T // 2, 5), (schedule.T // 10, 3, 2)):
        scheduler.set_timesteps(timesteps=[t - 1 for t in times])
        x, slack = torch.tensor(X), 0.0
        for index, t in enumerate(times):
            z = ops.normal(5, SAMPLE, index, Purpose.STEP_NOISE, X.shape[1:], np.float64)
            x = scheduler.step(torch.tensor(outputs[index]), t - 1, x, variance_noise=torch.tensor(z)).prev_sample
            grid = (*times, 1)[: index + 2]
            if reverse_noise:  # their sqrt(1 - e^{-2 h}), by subtraction
                root = -np.expm1(schedule.log_snr(t) - schedule.log_snr(grid[-1]))
                slack += root_of_difference(max(root, 0.0) ** 0.5, U32) * np.abs(z).max()

            def ours(schedule, grid=grid, times=times):
                predict = lambda x, t: convert(outputs[times.index(t)], x, prediction, "noise", schedule.signal(t), schedule.noise_scale(t))
                at = SimpleNamespace(marginal=lambda t: (schedule.signal(t), schedule.noise_scale(t)), log_snr=schedule.log_snr)
                if len(grid) == 4 and final == "zero":  # the last step goes to the mean of x_0, as in ``with_denoising_step``
                    x, t = final_sample(dpm_solver_plus_plus(at, predict, grid[:-1], X, *how)), grid[-2]
                    return (x - schedule.noise_scale(t) * predict(x, t)) / schedule.signal(t)
                return final_sample(dpm_solver_plus_plus(at, predict, grid, X, *how))

            agree(ours, x, alpha_bar, U32, grid, slack)


# all steps, by the program in the README of an export


def exported(tmp_path, method, *words):
    """(the run of an export with random weights, the program in the export's README)."""
    # 16 channels in 8 groups: groups of one channel would take out again what the time embedding adds
    words = ["train", method, "--channels", "16", "16", "--batch", "2", "--steps", "1", *words]
    assert main(arguments=[*words, "--out", str(tmp_path / "run")]) == 0
    run = open_run(tmp_path / "run")
    run.state.ema = random_parameters(run.model.network)
    run.save()
    assert main(arguments=["export", str(tmp_path / "run"), "--format", "diffusers", "--out", str(tmp_path / "out")]) == 0
    (program,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    return run, program


def to_torch(images):
    return torch.tensor(images.transpose(0, 3, 1, 2).copy())


def executed(program, x, tmp_path, monkeypatch):
    """The images [n,h,w,c] that the program draws from the noise x[n,h,w,c]."""
    shape = tuple(x.transpose(0, 3, 1, 2).shape)
    monkeypatch.setattr("torch.randn", lambda *asked: to_torch(x) if asked == shape else None)
    monkeypatch.chdir(tmp_path / "out")
    variables: dict = {}
    exec(program, variables)
    return variables["x"].numpy().transpose(0, 2, 3, 1)


@pytest.mark.parametrize("prediction, objective", [("x0", "simple"), ("v", "hybrid")])
def test_the_program_in_an_exports_readme_samples_as_we_do(prediction, objective, tmp_path, monkeypatch):
    words = f"--timesteps 12 --prediction {prediction} --objective {objective}".split()
    run, program = exported(tmp_path, "ddpm", *words)
    schedule, sample = run.model.schedule, np.arange(16)
    x = ops.normal(0, sample, 0, Purpose.PRIOR, (8, 8, 1), np.float32)
    variance = "posterior" if objective == "simple" else "learned"
    ours = final_sample(
        ancestral(run.predictor(ops), schedule, schedule.timesteps(12), x, 0, sample, variance, clip=1.0, prediction=run.model.prediction)
    )

    noises = (ops.normal(0, sample, step, Purpose.STEP_NOISE, (8, 8, 1), np.float32) for step in range(11))
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *args, **kwargs: to_torch(next(noises)))
    drawn = executed(program, x, tmp_path, monkeypatch)
    assert next(noises, None) is None
    assert_close(drawn, ours, PEER_CHAIN, 1.0)


def test_the_program_in_a_flow_exports_readme_samples_as_ddim_does(tmp_path, monkeypatch):
    run, program = exported(tmp_path, "flow")
    sample = np.arange(16)
    ours = final_sample(trajectory(run, ops, sample, sampler="ddim", seed=0, steps=50, eta=0.0, clip="none"))
    drawn = executed(program, ops.normal(0, sample, 0, Purpose.PRIOR, (8, 8, 1), np.float32), tmp_path, monkeypatch)
    # the lengths of the steps add up to 1: they add the error of one evaluation, and the error carried through the network is about as
    # large again; their start, t_max z, is shorter than ours by a factor of 1 - 5e-7
    assert_close(drawn, ours, 2 * PEER_NETWORK[np.dtype(np.float32)], np.abs(ours).max())
