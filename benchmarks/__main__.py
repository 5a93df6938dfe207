"""``python -m benchmarks``: time every workload on every installed implementation; print a table and, with ``--json``, write all values."""

from reference.commands.interrupts import end_on_interrupt, raise_on_interrupt

if __name__ == "__main__":  # before the slow imports
    end_on_interrupt("python -m benchmarks")

import argparse
import importlib
import json
import signal
import sys
import time
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import accelerated
from benchmarks import measure, roofline
from benchmarks.peers import PEERS, runs_on_cuda, skip_reason, supports
from benchmarks.progress import Progress
from benchmarks.table import rows, table
from benchmarks.workloads import SIZE_HELP, WORKLOADS
from reference.commands.cli import Parser
from reference.runs.devices import has_hook, hook
from reference.runs.files import output_folder, write_atomically

FORMAT = 2  # of the results file; report.py reads format 1, too
SLOW_WORKLOADS = ("op-", "-backward", "unet32-step")  # parts of the names of workloads that --quick skips
EXIT_INTERRUPTED = 130
MATMUL = "matmul"  # the workload that measures the machine
IMPLEMENTATIONS = (measure.REFERENCE, *accelerated.BUILTIN_PORTS.values(), *PEERS)
SUBCOMMANDS = {  # each a module with a ``main``
    "compare": "changes between two results files that exceed their noise",
    "kernels": "registers, shared memory and spills of the GPU port's kernels, compiled without a GPU",
    "profile": "time of one workload, op by op, compared with the roofline",
    "report": "tables and plots of a results file",
    "roofline": "least time of each op on a device, and the number of kernel launches on a GPU",
    "scaling": "time and memory over batch, image size, channels, steps, particles, cells and threads",
    "studies": "speed of fused ops, accuracy of Winograd's convolution, cost of 50,000 images",
    "train-to-loss": "time of whole training runs to a target loss",
}


class Effort(NamedTuple):
    """Seconds of timing for each implementation of a workload, and the least number of turns."""

    seconds: float
    min_turns: int


FULL, QUICK = Effort(5.0, 5), Effort(0.5, 3)


def build_parser():
    width = max(map(len, SUBCOMMANDS))
    listed = "\n".join(f"  {name:{width}}  {help_text}" for name, help_text in SUBCOMMANDS.items())
    parser = Parser(
        prog="python -m benchmarks",
        allow_abbrev=False,
        description="Time every workload on every installed implementation and print a table.",
        epilog=f"subcommands, each with a --help of its own:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer repetitions, without single ops, backward passes, the 32x32 training steps and peers that compile (default: off)",
    )
    parser.add_argument(
        "--filter",
        nargs="+",
        metavar="TEXT",
        help=f"texts that the names of the workloads contain (default: all workloads): {', '.join(WORKLOADS['full'])}",
    )
    parser.add_argument(
        "--impl",
        nargs="+",
        metavar="NAME",
        help=f"implementations: {', '.join(IMPLEMENTATIONS)}, or a port as a module or a file (default: every implementation for the CPU)",
    )
    parser.add_argument(
        "--port",
        metavar="PORT",
        help="a port, as a module or a file, to be timed with the implementations; gpu: the GPU port and the peers on the GPU, "
        "after a table of single ops and the roofline (default: none)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads for every implementation (default: all processors)")
    parser.add_argument("--json", metavar="OUT.json", help="a new file for every measured value (default: no file)")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help=SIZE_HELP)
    return parser


def main(arguments=None):
    """The exit code of the program; 130 if it was interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and not arguments[0].startswith("-"):
            return run_subcommand(*arguments)
        return measure_all(arguments)
    except OSError as error:  # for example a full disk, after the results were printed
        print(f"python -m benchmarks: {error.filename or 'a file'} can't be read or written: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m benchmarks: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def run_subcommand(name, *arguments):
    if name not in SUBCOMMANDS:
        nearest = "".join(f"; did you mean {found}?" for found in get_close_matches(name, SUBCOMMANDS, 1))
        print(f"python -m benchmarks: unknown subcommand {name}, choose from {', '.join(SUBCOMMANDS)}{nearest}", file=sys.stderr)
        return 2
    program = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
    raise_on_interrupt()
    return program.main(list(arguments))


def measure_all(arguments):
    """The exit code: 0, 1 if a port disagrees or fails, 2 for invalid options, 130 if interrupted; results up to then are kept."""
    options = build_parser().parse_args(arguments)
    try:
        names, implementations, threads = select_workloads(options), select_implementations(options), thread_count(options)
        out = options.json and output_path(options.json)
        device = device_report(options)
    except ValueError as error:
        print(f"python -m benchmarks: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    raise_on_interrupt()
    everything = options.size == "full" and not options.filter
    seconds = compile_ahead(implementations, threads) if everything else {}
    report = run(names, implementations, threads, device.get("size", options.size), options.quick, device) | {"compiling": seconds}
    print(table(report))
    if out:
        write_atomically(out, (json.dumps(report, indent=1) + "\n").encode())
        print(f"\nwrote {out}")
    wrong = [f"accelerated.gpu in {name}" for name, entry in device.get("ops", {}).items() if not entry["valid"]]
    for name, workload in report["workloads"].items():
        wrong += [f"{port} in {name}" for port in measure.failed_ports(workload["implementations"])]
    if wrong:
        print(f"python -m benchmarks: not timed, because it disagrees with the reference or fails: {', '.join(wrong)}", file=sys.stderr)
    return EXIT_INTERRUPTED if "interrupted" in report else int(bool(wrong))


def compile_ahead(implementations, threads):
    """Compile the kernels of ports that can, on all processors, before any workload is timed.  Returns port -> seconds."""
    seconds = {}
    for name in implementations:
        port = None if name in PEERS else accelerated.load_port(name)
        if port is not None and has_hook(port, "compile_all"):
            begin = time.perf_counter()
            hook(port, "compile_all")(threads=threads)
            seconds[name] = time.perf_counter() - begin
    return seconds


def device_report(options):
    """The report of ``device.py`` for ``--port gpu``, else {}.  ValueError where there is no device."""
    if options.port != "gpu":
        return {}
    from benchmarks import device

    return device.report(options.size)


def select_workloads(options):
    names = list(WORKLOADS[options.size])
    for text in options.filter or ():
        if not any(text in name for name in names):
            raise ValueError(f"--filter: no workload has {text!r} in its name; the names are {', '.join(names)}")
    if options.quick and not options.filter:
        return [name for name in names if not any(text in name for text in SLOW_WORKLOADS)]
    return [name for name in names if not options.filter or any(text in name for text in options.filter)]


def select_implementations(options):
    """Names in the order of IMPLEMENTATIONS, or as given.  Peers may be missing.  ValueError for a port that can't be imported."""
    names = options.impl or [name for name in IMPLEMENTATIONS if runs_on_cuda(name) == (options.port == "gpu")]
    names = [*names, *([accelerated.BUILTIN_PORTS.get(options.port, options.port)] if options.port else [])]
    for name in names:
        if name not in PEERS:
            accelerated.load_port(name)
    return list(dict.fromkeys(names))


