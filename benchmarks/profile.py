"""``python -m benchmarks profile``: where the time of a workload goes on a port, op by op, beside this machine's roofline.

Between the calls of one op lie others, so that caches hold what they hold in earnest.  An op far from its roof, and long, is worth a look;
products may lie above it, since Winograd's algorithm takes fewer operations than are counted.
"""

import sys
import time

import accelerated
from benchmarks.counts import Recorder
from benchmarks.roofline import measured
from benchmarks.workloads import WORKLOADS
from reference.__main__ import Parser

SECONDS = 5.0


def main(arguments=None):
    """The exit code: 0, 2 for options that can't be."""
    names = list(WORKLOADS["full"])
    parser = Parser(prog="python -m benchmarks profile", allow_abbrev=False, description="Where the time of a workload goes, op by op.")
    parser.add_argument("workload", nargs="?", choices=names, default="unet8-step", metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--port", default="cpu", metavar="P", help="cpu, a module or a file (default cpu)")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help="tiny: to try out the program itself")
    options = parser.parse_args(arguments)
    try:
        port = accelerated.with_reference_ops(accelerated.load_port(options.port))
        if hasattr(port, "synchronize"):
            raise ValueError(f"ops of {port.__name__} are done after they return: python -m benchmarks --port gpu times them")
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(WORKLOADS[options.size][options.workload], port, measured(), SECONDS if options.size == "full" else 0.1)))
    return 0


def table(workload, port, device, seconds):
    """Lines: each op's share of a call, the ones that take longest first."""
    recorder = Recorder(port)
    plain, recorded = workload.call(port), workload.call(recorder)
    plain(), recorded(), plain(), recorded()
    recorder.clear()
    whole, count = 0.0, 0
    while count < 3 or whole < seconds / 2:
        begin = time.perf_counter()
        plain()  # recording takes time between the ops, which is no part of a call
        whole += time.perf_counter() - begin
        recorded()
        count += 1
    whole, of_ops = whole / count, sum(recorder.seconds.values()) / count
    lines = [f"{'op':26} {'calls':>6} {'ms':>9} {'share':>6} {'GFLOP/s':>8} {'GB/s':>7} {'of the roof':>12}"]
    for name, taken in sorted(recorder.seconds.items(), key=lambda item: -item[1]):
        operations, moved = recorder.operations[name], recorder.bytes[name]
        least = max(device.seconds(operations, moved, workload.dtype))
        rates = f"{operations / taken / 1e9:8.1f} {moved / taken / 1e9:7.1f} {least / taken:12.0%}"
        rates += "   the reference's, the port lacks it" if name in getattr(port, "missing_ops", ()) else ""
        lines.append(f"{name:26} {recorder.calls[name] // count:6} {1e3 * taken / count:9.3f} {taken / count / whole:6.1%} {rates}")
    lines.append(f"{'between the ops':26} {'':6} {1e3 * (whole - of_ops):9.3f} {1 - of_ops / whole:6.1%}")
    lines.append(f"{'a call':26} {'':6} {1e3 * whole:9.3f}")
    lines.append(f"the roof: {device.float32 / 1e9:.0f} GFLOP/s in float32, {device.bandwidth / 1e9:.1f} GB/s")
    return lines
