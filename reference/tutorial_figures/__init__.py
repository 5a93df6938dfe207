"""The tutorial's computed figures, drawn anew: whatever is simulated comes from the library, and the closed form is drawn over it."""

from reference.tutorial_figures import chapter_2

FIGURES = {
    "2.5": chapter_2.figure_2_5,
    "2.7": chapter_2.figure_2_7,
    "2.10": chapter_2.figure_2_10,
    "2.11": chapter_2.figure_2_11,
}
