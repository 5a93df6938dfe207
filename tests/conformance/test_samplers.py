"""Ten steps of every sampler on a port, with a network of random weights on the same port."""

import pytest

from reference.commands.sampler_options import parse_sampler_options
from reference.data import datasets
from reference.ops.random import Purpose
from reference.runs.config import build_config
from reference.runs.run import new_run
from reference.runs.sampler_options import SAMPLERS
from reference.runs.trajectory import trajectory
from reference.samplers.indi import indi
from tests.conformance.comparison import DTYPES, in_dtype, within_budget
from tests.example_networks import random_parameters
from tests.ports import SIMULATED

SAMPLE = np.arange(5)
TOLERANCE = 0.01  # for ode-rk45: at the default tolerance it makes hundreds of steps, and their adaptive lengths amplify roundings
STEPS = 3 if SIMULATED else 10
NAMES = [name for name in SAMPLERS if name not in ("decoder", "indi")]


class InDtype:
    """A port that returns random numbers in one fixed dtype, so that everything computed from them has that dtype."""

    def __init__(self, ops, dtype):
        self.ops, self.dtype = ops, np.dtype(dtype)

    def normal(self, seed, sample, step, purpose, shape, dtype):
        return self.ops.normal(seed, sample, step, purpose, shape, self.dtype)

    def __getattr__(self, name):
        return getattr(self.ops, name)


def run_in(folder, system):
    data = datasets.load("mixture2d", 0)
    run = new_run(folder, build_config(system, data, {"data": "mixture2d", "width": 8, "depth": 2}))
    return run, random_parameters(run.model.network)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sampler", [name for name in NAMES if not (SIMULATED and name == "ode-rk45")])  # hundreds of steps
def test_sampler_trajectory_is_within_tolerance(port, sampler, dtype, tmp_path):
    run, weights = run_in(tmp_path, "smld" if "langevin" in sampler else "sde")
    options = {"steps": None, "tolerance": TOLERANCE} if sampler == "ode-rk45" else {"steps": STEPS}
    own = parse_sampler_options(run, SimpleNamespace(sampler=sampler, seed=3, **options))

    def states(ops, dtype):
        run.state.ema = in_dtype(dtype)(weights)
        steps = list(trajectory(run, InDtype(ops, dtype), SAMPLE, **own))
        return {"x": np.stack([x for _, x, _ in (steps[-1:] if sampler == "ode-rk45" else steps)])}

    within_budget(port, sampler, dtype, states)


@pytest.mark.parametrize("dtype", DTYPES)
def test_indi_restoration_is_within_tolerance(port, dtype, tmp_path):
    run, weights = run_in(tmp_path, "indi")
    grid = [1 - k / STEPS for k in range(STEPS + 1)]

    def states(ops, dtype):
        x, denoise_function = (
            ops.normal(1, SAMPLE, 0, Purpose.PRIOR, (2,), np.dtype(dtype)),
            run.model.denoise_function(in_dtype(dtype)(weights), ops),
        )
        return {"x": np.stack([x for _, x, _ in indi(denoise_function, grid, x, 2, SAMPLE, lambda t: 0.3 * t, ops)])}

    within_budget(port, "indi", dtype, states)


@pytest.mark.parametrize("dtype", DTYPES)
def test_vae_decoder_samples_are_within_tolerance(port, dtype):
    run, weights = run_in("unused", "vae")

    def samples(ops, dtype):
        return {"x": run.model.sample(in_dtype(dtype)(weights), 3, SAMPLE, True, np.dtype(dtype), ops)}

    within_budget(port, "decoder", dtype, samples)
