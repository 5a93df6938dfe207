"""``python -m benchmarks``: every workload on every implementation that is installed, a table, and with ``--json`` every number."""

import importlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import accelerated
from benchmarks import measure, roofline
from benchmarks.peers import PEERS, left_out
from benchmarks.workloads import WORKLOADS
from reference.__main__ import Parser
from reference.files import write_atomically

OPS_ALONE = "op-"
PRODUCT = "product"  # the workload that measures the machine
SHIPPED = (measure.REFERENCE, *accelerated.SHIPPED.values())


@dataclass(frozen=True)
class Effort:
    """Seconds of turns for each implementation of a workload, and how many turns at least."""

    budget: float
    turns: int


FULL, QUICK = Effort(5.0, 5), Effort(0.5, 3)


def build_parser():
    more = f"other programs, as in python -m benchmarks roofline --help: {', '.join(WORDS)}"
    parser = Parser(prog="python -m benchmarks", allow_abbrev=False, description=__doc__.replace("``", ""), epilog=more)
    parser.add_argument("--quick", action="store_true", help="few calls, no ops alone, and none of the peers that compile")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help=f"workloads with one of these words in their names: {', '.join(names('full'))}"
    )
    known = ", ".join((*SHIPPED, *PEERS))
    parser.add_argument(
        "--implementations", nargs="+", metavar="NAME", help=f"{known}, or a port of the ops, a module or a file (default: all)"
    )
    parser.add_argument("--port", choices=("gpu",), help="only that port, op by op on the device, beside its roofline and PyTorch there")
    parser.add_argument("--threads", type=int, metavar="N", help="of every implementation (default: every processor)")
    parser.add_argument("--json", metavar="OUT.json", help="write every measured value there")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help="tiny: to try out the program itself")
    return parser


def names(size):
    return [name for name in WORKLOADS[size] if name != PRODUCT]


# other programs, each a module with a ``main``
WORDS = ("compare", "kernels", "profile", "questions", "report", "roofline", "runs", "scaling")


def main(arguments=None):
    """The exit code: that of the program, 130 if it was interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in WORDS:
            return importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
        return measured(arguments)
    except KeyboardInterrupt:
        print("python -m benchmarks: interrupted", file=sys.stderr)
        return 130


def measured(arguments):
    """The exit code: 0, 2 for options that can't be."""
    options = build_parser().parse_args(arguments)
    try:
        chosen, implementations, threads = workloads_of(options), implementations_of(options), threads_of(options)
        out = options.json and path_of(options.json)
    except ValueError as error:
        print(f"python -m benchmarks: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if options.port:
        return on_device(options, out)
    report = run(chosen, implementations, threads, options.size, options.quick)
    print(table(report))
    write(report, out)
    return 0


def on_device(options, out):
    """The exit code: 0, 1 if an op disagrees with the reference, 2 where there is no device."""
    from benchmarks import device

    try:
        report = device.main(options)
    except ValueError as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2
    if "workloads" in report:
        print(table(compare(report | {"machine": measure.machine(1)})))
    write(report, out)
    return int(not all(entry["valid"] for entry in report["ops"].values()))


def write(report, out):
    if out:
        write_atomically(out, (json.dumps(report, indent=1) + "\n").encode())
        print(f"\nevery value: {out}")


def workloads_of(options):
    for word in options.only or ():
        if not any(word in name for name in names(options.size)):
            raise ValueError(f"--only: no workload has {word!r} in its name, they are {', '.join(names(options.size))}")
    if options.quick and not options.only:
        return [name for name in names(options.size) if not name.startswith(OPS_ALONE)]
    return [name for name in names(options.size) if not options.only or any(word in name for word in options.only)]


def implementations_of(options):
    """Names, the reference first; a peer among them may be missing."""
    given = options.implementations or [*SHIPPED, *PEERS]
    for name in given:
        if name not in PEERS:
            accelerated.load(name)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run(chosen, implementations, threads, size, quick):
    """The report, ready for JSON."""
    begin, effort = time.perf_counter(), QUICK if quick else FULL
    say = lambda line, end="\n": print(f"{time.perf_counter() - begin:6.0f} s  {line}", end=end, flush=True)
    present, report = [], {"format": 1, "machine": measure.machine(threads), "quick": quick, "size": size, "left_out": {}, "workloads": {}}
    for name in implementations:
        if reason := left_out(name, quick):
            report["left_out"][name] = reason
            say(f"{name}: {reason}")
        else:
            present.append(name)
    for name in (PRODUCT, *chosen):
        serving = [i for i in present if i not in PEERS or PEERS[i].serves(WORKLOADS[size][name])]
        report["workloads"][name] = measure.measure(name, size, serving, threads, effort.budget, effort.turns, say)
    report["copy_bandwidth"] = roofline.copy_bandwidth()
    report["seconds"] = time.perf_counter() - begin
    return compare(report)


def compare(report):
    """Add to each implementation what only all together say: ratios above 1 say that it is faster; rates in operations a second."""
    rates = []
    for name, workload in report["workloads"].items():
        entries, operations = workload["implementations"], sum(workload["operations"].values())
        medians = {i: entry["median"] for i, entry in entries.items() if "median" in entry}
        best_peer = min((medians[i] for i in medians if i in PEERS), default=None)
        reference = medians.get(measure.REFERENCE, entries.get(measure.REFERENCE, {}).get("estimate"))
        for i, median in medians.items():
            entries[i]["rate"] = operations / median
            entries[i]["bandwidth"] = sum(workload.get("bytes", {}).values()) / median
            entries[i]["over_best_peer"] = best_peer and best_peer / median
            entries[i]["over_reference"] = reference and reference / median
        if name == PRODUCT:
            rates = [operations / entries[i]["median"] for i in medians]
        for i in medians:
            entries[i]["share_of_product_rate"] = entries[i]["rate"] / max(rates) if rates else None
    report["product_rate"] = max(rates, default=None)
    return report


def table(report):
    """Lines for a terminal."""
    machine, rate = report["machine"], report["product_rate"]
    lines = ["", f"{machine['processor']}, {machine['threads']} threads" + (f", matrix products {rate / 1e9:.0f} GFLOP/s" if rate else "")]
    for name, workload in report["workloads"].items():
        lines += ["", f"{name:24} {'ms [quartiles]':>30} {'x peer':>7} {'x ref':>7} {'GFLOP/s':>8} {'share':>6} {'MB':>7}"]
        for i, entry in workload["implementations"].items():
            lines.append(f"  {i:22} " + (row(entry) if "median" in entry else entry["not_run"]))
        lines += [f"  warning: {doubt}" for doubt in workload["doubts"]]
    return "\n".join(lines)


def row(entry):
    ms = lambda seconds: f"{1e3 * seconds:.4g}"
    number = lambda value, form: "-" if value is None else format(value, form)
    times = f"{ms(entry['median'])} [{', '.join(map(ms, entry['quartiles']))}]"
    ratios = f"{number(entry['over_best_peer'], '.2f'):>7} {number(entry['over_reference'], '.1f'):>7}"
    memory = None if entry["memory"] is None else max(0, entry["memory"]) / 1e6
    return f"{times:>30} {ratios} {entry['rate'] / 1e9:8.1f} {number(entry['share_of_product_rate'], '.0%'):>6} {number(memory, '.0f'):>7}"


if __name__ == "__main__":
    raise SystemExit(main())
