"""Misprints of the tutorial (version 3): as printed, as corrected, and a number that tells the two
apart.

The printed form is typed in here, beside the library's function that has the corrected one.
Numbers begin with E and are those that docstrings all over the reference cite.  ``LEFT_OUT``: those
that no number shows, with the reason.
"""

from reference.tutorial.errata import chapters_1_to_3, chapters_4_and_5

ERRATA = (*chapters_1_to_3.ROWS, *chapters_4_and_5.ROWS)
LEFT_OUT = chapters_1_to_3.LEFT_OUT | chapters_4_and_5.LEFT_OUT
