"""A row of the table of misprints."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Erratum:
    """A misprint.  ``quantity`` names a number that differs between ``printed`` and ``corrected``.
    ``values`` computes it for both; the corrected one by the library.

    ``right`` holds the digits of the corrected number, from a calculation without the library's
    code (tests/reference/test_errata.py).
    """

    number: str
    where: str
    printed: str
    corrected: str
    quantity: str
    values: Callable  # -> (as printed, as corrected)
    right: str
    # allowed deviation of a number that is estimated from random draws; 0: it rounds to ``right``
    chance: float = 0.0

    def holds(self, corrected):
        """Whether the library's number agrees with ``right``."""
        half_a_unit = 0.5001 * 10.0 ** -len(self.right.partition(".")[2])
        return abs(corrected - float(self.right)) <= max(self.chance, half_a_unit)
