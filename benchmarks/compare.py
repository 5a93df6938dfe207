"""``python -m benchmarks compare A.json B.json``: changes from one results file to another that exceed their noise.

The sample is the turns, because the calls within a turn are not independent.  The ratio of the medians over turns gets a 95 % interval by
the bootstrap, with a fixed key.  A change is reported if the interval does not contain 1 and the ratio differs from 1 by more than
``MIN_CHANGE``, the difference between two runs of the same code on a quiet machine.
"""

import sys

import numpy as np

from benchmarks.report import read_report, timed_entries
from reference.commands.cli import Parser

MIN_CHANGE = 0.05
DRAWS = 2000
MACHINE = ("processor", "threads")  # fields of the machine; if they differ, a warning is printed


def main(arguments=None):
    """The exit code: 0, 1 if an implementation became slower, 2 for a file that can't be read."""
    parser = Parser(
        prog="python -m benchmarks compare", allow_abbrev=False, description="Changes between two results files that exceed their noise."
    )
    parser.add_argument("before", metavar="A.json", help="the older results file")
    parser.add_argument("after", metavar="B.json", help="the newer results file")
    options = parser.parse_args(arguments)
    try:
        before, after = read_report(options.before), read_report(options.after)
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    for field in MACHINE:
        if before["machine"][field] != after["machine"][field]:
            print(f"warning: different {field}, {before['machine'][field]} and {after['machine'][field]}: the times are not comparable")
    found = changes(before, after)
    for name, implementation, ratio, low, high, verdict in found:
        print(f"{name:22} {implementation:22} {ratio:7.3f} [{low:.3f}, {high:.3f}]  {verdict}")
    if not found:
        print("the files have no timed workload and implementation in common")
    return int(any(verdict == "slower" for *_, verdict in found))


def changes(before, after):
    """(workload, implementation, time after / before, its interval, faster, slower or the same) for every pair timed in both files."""
    old, new, found = timed_entries(before), timed_entries(after), []
    for name in old:
        for implementation in old[name]:
            if implementation in new.get(name, {}):
                ratio, low, high = interval(old[name][implementation]["turns"], new[name][implementation]["turns"])
                verdict = (
                    "slower" if low > 1 and ratio > 1 + MIN_CHANGE else "faster" if high < 1 and ratio < 1 - MIN_CHANGE else "the same"
                )
                found.append((name, implementation, ratio, low, high, verdict))
    return found


def interval(before, after):
    """(ratio of the medians, its 2.5 % and 97.5 % bootstrap quantiles); ``before``, ``after``: lists of seconds, one a turn."""
    old, new = (np.array([np.median(turn) for turn in turns]) for turns in (before, after))
    rng = np.random.default_rng(0)
    resampled = lambda values: np.median(rng.choice(values, (DRAWS, len(values))), axis=1)
    low, high = np.percentile(resampled(new) / resampled(old), (2.5, 97.5))
    return float(np.median(new) / np.median(old)), float(low), float(high)
