"""The ops of the contract in Numba, as many as are here already."""

from accelerated.cpu.activation import silu, silu_backward
