"""How many launches a call of a workload is on the GPU port: ``NUMBA_ENABLE_CUDASIM=1 python -m benchmarks.launches SIZE WORKLOAD ...``.

Kernels are counted and not launched, so that full sizes are soon done; results are zeros.  Nothing is recorded: a replay launches as many.
"""

import json
import sys

from accelerated import gpu
from accelerated.gpu import kernel, simulated
from benchmarks.workloads import WORKLOADS


def launches(workload):
    """Of the second call: the first one may prepare tables."""
    call = workload.call(gpu)
    call()
    before = kernel.launches + simulated.launches
    call()
    return kernel.launches + simulated.launches - before


if __name__ == "__main__":
    kernel.dry, simulated.poisoned = True, False
    vars(gpu)["replayed"] = lambda function: function
    size, *names = sys.argv[1:]
    print(json.dumps({name: launches(WORKLOADS[size][name]) for name in names}))
