"""The ops of the contract (reference/contract.py), in Numba on the cores of a CPU."""
