"""``errata``: each misprint of the tutorial, its correction, and a number that shows it."""

import sys

from reference.tutorial.errata import ERRATA, LEFT_OUT


def add_options(parser):
    pass


def execute(arguments, ops):
    """The exit code: 1 if a corrected form does not give the expected number: the code is wrong."""
    wrong = []
    for row in ERRATA:
        printed, corrected = row.values()
        print(f"{row.number:5} {row.where}")
        print(f"      printed: {row.printed}")
        print(f"      correct: {row.corrected}")
        if row.holds(corrected):
            print(f"      {row.quantity}: {printed:.4g} as printed, {corrected:.4g} as corrected")
        else:
            numbers = f"{printed:.4g} as printed, {corrected:.7g} by this code"
            print(f"      {row.quantity}: {numbers}, WRONG: it should be {row.expected}")
            wrong.append(f"{row.number} ({row.where})")
    print("left out, because no number shows them")
    for number, reason in LEFT_OUT.items():
        print(f"{number:5} {reason}")
    if wrong:
        found = f"the code no longer gives the correct number for {', '.join(wrong)}"
        print(f"{arguments.program} errata: {found}", file=sys.stderr)
    return int(bool(wrong))
