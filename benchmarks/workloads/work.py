"""What all workloads have in common: their numbers, and what a workload is asked for."""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.devices import to_device
from reference.ops.random import Key

SEED = 1


def numbers(purpose, step, n, shape, dtype=np.float32):
    """Normal numbers [n,*shape] that float32 holds, whatever the dtype; those of fewer samples are the first ones of more."""
    return reference_ops.normal(SEED, np.arange(n), step, purpose, shape, np.float32).astype(dtype)


def place_noise(noise, ops):
    """An array, or the samples of a key, where a port works."""
    return noise._replace(sample=to_device(noise.sample, ops)) if isinstance(noise, Key) else to_device(noise, ops)


class Work:
    dtype: np.dtype = np.dtype(np.float32)

    def part(self):
        """Fewer samples, since each sample's results are its own."""
        return self

    def one(self):
        """(the work of one step alone, how many of it this one is)."""
        return self, 1
