"""A row of the table of misprints."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Erratum:
    """A misprint.  ``quantity`` names a number that differs between ``printed`` and ``corrected``.
    ``values`` computes it for both; the corrected one by the library.

    ``expected`` holds the digits of the corrected number, from a calculation without the library's
    code (tests/reference/test_errata.py).
    """

    number: str
    where: str
    printed: str
    corrected: str
    quantity: str
    values: Callable  # -> (as printed, as corrected)
    expected: str
    # allowed deviation of a number estimated from random draws; 0: it rounds to ``expected``
    tolerance: float = 0.0

    def holds(self, corrected):
        """Whether the library's number agrees with ``expected``."""
        half_a_unit = 0.5001 * 10.0 ** -len(self.expected.partition(".")[2])
        return abs(corrected - float(self.expected)) <= max(self.tolerance, half_a_unit)
