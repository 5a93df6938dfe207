"""The networks on a port: all that they compute, forward and backward."""

import pytest

from reference.networks import UNet
from tests.conformance.comparison import DTYPES, in_dtype, within_budget
from tests.example_networks import HALVES, LABELS, MLPS, SMALL, UNETS, run

SIXTEENS = UNet(size=(8, 8), channels=(16, 32))  # channels that fill a vector: kernels of their own may serve them


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", [*MLPS, SMALL, *UNETS, SIXTEENS, HALVES], ids=lambda network: LABELS.get(network, "sixteens"))
def test_all_that_a_network_computes_is_within_budget(port, network, dtype):
    within_budget(port, LABELS.get(network, "sixteens"), dtype, lambda ops, dtype: run(network, ops, in_dtype(dtype)))
