"""``python -m benchmarks report OUT.json --out FOLDER``: a Markdown table and plots of a results file.

table.md      times, ratios, rates, warnings
bars.png      the median of each implementation, with quartiles, as a multiple of the fastest one's in each workload
roofline.png  operations per second over operations per byte, below the roof: the rates of matrix products and copies on this machine
"""

import json
import sys
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.table import COLUMNS, LEGEND, TIMES, row
from reference import plotting
from reference.commands.cli import Parser
from reference.runs.files import output_folder, write_atomically

PALETTE = (plotting.BLUE, plotting.VERMILION, plotting.SKY, plotting.ORANGE, plotting.GREEN, plotting.PURPLE, plotting.BLACK, plotting.GREY)


def main(arguments=None):
    """The exit code: 0, 2 for a file that can't be read or written."""
    parser = Parser(prog="python -m benchmarks report", allow_abbrev=False, description="A table and plots of a results file.")
    parser.add_argument("report", metavar="OUT.json", help="a results file of python -m benchmarks --json")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder for table.md, bars.png and roofline.png (required)")
    options = parser.parse_args(arguments)
    try:
        report, folder = read_report(options.report), output_folder(options.out)
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    made = {"table.md": ("\n".join(markdown(report)) + "\n").encode(), "bars.png": bars(report), "roofline.png": roofline(report)}
    for name, content in made.items():
        write_atomically(folder / name, content)
        print(f"wrote {folder / name}")
    return 0


NEW_NAMES = {  # of format 1's words in format 2
    "left_out": "skipped",
    "product_rate": "matmul_rate",
    "share_of_product_rate": "share_of_matmul_rate",
    "doubts": "warnings",
    "not_run": "not_timed",
    "error_over_budget": "error_over_tolerance",
    "others": "other_processes",
    "product": "matmul",
    "particles-given": "particles-given-noise",
    "particles-own": "particles-own-noise",
}
REQUIRED_FIELDS = {  # read by tables and plots
    "": ("machine", "skipped", "matmul_rate", "copy_bandwidth"),
    "machine": ("processor", "threads", "time", "versions"),
    "workload": ("implementations", "operations", "bytes", "warnings"),
    "time": ("median", "quartiles", "turns", "memory", "rate", "bandwidth", "over_best_peer"),
}


def read_report(path):
    """A report in format 2 from a results file of format 1 or 2.  ValueError for any other file."""
    not_one = f"{path} is not a results file of python -m benchmarks --json"
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{not_one}: it is not JSON") from None
    if not isinstance(report, dict) or report.get("format") not in (1, 2) or not report.get("workloads"):
        raise ValueError(f"{not_one}: it must be an object of format 1 or 2 with workloads")
    report = _renamed(report) if report["format"] == 1 else report
    try:
        times = [entry for entries in timed_entries(report).values() for entry in entries.values()]
        parts = [("", report), ("machine", report["machine"])]
        parts += [("workload", one) for one in report["workloads"].values()] + [("time", entry) for entry in times]
        missing = [field for part, held in parts for field in REQUIRED_FIELDS[part] if field not in held]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{not_one}: {error}") from None
    if missing:
        raise ValueError(f"{not_one}: it has no {missing[0]}")
    return report


def _renamed(part):
    """A part of a report of format 1, with the names of format 2."""
    if isinstance(part, dict):
        return {NEW_NAMES.get(name, name): _renamed(inner) for name, inner in part.items()}
    return part


def timed_entries(report):
    """workload -> implementation -> entry, for the timed ones."""
    of = {name: {i: e for i, e in work["implementations"].items() if "median" in e} for name, work in report["workloads"].items()}
    return {name: entries for name, entries in of.items() if entries}


