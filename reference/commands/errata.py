"""``errata``: each misprint of the tutorial, as printed, as corrected, and the number that shows it."""

from reference.errata import ERRATA, LEFT_OUT


def add_options(parser):
    pass


def execute(arguments, ops):
    for row in ERRATA:
        printed, corrected = row.values()
        print(f"{row.number:5} {row.where}: {row.printed}")
        print(f"      should be {row.corrected}")
        print(f"      {row.quantity}: {printed:.4g} as printed, {corrected:.4g} as corrected")
    print("left out, because no number shows it")
    for number, reason in LEFT_OUT.items():
        print(f"{number:5} {reason}")
    return 0
