"""``python -m benchmarks scaling --out FOLDER``: time and memory over batch, image size, channels, steps, particles, cells, threads; with
``--processes`` a training step divided among processes (processes.py).

On each axis every implementation is validated and timed at a few values.  The exponent is the slope of the least-squares line through the
upper half of the points on logarithmic axes; at the lower half constant costs dominate.  Crossover points are reported.  FOLDER gets
scaling.json, scaling.md and scaling.png.
"""

import json
import sys
from itertools import permutations
from pathlib import Path

import numpy as np

from benchmarks import measure, processes
from benchmarks.peers import IMPL_HELP, skip_reason, supports
from benchmarks.progress import Progress
from benchmarks.report import PALETTE
from benchmarks.workloads import AXES, SIZE_HELP, WORKLOADS
from reference import plotting
from reference.commands.cli import Parser
from reference.runs.files import output_folder, write_together

THREADS = "threads"
SECONDS, MIN_TURNS = 1.0, 3  # of timing for each implementation and point, and the least number of turns
DEFAULT = (measure.REFERENCE, "accelerated.cpu", processes.PYTORCH)


def main(arguments=None):
    """The exit code: 0, 1 if a port disagrees with the reference or fails, 2 for invalid options."""
    parser = Parser(prog="python -m benchmarks scaling", allow_abbrev=False, description="Time and memory over the size of the work.")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder for scaling.json, scaling.md and scaling.png (required)")
    axes = (*AXES["full"], THREADS)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--axes", nargs="+", choices=axes, default=axes, help="sizes to vary, one at a time (default: all)")
    help_text = "a training step in 1, 2, 4 .. processes of mpiexec, up to the number of processors, instead of sizes (default: off)"
    what.add_argument("--processes", action="store_true", help=help_text)
    default = f"{', '.join(DEFAULT)}; with --processes without the first"
    parser.add_argument("--impl", nargs="+", metavar="NAME", help=IMPL_HELP.format(default))
    parser.add_argument("--size", choices=AXES, default="full", help=SIZE_HELP)
    options = parser.parse_args(arguments)
    folder = Path(options.out)
    if (folder / "scaling.json").exists():
        print(f"{parser.prog}: --out: {folder} already holds a scaling.json and is not overwritten; choose another folder", file=sys.stderr)
        return 2
    try:
        output_folder(folder, "scaling.json")
        reasons = {name: skip_reason(name) for name in options.impl or DEFAULT[options.processes :]}
        if options.processes:
            processes.check(reasons)
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    for name in filter(reasons.get, reasons):
        print(f"{name}: {reasons[name]}")
    present = [name for name, reason in reasons.items() if not reason]
    report = {"machine": measure.machine_info(len(measure.available_processors()))}
    if options.processes:
        report |= processes.measure_cases(present, options.size)
        table, picture = processes.markdown(report), processes.plot(report)
        print("\n".join(table), flush=True)
    else:
        report["axes"] = measure_axes(options.axes, present, options.size)
        table, picture = markdown(report), plot(report)
    texts = {"scaling.json": json.dumps(report, indent=1), "scaling.md": "\n".join(table)}
    made = {name: f"{text}\n".encode() for name, text in texts.items()} | {"scaling.png": picture}
    write_together(folder, made)
    for name in made:
        print(f"wrote {folder / name}")
    if options.processes:
        return int(bool(processes.failed(report)))
    return int(any(measure.failed_ports(entries) for axis in report["axes"].values() for entries in axis.values()))


def measure_axes(names, implementations, size):
    """{axis: {value: {implementation: entry}}}, of which each axis is printed."""
    axes = {}
    for axis in names:
        axes[axis] = measure_axis(axis, implementations, size)
        print("\n".join(axis_table(axis, axes[axis])), flush=True)
    return axes


