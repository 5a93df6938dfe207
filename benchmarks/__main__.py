"""``python -m benchmarks``: every workload on every implementation that is installed, a table, and with ``--json`` every number."""

from reference.commands.progress import end_on_interrupt, raise_on_interrupt

if __name__ == "__main__":  # before the imports that take time
    end_on_interrupt("python -m benchmarks")

import importlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import accelerated
from benchmarks import measure, roofline
from benchmarks.peers import PEERS, left_out, on_cuda, serves
from benchmarks.progress import Progress
from benchmarks.table import rows, table
from benchmarks.workloads import WORKLOADS
from reference.__main__ import Parser
from reference.runs.files import output_folder, write_atomically

LONG = ("op-", "-backward", "unet32-step")  # in names of workloads without which a quick look is soon over
INTERRUPTED = 130  # the exit code
PRODUCT = "product"  # the workload that measures the machine
IMPLEMENTATIONS = (measure.REFERENCE, *accelerated.BUILTIN_PORTS.values(), *PEERS)


class Effort(NamedTuple):
    """Seconds of turns for each implementation of a workload, and how many turns at least."""

    budget: float
    turns: int


FULL, QUICK = Effort(5.0, 5), Effort(0.5, 3)


def build_parser():
    more = f"other programs, as in python -m benchmarks roofline --help: {', '.join(WORDS)}"
    parser = Parser(prog="python -m benchmarks", allow_abbrev=False, description=__doc__.replace("``", ""), epilog=more)
    quick = "few calls, no op or backward pass alone, no large training step, no peer that compiles"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help=f"workloads with one of these words in their names: {', '.join(WORKLOADS['full'])}"
    )
    known = ", ".join(IMPLEMENTATIONS)
    parser.add_argument(
        "--implementations",
        nargs="+",
        metavar="NAME",
        help=f"{known}, or a port of the ops, a module or a file (default: all)",
    )
    ports = "gpu: on the device, that port op by op beside its roofline, and with peers there; another port is measured with the rest"
    parser.add_argument("--port", metavar="P", help=ports)
    parser.add_argument("--threads", type=int, metavar="N", help="of every implementation (default: every processor)")
    parser.add_argument("--json", metavar="OUT.json", help="write every measured value there")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help="tiny: to try out the program itself")
    return parser


# other programs, each a module with a ``main``
WORDS = ("compare", "kernels", "profile", "questions", "report", "roofline", "runs", "scaling")


