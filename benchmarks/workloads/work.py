"""The base class of workloads, and their random numbers."""

import numpy as np

from reference import ops as reference_ops
from reference.ops.random import Key
from reference.runs.devices import to_device

SEED = 1


def normal_array(purpose, step, n, shape, dtype=np.float32):
    """Normal numbers [n,*shape], drawn in float32 for every dtype; a smaller n gives the first samples of a larger one."""
    return reference_ops.normal(SEED, np.arange(n), step, purpose, shape, np.float32).astype(dtype)


def place_noise(noise, ops):
    """Noise, an array or a Key, on the device of a port."""
    return noise._replace(sample=to_device(noise.sample, ops)) if isinstance(noise, Key) else to_device(noise, ops)


class Workload:
    """The defaults of a workload; benchmarks/workloads/__init__.py lists its methods."""

    dtype: np.dtype = np.dtype(np.float32)

    def subset(self):
        """The same work on fewer samples, for validation."""
        return self

    def single_step(self):
        """(the work of one step, number of steps)."""
        return self, 1
