"""``python -m benchmarks profile``: the time of one workload on a port, op by op, compared with this machine's roofline.

Ops are timed within whole calls of the workload, so that the caches are in their usual state.  A slow op far below the roof is worth
optimising.  Convolutions may exceed the roof, because Winograd's algorithm needs fewer operations than are counted.
"""

import sys
import time

import accelerated
from benchmarks.counts import Recorder
from benchmarks.roofline import measure_machine
from benchmarks.workloads import SIZE_HELP, WORKLOADS
from reference.commands.cli import Parser
from reference.runs.devices import has_hook

SECONDS = 5.0


def main(arguments=None):
    """The exit code: 0, 2 for invalid options."""
    names = list(WORKLOADS["full"])
    parser = Parser(prog="python -m benchmarks profile", allow_abbrev=False, description="Time of one workload on a port, op by op.")
    help_text = f"name of the workload (default: unet8-step): {', '.join(names)}"
    parser.add_argument("workload", nargs="?", choices=names, default="unet8-step", metavar="WORKLOAD", help=help_text)
    parser.add_argument("--port", default="cpu", metavar="PORT", help="cpu, or a port as a module or a file (default: cpu)")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help=SIZE_HELP)
    options = parser.parse_args(arguments)
    try:
        port = accelerated.with_reference_ops(accelerated.load_port(options.port))
        if has_hook(port, "synchronize"):
            raise ValueError(f"--port: ops of {port.__name__} return before they are done; python -m benchmarks --port gpu times them")
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(WORKLOADS[options.size][options.workload], port, measure_machine(), SECONDS if options.size == "full" else 0.1)))
    return 0


def table(workload, port, device, seconds):
    """Lines: each op's time and its share of a call, the slowest op first."""
    recorder = Recorder(port)
    plain, recorded = workload.call(port), workload.call(recorder)
    plain(), recorded(), plain(), recorded()
    recorder.clear()
    whole, count = 0.0, 0
    while count < 3 or whole < seconds / 2:
        begin = time.perf_counter()
        plain()  # without a recorder, because recording takes time
        whole += time.perf_counter() - begin
        recorded()
        count += 1
    whole, of_ops = whole / count, sum(recorder.seconds.values()) / count
    lines = [f"{'op':26} {'calls':>6} {'ms':>9} {'share':>6} {'GFLOP/s':>8} {'GB/s':>7} {'of roof':>8}"]
    for name, taken in sorted(recorder.seconds.items(), key=lambda item: -item[1]):
        operations, moved = recorder.operations[name], recorder.bytes[name]
        least = max(device.seconds(operations, moved, workload.dtype))
        rates = f"{operations / taken / 1e9:8.1f} {moved / taken / 1e9:7.1f} {least / taken:8.0%}"
        rates += "   taken from the reference, the port lacks it" if name in getattr(port, "missing_ops", ()) else ""
        lines.append(f"{name:26} {recorder.calls[name] // count:6} {1e3 * taken / count:9.3f} {taken / count / whole:6.1%} {rates}")
    lines.append(f"{'outside of ops':26} {'':6} {1e3 * (whole - of_ops):9.3f} {1 - of_ops / whole:6.1%}")
    lines.append(f"{'whole call':26} {'':6} {1e3 * whole:9.3f}")
    lines.append(f"roof: {device.float32 / 1e9:.0f} GFLOP/s in float32, {device.bandwidth / 1e9:.1f} GB/s")
    return lines
