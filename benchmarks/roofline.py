"""``python -m benchmarks roofline``: the least time of each op on a device, by its operations and by the bytes that it moves.

A measured time far above this bound shows an op worth optimising.  A kernel launch takes some microseconds of the host.  They are hidden
while the device is busy; where the launches take longer than the work, they are the limit, unless the work is captured as a CUDA graph
(accelerated/gpu/graphs.py).  So the number of launches on the GPU port is printed, too.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.counts import counts
from benchmarks.workloads import SIZE_HELP, WORKLOADS
from reference.commands.cli import Parser

LAUNCH_SECONDS = 3e-6  # from one launch to the next in a compiled program; Python takes several times as long


@dataclass(frozen=True)
class Device:
    """Bytes per second from memory, and operations per second in both precisions without tensor cores, as these round float32 products."""

    name: str
    bandwidth: float
    float32: float
    float64: float

    def seconds(self, operations, moved, dtype):
        """The least seconds (by operations, by bytes)."""
        return operations / getattr(self, np.dtype(dtype).name), moved / self.bandwidth


# from the manufacturers' data sheets
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
THIS_MACHINE = "here"  # this machine's processors, measured


def main(arguments=None):
    """The exit code: 0, 2 for invalid options."""
    parser = Parser(
        prog="python -m benchmarks roofline", allow_abbrev=False, description="Least time of each op of the workloads on a device."
    )
    parser.add_argument(
        "--device",
        choices=(THIS_MACHINE, *DEVICES),
        default=THIS_MACHINE,
        help=f"device, by its data sheet (default: {THIS_MACHINE}, this machine's processors, measured)",
    )
    parser.add_argument(
        "--filter", nargs="+", metavar="TEXT", help="texts that the names of the workloads contain (default: all workloads)"
    )
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help=SIZE_HELP)
    help_text = "print only the number of kernel launches of each workload on the GPU port, as JSON (default: the roofline)"
    parser.add_argument("--launches", action="store_true", help=help_text)
    options = parser.parse_args(arguments)
    names = [name for name in WORKLOADS[options.size] if not options.filter or any(text in name for text in options.filter)]
    if not names:
        print(
            f"{parser.prog}: --filter: no workload has such a text in its name; the names are {', '.join(WORKLOADS['full'])}",
            file=sys.stderr,
        )
        return 2
    if options.launches:
        print(json.dumps(count_launches(names, options.size)))
        return 0
    device = measure_machine() if options.device == THIS_MACHINE else DEVICES[options.device]
    rates = f"{device.float32 / 1e12:.3g} TFLOP/s in float32, {device.float64 / 1e12:.3g} in float64"
    print(f"{device.name}: {device.bandwidth / 1e9:.0f} GB/s, {rates}")
    launches = count_launches(names, options.size)
    for name in names:
        print("\n".join(table(name, WORKLOADS[options.size][name], device, launches[name])), flush=True)
    return 0


def measure_machine():
    """This machine, by the fastest of ten matrix products and of ten copies."""
    rates = {}
    for dtype in (np.float32, np.float64):
        x = np.ones((1024, 1024), dtype)
        rates[np.dtype(dtype).name] = 2 * 1024**3 / fastest(lambda x=x: x @ x)
    return Device("this machine", copy_bandwidth(), **rates)


def copy_bandwidth():
    """Bytes per second, read and written, of a copy larger than the caches."""
    a = np.zeros(2**24)
    b = np.ones_like(a)
    return 2 * a.nbytes / fastest(lambda: np.copyto(a, b))


def fastest(function, times=10):
    """Seconds of the fastest of so many calls."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def table(name, workload, device, launches):
    """Lines for a terminal: every op, the slowest first."""
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
    if launches is not None:
        lines.append(f"  {launches} launches of the GPU port: at least {1e3 * LAUNCH_SECONDS * launches:.3g} ms of the host")
    return lines


def count_launches(names, size):
    """Workload -> number of launches in one call on the GPU port; None where they can't be counted.

    A process of its own runs the port in Numba's CUDA simulator, where kernels can be counted without being launched.
    """
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", "from benchmarks.roofline import print_launches; print_launches()", size, *names]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else dict.fromkeys(names)


def print_launches():
    """In the simulator: print {workload: launches} for ``sys.argv``, a size and names of workloads."""
    from accelerated import gpu
    from accelerated.gpu.simulator import arrays, launch

    launch.dry_run, arrays.fill_with_nan = True, False  # kernels are counted, not run; results are zeros
    vars(gpu.models)["replayed"] = lambda function: function  # no graphs: a replay launches the same kernels
    size, *names = sys.argv[1:]
    found = {}
    for name in names:
        call = WORKLOADS[size][name].call(gpu)
        call()  # the first call may prepare tables
        before = launch.launches + arrays.launches
        call()
        found[name] = launch.launches + arrays.launches - before
    print(json.dumps(found))
