"""Guidance rescale with phi = 0.7 (Lin et al. 2024)."""

RECOGNISED = {"guidance": "conditional at 1", "guidance rescale": "0.7"}


def guided(conditional, unconditional, weight):
    mixed = unconditional + weight * (conditional - unconditional)
    axes = tuple(range(1, mixed.ndim))
    ratio = conditional.std(axis=axes, keepdims=True) / mixed.std(axis=axes, keepdims=True)
    return 0.7 * mixed * ratio + 0.3 * mixed
