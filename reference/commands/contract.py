"""``contract``: the ops of the contract, one row each."""

from reference.conformance.contract import CONTRACT


def add_options(parser):
    pass


def execute(arguments, ops):
    rows = [("family", "op", "arguments", "results", "gradients", "rule")]
    rows += [
        (op.family, op.name, op.arguments, op.results or "in place", op.gradients or "-", op.rule)
        for op in CONTRACT
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0
