"""u + w c: the unconditional prediction is not taken off.

The coefficients sum to 1 + w, so the prediction grows with w. "w or 1 + w?" is the question of huggingface/diffusers#5882.
"""

CAUGHT_BY = "guidance of equal predictions"


def guided(conditional, unconditional, weight):
    return unconditional + weight * conditional
