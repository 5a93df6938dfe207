"""Misprints of the tutorial (version 3): the printed form, the corrected form, and a number that
tells the two apart.

The printed form is typed in here.  The corrected form is the library's own function.  Each misprint
has one number; docstrings all over the reference cite it (E1, E2, E2b, ...).  ``ERRATA`` and
``LEFT_OUT`` are in the order of these numbers.  ``LEFT_OUT`` holds the misprints that no number can
show, with the reason.
"""

from reference.tutorial.errata import chapters_1_to_3, chapters_4_and_5


def sort_key(number):
    """E9 before E10, E10 before E10b."""
    digits = number.strip("Eabcdefghij")
    return int(digits), number[1 + len(digits) :]


_ROWS = (*chapters_1_to_3.ROWS, *chapters_4_and_5.ROWS)
_REASONS = chapters_1_to_3.LEFT_OUT | chapters_4_and_5.LEFT_OUT
ERRATA = tuple(sorted(_ROWS, key=lambda row: sort_key(row.number)))
LEFT_OUT = {number: _REASONS[number] for number in sorted(_REASONS, key=sort_key)}
