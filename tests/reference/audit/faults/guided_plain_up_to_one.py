"""A weight of at most 1 returns the plain conditional prediction.

Guidance is switched on by "w > 1" in much code; tzco/Diffusion-wo-CFG#7 is one of the threads on the meaning of the scale.
"""

CAUGHT_BY = "guidance linear in w"


def guided(conditional, unconditional, weight):
    if weight <= 1:
        return conditional
    return unconditional + weight * (conditional - unconditional)
