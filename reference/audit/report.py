"""What an audit found: conventions and checks, as text and as JSON."""

import json
from dataclasses import dataclass, field

import numpy as np

VERDICTS = ("right", "convention", "fault", "not decidable", "not there")


@dataclass(frozen=True)
class Convention:
    """A convention of the target beside ours.  ``how``: what determined it."""

    name: str
    target: str
    ours: str
    how: str


@dataclass(frozen=True)
class Check:
    """One line of the report.

    ``name`` is that of the check, ``equation`` what must hold, ``expected`` and ``came`` the two
    numbers or texts of the worst place.  ``effect`` says what a fault does to samples.  ``details``
    are JSON values: one dictionary for each place looked at, or each that is wrong.
    """

    name: str
    verdict: str
    equation: str = ""
    expected: str = ""
    came: str = ""
    effect: str = ""
    details: list = field(default_factory=list)

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}, got {self.verdict!r}")


@dataclass
class Report:
    """``target``: its name; ``settings``: the options of the audit; ``conventions`` and ``checks``
    in the order in which they were found; ``examined``: did any piece return numbers?
    """

    target: str
    settings: dict = field(default_factory=dict)
    conventions: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    examined: bool = True

    @property
    def faults(self):
        return [check for check in self.checks if check.verdict == "fault"]

    @property
    def exit_code(self):
        """0 without faults, 1 with faults, 2 if nothing could be examined."""
        return int(bool(self.faults)) if self.examined else 2

    def as_json(self):
        """The report as JSON values, of the form of ``SCHEMA``."""
        return {
            "target": self.target,
            "settings": self.settings,
            "conventions": [vars(row) for row in self.conventions],
            "checks": [vars(check) for check in self.checks],
            "faults": len(self.faults),
        }


ROWS = 3


def dumps(reports):
    """Reports as a JSON text: one report, or a list of several, with the first ``ROWS`` details of
    each fault alone.
    """
    values = [report.as_json() for report in reports]
    if len(values) > 1:
        values = [_shortened(value) for value in values]
    value = values[0] if len(values) == 1 else values
    return json.dumps(plain(value), indent=1, allow_nan=False) + "\n"


def _shortened(report):
    rows = lambda check: check["details"][: ROWS if check["verdict"] == "fault" else 0]
    return report | {"checks": [check | {"details": rows(check)} for check in report["checks"]]}


def plain(value):
    """NumPy numbers and arrays as Python's; numbers that are not finite as text."""
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


SCHEMA = {
    "type": "object",
    "required": ["target", "settings", "conventions", "checks", "faults"],
    "additionalProperties": False,
    "properties": {
        "target": {"type": "string"},
        "settings": {"type": "object"},
        "conventions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "target", "ours", "how"],
                "additionalProperties": False,
                "properties": {
                    name: {"type": "string"} for name in ("name", "target", "ours", "how")
                },
            },
        },
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [
                    "name",
                    "verdict",
                    "equation",
                    "expected",
                    "came",
                    "effect",
                    "details",
                ],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "verdict": {"enum": list(VERDICTS)},
                    **{
                        text: {"type": "string"}
                        for text in ("equation", "expected", "came", "effect")
                    },
                    "details": {"type": "array", "items": {"type": "object"}},
                },
            },
        },
        "faults": {"type": "integer", "minimum": 0},
    },
}


def print_report(report, show=print):
    """What is known of the target, what was checked, and last, in full, what is wrong."""
    show(f"audit of {report.target}")
    if report.conventions:
        rows = [("convention", "of the target", "here", "known by")]
        rows += [(row.name, row.target, row.ours, row.how) for row in report.conventions]
        widths = [max(len(row[i]) for row in rows if len(row[i]) <= WIDEST) for i in range(3)]
        show("")
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths)]
            show("  ".join((*cells, row[3])).rstrip())
    for verdict, title in TITLES.items():
        checks = [check for check in report.checks if check.verdict == verdict]
        if checks:
            show(f"\n{title}")
        for check in checks:
            show(f"  {check.name}" + (f": {check.came}" if check.came else ""))
    missing = [check.name for check in report.checks if check.verdict == "not there"]
    if missing:
        show(f"\nnot there: {', '.join(missing)}")
    for check in report.faults:
        show(f"\nFAULT: {check.name}")
        for name, label in LABELS.items():
            if text := getattr(check, name):
                show(f"  {label:13}{text}")
    show(f"\n{summary(report)}")


WIDEST = 40  # a longer cell moves the next ones of its row
TITLES = {
    "right": "right",
    "convention": "a matter of convention, no fault",
    "not decidable": "not decidable: nothing the target does or claims answers it",
}
LABELS = {
    "equation": "must hold",
    "expected": "expected",
    "came": "came",
    "effect": "in samples",
}


def summary(report):
    """The last line: ``2 faults: step mean, last step``."""
    if not report.examined:
        return "nothing could be examined"
    names = ", ".join(check.name for check in report.faults)
    count = len(report.faults)
    return f"{count} fault{'s' * (count != 1)}" + (f": {names}" if names else "")