def main(arguments=None):
    """The exit code: that of the program, 130 if it was interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in WORDS:
            program = importlib.import_module(f"benchmarks.{arguments[0]}")
            raise_on_interrupt()
            return program.main(arguments[1:])
        return measured(arguments)
    except OSError as error:  # a full disk; the results are printed already
        print(f"python -m benchmarks: {error.filename or 'a file'} can't be read or written: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m benchmarks: interrupted", file=sys.stderr)
        return INTERRUPTED


def measured(arguments):
    """The exit code: 0, 1 if a port disagrees or fails, 2 for options that can't be, 130 if interrupted, with what there is kept."""
    options = build_parser().parse_args(arguments)
    try:
        chosen, implementations, threads = workloads_of(options), implementations_of(options), threads_of(options)
        out = options.json and path_of(options.json)
        ops = of_ops(options)
    except ValueError as error:
        print(f"python -m benchmarks: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    raise_on_interrupt()
    whole = options.size == "full" and not options.only
    seconds = compile_ahead(implementations, threads) if whole else {}
    report = run(chosen, implementations, threads, ops.get("size", options.size), options.quick, ops) | {"compiling": seconds}
    print(table(report))
    if out:
        write_atomically(out, (json.dumps(report, indent=1) + "\n").encode())
        print(f"\nevery value: {out}")
    wrong = [f"accelerated.gpu in {name}" for name, entry in ops.get("ops", {}).items() if not entry["valid"]]
    wrong += [f"{port} in {name}" for name, workload in report["workloads"].items() for port in measure.failed(workload["implementations"])]
    if wrong:
        print(f"python -m benchmarks: not timed, since it disagrees with the reference or fails: {', '.join(wrong)}", file=sys.stderr)
    return INTERRUPTED if "interrupted" in report else int(bool(wrong))


def compile_ahead(implementations, threads):
    """Compile the kernels of ports that can, on all processors, which no workload then waits for: the seconds that each port took."""
    seconds = {}
    for name in implementations:
        compile_all = None if name in PEERS else getattr(accelerated.load_port(name), "compile_all", None)
        if compile_all:
            begin = time.perf_counter()
            compile_all(threads=threads)
            seconds[name] = time.perf_counter() - begin
    return seconds


def of_ops(options):
    """What the device lane adds to a report: nothing without it.  ValueError where there is no device."""
    if options.port != "gpu":
        return {}
    from benchmarks import device

    return device.report(options.size)


def workloads_of(options):
    for word in options.only or ():
        if not any(word in name for name in WORKLOADS[options.size]):
            raise ValueError(f"--only: no workload has {word!r} in its name, they are {', '.join(WORKLOADS[options.size])}")
    if options.quick and not options.only:
        return [name for name in WORKLOADS[options.size] if not any(word in name for word in LONG)]
    return [name for name in WORKLOADS[options.size] if not options.only or any(word in name for word in options.only)]


def implementations_of(options):
    """Names, the reference first; a peer among them may be missing."""
    given = options.implementations or [name for name in IMPLEMENTATIONS if on_cuda(name) == (options.port == "gpu")]
    given = [*given, *([accelerated.BUILTIN_PORTS.get(options.port, options.port)] if options.port else [])]
    for name in given:
        if name not in PEERS:
            accelerated.load_port(name)
    return list(dict.fromkeys(given))


def threads_of(options):
    available = len(measure.processors())
    threads = available if options.threads is None else options.threads
    if not 1 <= threads <= available:
        raise ValueError(f"--threads must lie in 1 .. {available}, the processors that there are, got {threads}")
    return threads


def path_of(given):
    path = Path(given)
    if path.exists():
        raise ValueError(f"--json: {path} exists and is not overwritten")
    output_folder(path.parent, path.name)
    return path


def run(chosen, implementations, threads, size, quick, device):
    """The report, ready for JSON, of what works on the device that ``device`` tells of, or if that is empty, of what works without.

    Nothing would be a measure of both: neither the best peer nor the machine's own rates.
    """
    begin, effort = time.perf_counter(), QUICK if quick else FULL
    report: dict = {"format": 1, "machine": measure.machine(threads), "quick": quick, "size": size, "workloads": {}}
    if device:
        report["machine"]["processor"] = f"{device['device']}, beside {report['machine']['processor']}"
    elsewhere = "left out, it works elsewhere" if device else "left out, measured apart: python -m benchmarks --port gpu"
    reasons = {name: left_out(name, quick) or (elsewhere if on_cuda(name) != bool(device) else None) for name in implementations}
    report["left_out"] = {name: reason for name, reason in reasons.items() if reason}
    present = [name for name in implementations if name not in report["left_out"]]
    serving = {name: [i for i in present if serves(i, WORKLOADS[size][name])] for name in (PRODUCT, *chosen)}
    report |= device or {"copy_bandwidth": roofline.copy_bandwidth()}
    with Progress(sum(map(len, serving.values()))) as say:
        for name, reason in report["left_out"].items():
            say(f"{name}: {reason}")
        try:
            for name, those in serving.items():
                report["workloads"][name] = measure.measure(name, size, those, threads, *effort, say)
                say("\n".join(["done", "", *rows(name, compare(report)["workloads"][name]), ""]))
        except KeyboardInterrupt:
            if not report["workloads"]:
                raise
            report["interrupted"] = True
            say("interrupted: what was measured until here is kept")
    report["seconds"] = time.perf_counter() - begin
    return report


def compare(report):
    """Add to each implementation what only all together say: ratios above 1 say that it is faster; operations and bytes a second."""
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
        if name == PRODUCT:
            rates = [operations / entries[i]["median"] for i in medians]
        for i in medians:
            entries[i]["share_of_product_rate"] = entries[i]["rate"] / max(rates) if rates else None
    report["product_rate"] = max(rates, default=None)
    return report


if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):  # a kill or a closed terminal are interrupts: workers that stand still would be left behind
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    raise SystemExit(main())
