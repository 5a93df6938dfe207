"""Launches of a call of a workload on the GPU port: ``NUMBA_ENABLE_CUDASIM=1 python -m benchmarks.launches SIZE WORKLOAD ...``.

The simulator counts kernels and does not run them, so that full sizes take seconds; results are zeros.  No graph is captured: a replayed
graph would launch as many.
"""

import json
import sys

from accelerated import gpu
from accelerated.gpu.simulator import arrays, launch
from benchmarks.workloads import WORKLOADS


def launches(workload):
    """Launches of the second call; the first call may fill tables."""
    call = workload.call(gpu)
    call()
    before = launch.launches + arrays.launches
    call()
    return launch.launches + arrays.launches - before


if __name__ == "__main__":
    launch.dry_run, arrays.fill_with_nan = True, False
    vars(gpu)["replayed"] = lambda function: function
    size, *names = sys.argv[1:]
    print(json.dumps({name: launches(WORKLOADS[size][name]) for name in names}))
