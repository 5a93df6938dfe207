"""``errata``: each misprint of the tutorial, as printed, as corrected, and the number that shows
it.
"""

import sys

from reference.tutorial.errata import ERRATA, LEFT_OUT


def add_options(parser):
    pass


def execute(arguments, ops):
    """The exit code: 1 if a number of the corrected form is not the right one, so that the code is
    wrong where the tutorial was.
    """
    wrong = []
    for row in ERRATA:
        printed, corrected = row.values()
        print(f"{row.number:5} {row.where}: {row.printed}")
        print(f"      should be {row.corrected}")
        if row.holds(corrected):
            print(f"      {row.quantity}: {printed:.4g} as printed, {corrected:.4g} as corrected")
        else:
            print(
                f"      {row.quantity}: {printed:.4g} as printed, {corrected:.7g} by this code, WRONG: it should be {row.right}"
            )
            wrong.append(f"{row.number} ({row.where})")
    print("left out, because no number shows it")
    for number, reason in LEFT_OUT.items():
        print(f"{number:5} {reason}")
    if wrong:
        print(
            f"{arguments.program} errata: the code no longer gives the right number of {', '.join(wrong)}",
            file=sys.stderr,
        )
    return int(bool(wrong))
