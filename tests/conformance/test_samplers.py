"""Ten steps of every sampler on a port, with a network of random weights on the same port (accelerated/computations.py)."""

import pytest

from accelerated import computations
from tests.conformance.test_ops import DTYPES
from tests.ports import SIMULATED

STEPS = 3 if SIMULATED else 10
SAMPLERS = [name for name in computations.SCORE_SAMPLERS if not (SIMULATED and name == "ode-rk45")]  # which makes hundreds of steps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_trajectory_is_within_tolerance(port, sampler, dtype):
    computations.sampler_trajectory_is_within_tolerance(port, sampler, dtype, STEPS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_indi_restoration_is_within_tolerance(port, dtype):
    computations.indi_restoration_is_within_tolerance(port, dtype, STEPS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_vae_decoder_samples_are_within_tolerance(port, dtype):
    computations.vae_decoder_samples_are_within_tolerance(port, dtype)
