"""The networks on a port: all their results, forward and backward (accelerated/computations.py)."""

import pytest

from accelerated import computations
from tests.conformance.test_ops import DTYPES
from tests.ports import SIMULATED

NETWORKS = ("points", "tiny") if SIMULATED else tuple(name for name in computations.NETWORKS if name != "tiny")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_all_results_of_a_network_are_within_tolerance(port, network, dtype):
    computations.all_results_of_a_network_are_within_tolerance(port, network, dtype)
