"""Every op at sizes that are special cases of fast ports, and at the default sizes of the built-in networks
(reference/conformance/large_sizes.py).
"""

import numpy as np
import pytest

from reference.conformance import large_sizes
from reference.conformance.contract import OPS
from tests.ports import SIMULATED

pytestmark = pytest.mark.skipif(SIMULATED, reason="a thread of the simulator takes a millisecond, and each of these has thousands")

DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, number", [(name, number) for name in OPS for number in large_sizes.cases(name)])
def test_results_at_large_sizes_are_within_tolerance(port, name, number, dtype):
    large_sizes.results_at_large_sizes_are_within_tolerance(port, name, number, dtype)


@pytest.mark.parametrize("name", large_sizes.WITH_MANY_ENTRIES)
def test_repeated_samples_beyond_2_to_the_24_entries_repeat_the_results(port, name):
    large_sizes.repeated_samples_beyond_2_to_the_24_entries_repeat_the_results(port, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", large_sizes.CALLED)
def test_op_calls_of_networks_at_default_sizes_are_within_tolerance(port, name, dtype):
    large_sizes.op_calls_of_networks_at_default_sizes_are_within_tolerance(port, name, dtype)
