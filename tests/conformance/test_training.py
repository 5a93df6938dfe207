"""A short training run of every method on a port: the losses and the final weights (accelerated/computations.py)."""

import pytest

from accelerated import computations
from tests.conformance.test_ops import DTYPES
from tests.ports import SIMULATED


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in computations.TRAINING_RUNS if not (SIMULATED and "images" in name)])
def test_short_training_run_is_within_tolerance(port, name, dtype):
    shorter = {"steps": 2, "batch": 4} if SIMULATED else {}
    computations.short_training_run_is_within_tolerance(port, name, dtype, **shorter)
