"""What a row of the table of misprints holds."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Erratum:
    """``quantity``: the number that tells ``printed`` from ``corrected``; ``values`` computes both,
    the second by the library.

    ``right`` is the second as it should be: the decimals of a calculation without the library's
    code (tests/reference/test_errata.py).
    """

    number: str
    where: str
    printed: str
    corrected: str
    quantity: str
    values: Callable  # -> (as printed, as corrected)
    right: str
    # by which a number that is drawn may differ from it; others round to its digits
    chance: float = 0.0

    def holds(self, corrected):
        """Is the library's number the right one?"""
        half_a_unit = 0.5001 * 10.0 ** -len(self.right.partition(".")[2])
        return abs(corrected - float(self.right)) <= max(self.chance, half_a_unit)
