"""Strategies for the arguments of every op of the contract, forward and backward.

    arguments("conv2d", np.float32)             a strategy for the arguments of any row of the contract
    arguments("conv2d_backward", np.float64)    the same for a backward, with a random upstream gradient

Hypothesis draws the sizes, options and seeds that reference/conformance/op_sizes.py asks for.
"""

from hypothesis import strategies as st

from reference.conformance import op_sizes
from reference.conformance.op_sizes import OFFSETS, SCALES, Integer, ListOf, OneOf
from tests.ports import SIMULATED

SEED = st.integers(0, 2**32 - 1)
# the simulator is too slow for more than 64 results
LARGEST = ((op_sizes.SIZE, 4), (op_sizes.SIDE, 4), (op_sizes.FEW, 2)) if SIMULATED else ()


def strategy(choice):
    """The strategy for a choice of reference/conformance/op_sizes.py."""
    match choice:
        case OneOf(values):
            limit = next((largest for limited, largest in LARGEST if choice is limited), None)
            return st.sampled_from([value for value in values if limit is None or value <= limit])
        case Integer(least, most):
            return st.integers(least, most)
        case ListOf(element, least, most):
            return st.lists(strategy(element), min_size=least, max_size=most)


@st.composite
def arguments(draw, name, dtype, scales=SCALES, offsets=OFFSETS):
    """The arguments of one row of the contract, with the seed of their numbers."""
    return op_sizes.draw_arguments(lambda choice: draw(strategy(choice)), name, dtype, scales, offsets)
