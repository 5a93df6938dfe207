"""Experiments: a question, an answer that theory predicts, and a criterion in code that fails if
the answer is another one.

A module is one experiment, with ``QUESTION`` and ``run(quick) -> Outcome``; ``python -m reference
experiment`` runs them.
"""

from dataclasses import dataclass, field
from typing import Any

NAMES = (
    "few_steps",
    "corrector_bias",
    "learned_scores",
    "three_models",
    "what_matters",
    "discrete_and_continuous",
)


@dataclass
class Outcome:
    """Tables, title -> (header, rows); checks, (claim, what was measured, whether it holds);
    findings to be read; a matplotlib Figure.

    ``settings``: what the tables depend on, by name.
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
        """Tables, checks and findings as they are printed."""
        parts = [f"{title}\n{table(header, rows)}" for title, (header, rows) in self.tables.items()]
        parts.append(
            "\n".join(
                f"{'pass' if holds else 'FAIL'}  {claim}: {measured}"
                for claim, measured, holds in self.checks
            )
        )
        return "\n\n".join(parts + ["\n".join(self.findings)] * bool(self.findings))


def table(header, rows):
    """Columns as wide as they must be, numbers with four significant digits."""
    cells = [
        [value if isinstance(value, str) else f"{value:.4g}" for value in row]
        for row in [header, *rows]
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in cells
    )
