"""``python -m benchmarks roofline``: what the work of each op needs at least on a device, by its operations and by the bytes that it moves.

An op that takes much longer on that device than here is the one to look at.  A kernel's launch takes some microseconds of the host, which
are hidden as long as the device has more to do than that: where launches alone take longer than the work, they are the limit, unless they
are recorded (accelerated/gpu/graphs.py).
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.counts import counts
from benchmarks.workloads import WORKLOADS
from reference.__main__ import Parser

LAUNCH = 3e-6  # seconds from one launch of a compiled program to the next; Python takes several times as long


@dataclass(frozen=True)
class Device:
    """Bytes a second from memory, and operations a second in both precisions, outside of tensor cores: they round products of float32."""

    name: str
    bandwidth: float
    float32: float
    float64: float

    def seconds(self, operations, moved, dtype):
        """(by operations, by bytes)."""
        return operations / getattr(self, np.dtype(dtype).name), moved / self.bandwidth


# of the makers' data sheets
DEVICES = {
    "v100": Device("NVIDIA V100 SXM2", 900e9, 15.7e12, 7.8e12),
    "t4": Device("NVIDIA T4", 320e9, 8.1e12, 0.25e12),
    "a100": Device("NVIDIA A100 80 GB SXM", 2039e9, 19.5e12, 9.7e12),
    "l4": Device("NVIDIA L4", 300e9, 30.3e12, 0.47e12),
    "h100": Device("NVIDIA H100 SXM", 3350e9, 67e12, 34e12),
    "h200": Device("NVIDIA H200 SXM", 4800e9, 67e12, 34e12),
    "b200": Device("NVIDIA B200", 8000e9, 75e12, 37e12),
    "rtx3090": Device("NVIDIA GeForce RTX 3090", 936e9, 35.6e12, 0.56e12),
    "rtx4090": Device("NVIDIA GeForce RTX 4090", 1008e9, 82.6e12, 1.29e12),
    "rtx5090": Device("NVIDIA GeForce RTX 5090", 1792e9, 104.8e12, 1.64e12),
}
HERE = "here"  # this machine's processors, measured


def main(arguments=None):
    """The exit code: 0, 2 for options that can't be."""
    parser = Parser(prog="python -m benchmarks roofline", allow_abbrev=False, description="What work needs at least on a device.")
    parser.add_argument("--device", choices=(HERE, *DEVICES), default=HERE, help=f"(default {HERE}: this machine, measured)")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="workloads with one of these words in their names")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help="tiny: to try out the program itself")
    options = parser.parse_args(arguments)
    names = [name for name in WORKLOADS[options.size] if not options.only or any(word in name for word in options.only)]
    if not names:
        print(f"{parser.prog}: --only: no workload has such a word in its name, they are {', '.join(WORKLOADS['full'])}", file=sys.stderr)
        return 2
    device = measured() if options.device == HERE else DEVICES[options.device]
    rates = f"{device.float32 / 1e12:.3g} TFLOP/s in float32, {device.float64 / 1e12:.3g} in float64"
    print(f"{device.name}: {device.bandwidth / 1e9:.0f} GB/s, {rates}")
    counted = launches(names, options.size)
    for name in names:
        print("\n".join(table(name, WORKLOADS[options.size][name], device, counted[name])), flush=True)
    return 0


def measured():
    """This machine: the best of some products of matrices, and of some copies."""
    rates = {}
    for dtype in (np.float32, np.float64):
        x = np.ones((1024, 1024), dtype)
        rates[np.dtype(dtype).name] = 2 * 1024**3 / best(lambda x=x: x @ x)
    return Device("this machine", copy_bandwidth(), **rates)


def copy_bandwidth():
    """Bytes a second, read and written, of a copy that no cache holds."""
    a = np.zeros(2**24)
    b = np.ones_like(a)
    return 2 * a.nbytes / best(lambda: np.copyto(a, b))


def best(function, times=10):
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def table(name, workload, device, launched):
    """Lines for a terminal: every op, the ones that take longest first."""
    calls, operations, moved, _ = counts(workload)
    seconds = {op: device.seconds(operations[op], moved[op], workload.dtype) for op in calls}
    lines = ["", f"{name:26} {'calls':>6} {'GFLOP':>9} {'MB':>9} {'us, operations':>15} {'us, bytes':>10}   bound by"]
    for op in sorted(calls, key=lambda op: -max(seconds[op])):
        by_operations, by_bytes = seconds[op]
        bound = "operations" if by_operations > by_bytes else "memory"
        row = f"{operations[op] / 1e9:9.3g} {moved[op] / 1e6:9.4g} {1e6 * by_operations:15.4g} {1e6 * by_bytes:10.4g}"
        lines.append(f"  {op:24} {calls[op]:6} {row}   {bound}")
    total = sum(map(max, seconds.values()))
    lines.append(f"  at least {1e3 * total:.4g} ms")
    if launched is not None:
        lines.append(f"  {launched} launches of the GPU port: at least {1e3 * LAUNCH * launched:.3g} ms of the host")
    return lines


def launches(names, size):
    """Of one call of each workload on the GPU port; None where they can't be counted.

    The port runs in a process of its own, in the simulator's name, with kernels that are counted and not launched.
    """
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "benchmarks.launches", size, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else dict.fromkeys(names)
