"""``python -m benchmarks compare A.json B.json``: what changed from one measurement to another, beyond their noise.

Turns are the sample: calls within one have the same neighbours on the machine.  The ratio of the medians over turns has a 95 % interval by
the bootstrap, drawn with a fixed key; a change is one whose interval does not hold 1, and which is larger than ``LEAST``, since two runs
on a quiet machine differ by that much of themselves.
"""

import sys

import numpy as np

from benchmarks.report import read, timed
from reference.__main__ import Parser

LEAST = 0.05
DRAWS = 2000
MACHINE = ("processor", "threads")  # where these differ, times can't be compared


def main(arguments=None):
    """The exit code: 0, 1 if something became slower, 2 for what can't be read."""
    parser = Parser(prog="python -m benchmarks compare", allow_abbrev=False, description="What changed beyond the noise.")
    parser.add_argument("before", metavar="A.json")
    parser.add_argument("after", metavar="B.json")
    options = parser.parse_args(arguments)
    try:
        before, after = read(options.before), read(options.after)
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    for word in MACHINE:
        if before["machine"][word] != after["machine"][word]:
            print(f"warning: {word} was {before['machine'][word]} and is {after['machine'][word]}: times of two machines are compared")
    found = changes(before, after)
    for name, implementation, ratio, low, high, verdict in found:
        print(f"{name:22} {implementation:22} {ratio:7.3f} [{low:.3f}, {high:.3f}]  {verdict}")
    if not found:
        print("no workload of one was timed in the other")
    return int(any(verdict == "slower" for *_, verdict in found))


def changes(before, after):
    """(workload, implementation, time after / before, its interval, faster, slower or the same) of all that both have timed."""
    old, new, found = timed(before), timed(after), []
    for name in old:
        for implementation in old[name]:
            if implementation in new.get(name, {}):
                ratio, low, high = interval(old[name][implementation]["turns"], new[name][implementation]["turns"])
                verdict = "slower" if low > 1 and ratio > 1 + LEAST else "faster" if high < 1 and ratio < 1 - LEAST else "the same"
                found.append((name, implementation, ratio, low, high, verdict))
    return found


def interval(before, after):
    """(ratio of the medians, 2.5 % and 97.5 % of its bootstrap distribution); ``before``, ``after``: lists of seconds, one a turn."""
    old, new = (np.array([np.median(turn) for turn in turns]) for turns in (before, after))
    rng = np.random.default_rng(0)
    resampled = lambda values: np.median(rng.choice(values, (DRAWS, len(values))), axis=1)
    low, high = np.percentile(resampled(new) / resampled(old), (2.5, 97.5))
    return float(np.median(new) / np.median(old)), float(low), float(high)
