"""What a row of the table of misprints holds."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Erratum:
    """``quantity``: the number that tells ``printed`` from ``corrected``; ``values`` computes both, the second by the library."""

    number: str
    where: str
    printed: str
    corrected: str
    quantity: str
    values: Callable  # -> (as printed, as corrected)
