"""The two halves of the batch are taken in the wrong order, so c and u are exchanged.

The batch is [unconditional, conditional] in some code and [conditional, unconditional] in other; the wrong one moves away from c.
"""

CAUGHT_BY = "guidance direction"


def guided(conditional, unconditional, weight):
    conditional, unconditional = unconditional, conditional
    return unconditional + weight * (conditional - unconditional)
