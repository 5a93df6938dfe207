"""The networks on a port: all their results, forward and backward."""

import pytest

from accelerated import computations
from tests.conformance.test_ops import DTYPES
from tests.ports import SIMULATED

TINY = UNet(size=(4, 4), channels=(8, 8), groups=4)  # the simulator runs these in a minute
SIXTEENS = UNet(size=(8, 8), channels=(16, 32))  # channels that fill a vector, for which a port may have special kernels


NETWORKS = [*MLPS[:1], TINY] if SIMULATED else [*MLPS, SMALL, *UNETS, SIXTEENS, HALVES]


def label(network):
    return LABELS.get(network, "tiny" if network == TINY else "sixteens")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS, ids=label)
def test_all_results_of_a_network_are_within_tolerance(port, network, dtype):
    within_budget(port, label(network), dtype, lambda ops, dtype: run(network, ops, in_dtype(dtype)))
