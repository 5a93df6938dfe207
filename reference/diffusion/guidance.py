"""Classifier-free guidance (Ho and Salimans 2022)."""


def guide(conditional, unconditional, weight):
    """weight conditional + (1 - weight) unconditional: 0 is unconditional, 1 conditional.  It holds
    for the score, the noise, x_0 and v alike, each an affine function of the others.
    """
    return weight * conditional + (1 - weight) * unconditional