def thread_count(options):
    available = len(measure.available_processors())
    threads = available if options.threads is None else options.threads
    if not 1 <= threads <= available:
        raise ValueError(f"--threads must lie in 1 .. {available}, the number of available processors, got {threads}")
    return threads


def output_path(given):
    path = Path(given)
    if path.exists():
        raise ValueError(f"--json: {path} exists and is not overwritten; choose another file")
    output_folder(path.parent, path.name)
    return path


def run(names, implementations, threads, size, quick, device):
    """The report, ready for JSON.  ``device``: the report of ``device.py``, or {}.

    With a device, only implementations on the device are timed; without, only those on the CPU: the best peer and the machine's own rates
    must belong to the same hardware.
    """
    begin, effort = time.perf_counter(), QUICK if quick else FULL
    report: dict = {"format": FORMAT, "machine": measure.machine_info(threads), "quick": quick, "size": size, "workloads": {}}
    if device:
        report["machine"]["processor"] = f"{device['device']}, host {report['machine']['processor']}"
    elsewhere = "skipped, works on the CPU" if device else "skipped, works on the GPU: python -m benchmarks --port gpu"
    reasons = {name: skip_reason(name, quick) or (elsewhere if runs_on_cuda(name) != bool(device) else None) for name in implementations}
    report["skipped"] = {name: reason for name, reason in reasons.items() if reason}
    present = [name for name in implementations if name not in report["skipped"]]
    supporting = {name: [i for i in present if supports(i, WORKLOADS[size][name])] for name in (MATMUL, *names)}
    report |= device or {"copy_bandwidth": roofline.copy_bandwidth()}
    with Progress(sum(map(len, supporting.values()))) as log:
        for name, reason in report["skipped"].items():
            log(f"{name}: {reason}")
        try:
            for name, supported in supporting.items():
                report["workloads"][name] = measure.measure_workload(name, size, supported, threads, *effort, log)
                log("\n".join(["done", "", *rows(name, add_ratios(report)["workloads"][name]), ""]))
        except KeyboardInterrupt:
            if not report["workloads"]:
                raise
            report["interrupted"] = True
            log("interrupted: results up to here are kept")
    report["seconds"] = time.perf_counter() - begin
    return report


def add_ratios(report):
    """Add to each implementation its speed relative to the best peer and to the reference (above 1: faster), its rate and bandwidth."""
    rates = []
    for name, workload in report["workloads"].items():
        entries, operations = workload["implementations"], sum(workload["operations"].values())
        medians = {i: entry["median"] for i, entry in entries.items() if "median" in entry}
        best_peer = min((medians[i] for i in medians if i in PEERS), default=None)
        reference = medians.get(measure.REFERENCE, entries.get(measure.REFERENCE, {}).get("estimate"))
        for i, median in medians.items():
            entries[i]["rate"] = operations / median
            entries[i]["bandwidth"] = sum(workload["bytes"].values()) / median
            entries[i]["share_of_copy_bandwidth"] = entries[i]["bandwidth"] / report["copy_bandwidth"]
            entries[i]["over_best_peer"] = best_peer and best_peer / median
            entries[i]["over_reference"] = reference and reference / median
        if name == MATMUL:
            rates = [operations / entries[i]["median"] for i in medians]
        for i in medians:
            entries[i]["share_of_matmul_rate"] = entries[i]["rate"] / max(rates) if rates else None
    report["matmul_rate"] = max(rates, default=None)
    return report


if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):  # handled as interrupts, so that stopped worker processes are ended, too
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    raise SystemExit(main())
