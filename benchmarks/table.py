"""The table of results for a terminal: a row for each implementation of each workload."""

TIMES = ("ms [quartiles]", "x peer", "x ref")
COLUMNS = (*TIMES, "GFLOP/s", "share", "GB/s", "share", "MB", "import s", "first s")
WIDTHS = (30, 7, 7, 8, 6, 7, 6, 7, 9, 8)
LEGEND = """\
x peer, x ref: speed relative to the best peer and to the reference; share: of the measured rate of matrix products, and of the measured
bandwidth of a copy in memory (caches exceed it); MB: peak memory of a call; import s: to import the libraries; first s: from then to the
first results, including compilation"""


def table(report):
    """Lines for a terminal."""
    machine, rate = report["machine"], report["matmul_rate"]
    rates = [f"matrix products {rate / 1e9:.0f} GFLOP/s"] if rate else []
    rates += [f"copies {report['copy_bandwidth'] / 1e9:.1f} GB/s"]
    lines = ["", ", ".join((machine["processor"], f"{machine['threads']} threads", *rates)), LEGEND]
    compiling = [f"{name} {seconds:.0f} s" for name, seconds in report.get("compiling", {}).items() if seconds > 1]
    lines += [f"compiled before the first workload: {', '.join(compiling)}"] if compiling else []
    for name, workload in report["workloads"].items():
        lines += ["", *rows(name, workload)]
    return "\n".join(lines)


def rows(name, workload):
    """Lines of one workload: the names of the columns, a row for each implementation, warnings."""
    lines = [f"{name:24} {aligned(COLUMNS)}"]
    for i, entry in workload["implementations"].items():
        lines.append(f"  {i:22} " + (aligned(row(entry)) if "median" in entry else entry["not_timed"]))
    return lines + [f"  warning: {line}" for line in workload["warnings"]]


def aligned(cells):
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS))


def row(entry):
    """The cells of COLUMNS for one implementation."""
    ms = lambda seconds: f"{1e3 * seconds:.4g}"
    number = lambda value, form: "-" if value is None else format(value, form)
    memory = None if entry["memory"] is None else max(0, entry["memory"]) / 1e6
    return (
        f"{ms(entry['median'])} [{', '.join(map(ms, entry['quartiles']))}]",
        number(entry["over_best_peer"], ".2f"),
        number(entry["over_reference"], ".1f"),
        f"{entry['rate'] / 1e9:.1f}",
        number(entry["share_of_matmul_rate"], ".0%"),
        f"{entry['bandwidth'] / 1e9:.1f}",
        f"{entry['share_of_copy_bandwidth']:.0%}",
        number(memory, ".0f"),
        f"{entry['import']:.2f}",
        f"{entry['first']:.2f}",
    )
