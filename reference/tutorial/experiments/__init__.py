"""Experiments: a question, the answer that theory predicts, and criteria in code that fail if the
measured answer differs.

Each module is one experiment.  It has ``QUESTION`` and ``run(quick, ops) -> Outcome``, with the ops
of a port; ``python -m reference experiment`` runs it.
"""

from dataclasses import dataclass, field
from typing import Any

NAMES = (
    "mixture_steps",
    "corrector_bias",
    "learned_scores",
    "three_models",
    "what_matters",
    "discrete_and_continuous",
    "guidance",
    "restoration",
    "few_steps",
    "captions",
)


@dataclass
class Outcome:
    """``tables``: title -> (header, rows).  ``checks``: (claim, measured value as text, whether the
    claim holds).  ``findings``: sentences for the reader.  ``figure``: a matplotlib Figure.

    ``settings``: the values that the tables depend on, by name.
    """

    tables: dict[str, tuple[tuple, list]] = field(default_factory=dict)
    checks: list[tuple[str, str, bool]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    figure: Any = None
    settings: dict[str, Any] = field(default_factory=dict)

    def check(self, claim, measured, holds):
        self.checks.append((claim, measured, bool(holds)))

    @property
    def passed(self):
        return all(holds for _, _, holds in self.checks)

    def text(self):
        """Tables, checks and findings as printable text."""
        parts = [f"{title}\n{table(header, rows)}" for title, (header, rows) in self.tables.items()]
        checks = [
            f"{'pass' if holds else 'FAIL'}  {claim}: {measured}"
            for claim, measured, holds in self.checks
        ]
        parts.append("\n".join(checks))
        if self.findings:
            parts.append("\n".join(self.findings))
        return "\n\n".join(parts)


def table(header, rows):
    """Right-aligned columns of the least width; numbers have four significant digits."""
    cells = [
        [value if isinstance(value, str) else f"{value:.4g}" for value in row]
        for row in [header, *rows]
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in cells
    )