def markdown(report):
    """Lines: a table with a row a workload and a column an implementation; then untimed implementations, warnings and rates."""
    machine, work = report["machine"], timed_entries(report)
    names = list(dict.fromkeys(i for entries in work.values() for i in entries))
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{machine['processor']}, {machine['threads']} threads, {machine['time'][:10]}; {versions}.", ""]
    lines += ["Milliseconds: median ± half the distance between the quartiles, fastest in bold; x: speed relative to the best peer.", ""]
    lines += [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, entries in work.items():
        fastest = min(entry["median"] for entry in entries.values())
        cells = [cell(i, entries[i], fastest) if i in entries else "" for i in names]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    warnings = [f"- {name}: {line}" for name, one in report["workloads"].items() for line in one["warnings"]]
    not_timed = [
        f"- {name}: {i} is not timed: {entry['not_timed']}"
        for name, one in report["workloads"].items()
        for i, entry in one["implementations"].items()
        if "median" not in entry
    ]
    skipped = [f"- {name}: {reason}" for name, reason in report["skipped"].items()]
    return [*lines, "", *not_timed, *skipped, *warnings, "", *rates_table(work)]


def rates_table(work):
    """Lines: a table of rates, memory and start-up times, with a row for each implementation of each workload."""
    columns = COLUMNS[len(TIMES) :]
    lines = [LEGEND, "", f"| | | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    cells = lambda entry: " | ".join(row(entry)[len(TIMES) :])
    return lines + [f"| {name} | {i} | {cells(entry)} |" for name, entries in work.items() for i, entry in entries.items()]


def cell(implementation, entry, fastest):
    """The time of one implementation, and for a port its speed relative to the best peer."""
    low, high = entry["quartiles"]
    text = f"{1e3 * entry['median']:.4g} ± {(high - low) / 2 / entry['median']:.0%}"
    text = f"**{text}**" if entry["median"] == fastest else text
    ratio = entry.get("over_best_peer")
    return f"{text}, {ratio:.2f}x" if ratio and implementation not in PEERS else text


def bars(report):
    return plotting.png_bytes(bars_figure(report))


def bars_figure(report):
    """Times of each workload as multiples of the fastest implementation's, on a logarithmic axis; each bar begins at 1."""
    work = timed_entries(report)
    names = list(dict.fromkeys(i for entries in work.values() for i in entries))
    title = f"Time of each workload, {report['machine']['processor']}, {report['machine']['threads']} threads"
    figure, ((axes,),) = plotting.subplots(1, 1, 9.5, 1.6 + 0.22 * sum(map(len, work.values())) + 0.2 * len(work), title)
    place, ticks = 0.0, {}
    points: dict[str, list] = {i: [] for i in names}
    for name, entries in work.items():
        fastest, first = min(entry["median"] for entry in entries.values()), place
        for i, entry in entries.items():
            points[i].append((place, *(value / fastest for value in (entry["median"], *entry["quartiles"]))))
            text, at = format_time(entry["median"]), (entry["quartiles"][1] / fastest, place)
            axes.annotate(text, at, (6, 0), textcoords="offset points", va="center", fontsize=7, color="#444444")
            place += 1
        ticks[(first + place - 1) / 2] = name
        place += 0.8
    for i, color in zip(names, cycle(PALETTE)):
        places, median, low, high = np.array(points[i]).T
        axes.barh(places, median - 1, 0.5, left=1, color=color)
        spread = np.stack((median - low, high - median))
        axes.errorbar(median, places, xerr=spread, fmt="o", color=color, ecolor="#444444", markersize=4, label=i)
    slowest = max(high for found in points.values() for *_, high in found)
    axes.set_xscale("log")
    marks = [mark for mark in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if mark <= 2 * slowest]
    axes.set_xticks(marks, [f"{mark}x" for mark in marks])
    axes.minorticks_off()
    axes.set_xlim(0.8, 2 * slowest)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(place - 0.8, -1)
    axes.set_ylabel("workload")
    axes.set_xlabel("median time / median time of the fastest implementation; lines: quartiles")
    figure.legend(fontsize=8, loc="outside lower center", ncols=4)
    return figure


def format_time(seconds):
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def roofline(report):
    """The rate of every implementation of every workload over operations per byte, and the roof of this machine."""
    title = f"Rate of each workload below this machine's roof, {report['machine']['processor']}, {report['machine']['threads']} threads"
    figure, ((axes,),) = plotting.subplots(1, 1, 9.5, 6, title)
    work = timed_entries(report)
    names = list(dict.fromkeys(i for entries in work.values() for i in entries))
    rate, bandwidth = report["matmul_rate"], report["copy_bandwidth"]
    intensities = {name: sum(one["operations"].values()) / sum(one["bytes"].values()) for name, one in report["workloads"].items()}
    x = np.geomspace(min(0.05, *intensities.values()) / 2, max(200, *intensities.values()) * 2, 200)
    axes.plot(x, np.minimum(rate, x * bandwidth) / 1e9, color=plotting.BLACK, label=f"{rate / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s")
    for name, entries in work.items():
        for i, entry in entries.items():
            color = PALETTE[names.index(i) % len(PALETTE)]
            axes.plot(intensities[name], entry["rate"] / 1e9, "o", color=color, markersize=5, alpha=0.8)
    for i in names:
        axes.plot([], [], "o", color=PALETTE[names.index(i) % len(PALETTE)], label=i)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations per byte, by the contract's counts, if every op reads and writes memory")
    axes.set_ylabel("rate (GFLOP/s)")
    axes.legend(fontsize=7)
    axes.set_ylim(top=8 * max(rate, *(entry["rate"] for entries in work.values() for entry in entries.values())) / 1e9)
    figure.draw_without_rendering()  # fixes the positions that label_points reads
    label_points(axes, {name: [(intensities[name], entry["rate"] / 1e9) for entry in entries.values()] for name, entries in work.items()})
    return plotting.png_bytes(figure)


def label_points(axes, points, size=6):
    """Write each name above the highest of its points, clear of all plotted points and of the other names."""
    in_points, step = lambda place: axes.transData.transform(place) * 72 / axes.figure.dpi, 1.5 * size
    taken = [(*in_points(place), 2) for line in axes.lines for place in line.get_xydata()]
    for name, places in sorted(points.items(), key=lambda item: max(rate for _, rate in item[1])):
        place = max(places, key=lambda place: place[1])
        x, y = in_points(place)
        at, half = y + step, 0.3 * size * len(name)
        while any(abs(x - other) < half + width and abs(at - height) < step for other, height, width in taken):
            at += size / 4
        taken.append((x, at, half))
        line = {"arrowstyle": "-", "linewidth": 0.3, "shrinkA": 0, "shrinkB": 2} if at > y + step else None
        axes.annotate(name, place, xytext=(0, at - y), textcoords="offset points", fontsize=size, ha="center", va="center", arrowprops=line)
