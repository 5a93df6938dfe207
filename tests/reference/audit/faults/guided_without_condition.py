"""The condition is dropped: both predictions of the network are the unconditional one.

A label that the network ignores, or a text embedding replaced by the null embedding: guidance of any weight changes nothing.
"""

CAUGHT_BY = "guidance direction"


def guided(conditional, unconditional, weight):
    conditional = unconditional
    return unconditional + weight * (conditional - unconditional)
