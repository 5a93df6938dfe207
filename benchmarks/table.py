"""What was measured, as lines for a terminal: a row for each implementation of each workload."""

TIMES = ("ms [quartiles]", "x peer", "x ref")
COLUMNS = (*TIMES, "GFLOP/s", "share", "GB/s", "share", "MB", "import s", "first s")
WIDTHS = (30, 7, 7, 8, 6, 7, 6, 7, 9, 8)
LEGEND = """\
x: how many times as fast; share: of the rate of matrix products, or of a copy in memory, both measured here (caches do more); MB: what a
call needs at its peak; import: seconds until the libraries are there; first: from then to the first results, with compiling"""


def table(report):
    """Lines for a terminal."""
    machine, rate = report["machine"], report["product_rate"]
    measured = [f"matrix products {rate / 1e9:.0f} GFLOP/s"] if rate else []
    measured += [f"copies {report['copy_bandwidth'] / 1e9:.1f} GB/s"]
    lines = ["", ", ".join((machine["processor"], f"{machine['threads']} threads", *measured)), LEGEND]
    compiling = [f"{name} {seconds:.0f} s" for name, seconds in report.get("compiling", {}).items() if seconds > 1]
    lines += [f"compiled before all of this: {', '.join(compiling)}"] if compiling else []
    for name, workload in report["workloads"].items():
        lines += ["", *rows(name, workload)]
    return "\n".join(lines)


def rows(name, workload):
    """Lines of one workload: the names of the columns, a row for each implementation, doubts."""
    lines = [f"{name:24} {aligned(COLUMNS)}"]
    for i, entry in workload["implementations"].items():
        lines.append(f"  {i:22} " + (aligned(row(entry)) if "median" in entry else entry["not_run"]))
    return lines + [f"  warning: {doubt}" for doubt in workload["doubts"]]


def aligned(cells):
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS))


def row(entry):
    """Cells of the columns."""
    ms = lambda seconds: f"{1e3 * seconds:.4g}"
    number = lambda value, form: "-" if value is None else format(value, form)
    memory = None if entry["memory"] is None else max(0, entry["memory"]) / 1e6
    return (
        f"{ms(entry['median'])} [{', '.join(map(ms, entry['quartiles']))}]",
        number(entry["over_best_peer"], ".2f"),
        number(entry["over_reference"], ".1f"),
        f"{entry['rate'] / 1e9:.1f}",
        number(entry["share_of_product_rate"], ".0%"),
        f"{entry['bandwidth'] / 1e9:.1f}",
        f"{entry['share_of_copy_bandwidth']:.0%}",
        number(memory, ".0f"),
        f"{entry['import']:.2f}",
        f"{entry['first']:.2f}",
    )
