"""The tutorial's computed figures: simulations by the library, with the closed form over them.

Each function takes ``quick`` (fewer particles, coarser maps) and ``ops``, a port.  Its docstring
names the equation that it draws, and the values that the tutorial leaves open and the function
chooses.  The note below the figure names them, too.
"""

from reference.tutorial.figures import (
    chapter_2,
    chapter_3,
    chapter_3_scores,
    chapter_4,
    chapter_4_chains,
    chapter_5,
    motion,
)

FIGURES = {  # name -> function(quick, ops) that returns a matplotlib figure
    "2.5": chapter_2.figure_2_5,
    "2.7": chapter_2.figure_2_7,
    "2.10": chapter_2.figure_2_10,
    "2.11": chapter_2.figure_2_11,
    "3.2": chapter_3.figure_3_2,
    "3.3": chapter_3.figure_3_3,
    "3.4": chapter_3.figure_3_4,
    "3.5": chapter_3_scores.figure_3_5,
    "3.6": chapter_3_scores.figure_3_6,
    "3.7": chapter_3_scores.figure_3_7,
    "4.1": chapter_4.figure_4_1,
    "4.2": chapter_4.figure_4_2,
    "4.3": chapter_4.figure_4_3,
    "4.4": chapter_4.figure_4_4,
    "4.5": chapter_4_chains.figure_4_5,
    "4.6": chapter_4_chains.figure_4_6,
    "5.1": chapter_5.figure_5_1,
    "5.2": chapter_5.figure_5_2,
}
# name -> function(quick, ops) that returns a figure and a generator that updates it frame by frame
ANIMATIONS = {"reverse": motion.reverse}
