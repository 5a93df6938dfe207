"""The code claims w = 1 to be the conditional prediction, and computes (1 + w) c - w u.

threestudio#127 and stable-dreamfusion#32 ask which of both it is: 7.5 of one is 6.5 of the other.
"""

CAUGHT_BY = "claimed guidance"
CLAIMS = {"guidance": "conditional at 1"}


def guided(conditional, unconditional, weight):
    return (1 + weight) * conditional - weight * unconditional