def measure_axis(axis, implementations, size):
    """{value: {implementation: entry}} of one axis."""
    available, group = len(measure.available_processors()), f"scaling-{size}"
    if axis == THREADS:
        steps = [(threads, f"batch-{max(AXES[size]['batch'])}", threads) for threads in range(1, available + 1)]
    else:
        steps = [(value, f"{axis}-{value}", available) for value in AXES[size][axis]]
    supporting = {value: [i for i in implementations if supports(i, WORKLOADS[group][name])] for value, name, _ in steps}
    with Progress(sum(map(len, supporting.values()))) as log:
        return {
            value: measure.measure_workload(name, group, supporting[value], threads, SECONDS, MIN_TURNS, log)["implementations"]
            for value, name, threads in steps
        }


def series(axis):
    """implementation -> (values, medians, bytes) of the timed points of an axis."""
    found: dict = {}
    for value, entries in axis.items():
        for i, entry in entries.items():
            if "median" in entry:
                for row, number in zip(found.setdefault(i, ([], [], [])), (float(value), entry["median"], max(0, entry["memory"] or 0))):
                    row.append(number)
    return found


def exponent(values, seconds):
    """The slope of log seconds over log value in the upper half of the points; None for fewer than two points."""
    half = len(values) - max(2, (len(values) + 1) // 2)
    if len(values) < 2:
        return None
    return float(np.polyfit(np.log(values[half:]), np.log(seconds[half:]), 1)[0])


def crossovers(axis):
    """Sentences: from which value on one implementation overtakes another, by more than the spread of both."""
    lines = []
    for one, other in permutations(series(axis), 2):
        shared = {value: e for value, e in axis.items() if all("median" in e.get(i, {}) for i in (one, other))}
        behind = [e[other]["quartiles"][1] < e[one]["quartiles"][0] for e in shared.values()]
        ahead = [e[one]["quartiles"][1] < e[other]["quartiles"][0] for e in shared.values()]
        if any(behind) and ahead[-1]:
            begin = len(ahead) - ahead[::-1].index(False)
            lines.append(f"{one} is faster than {other} from {float(list(shared)[begin]):g} on")
    return lines


def markdown(report):
    lines = [f"{report['machine']['processor']}, {report['machine']['threads']} threads, {report['machine']['time'][:10]}."]
    for name, axis in report["axes"].items():
        lines += axis_table(name, axis)
    return lines


def axis_table(name, axis):
    """Lines: the table of one axis, and its crossovers."""
    values = [float(value) for value in axis]
    lines = ["", f"| {name} | {' | '.join(f'{value:g}' for value in values)} | exponent |", "|---" * (len(values) + 2) + "|"]
    for i, (have, seconds, memory) in series(axis).items():
        cells = [f"{1e3 * seconds[have.index(v)]:.4g} ms, {memory[have.index(v)] / 1e6:.0f} MB" if v in have else "" for v in values]
        slope = exponent(have, seconds)
        lines.append(f"| {i} | {' | '.join(cells)} | {'' if slope is None else f'{slope:.2f}'} |")
    return [*lines, "", *[f"- {line}" for line in crossovers(axis)]]


def plot(report):
    columns = 3
    rows = -(-len(report["axes"]) // columns)
    title = f"Time against size: {report['machine']['processor']}, {report['machine']['threads']} threads"
    figure, panels = plotting.subplots(rows, columns, 4.4 * columns, 3.6 * rows, title)
    panels = panels.ravel()
    names = list(dict.fromkeys(i for axis in report["axes"].values() for i in series(axis)))
    for axes, (name, axis) in zip(panels, report["axes"].items()):
        for i, (values, seconds, _) in series(axis).items():
            slope = exponent(values, seconds)
            label = f"{i}, {'' if slope is None else f'exponent {slope:.2f}'}"
            axes.plot(values, [1e3 * s for s in seconds], "o-", color=PALETTE[names.index(i) % len(PALETTE)], markersize=4, label=label)
        axes.set(xscale="log", yscale="log", xlabel=name, ylabel="time (ms)")
        axes.set_xticks([float(value) for value in axis], [f"{float(value):g}" for value in axis])
        axes.set_xticks([], minor=True)
        axes.legend(fontsize=6)
    for axes in panels[len(report["axes"]) :]:
        axes.set_axis_off()
    return plotting.png_bytes(figure)
