"""The audit of one target: recognise, then judge.

``CHECKS`` are functions ``check(context)`` in the order of the report.  Each appends to the report;
a ``TargetError`` in one of them becomes a line, and the others go on.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference.audit import data_at_x1, levels
from reference.audit.checks import (
    guidance,
    identities,
    losses,
    noising,
    sampling,
    schedule,
    steps,
    trained,
)
from reference.audit.guard import describe
from reference.audit.report import Check, Convention, Report
from reference.audit.target import Target, TargetError

CHECKS = (
    schedule.check_schedule,
    noising.check_add_noise,
    steps.check_steps,
    sampling.check_sampling,
    losses.check_loss,
    trained.check_model,
    guidance.check_guidance,
    identities.check_identities,
)
FAILED = "the audit itself fails here"


@dataclass
class Context:
    """What the checks share: the target, its report, its ``Levels`` (None if unknown), and what has
    been recognised: name of a convention -> its value.

    ``steps``: the number of steps that the user asked for.
    """

    target: Target
    report: Report
    levels: Any = None
    steps: int = 30
    known: dict = field(default_factory=dict)

    def report_convention(self, name, value, ours, how):
        self.report.conventions.append(Convention(name, str(value), str(ours), how))

    def recognise(self, name, value, ours, how, claimed_as=""):
        """A convention of the target.  A claim, by the same name or ``claimed_as``, that differs
        from it is a fault.
        """
        known = claimed_as or name
        claim = self.target.claims.get(known, value)
        self.known[known] = claim
        self.report_convention(name, value, ours, how)
        if claim != value:
            self.add(
                f"claimed {known}",
                "fault",
                "what the target does is what it claims",
                str(claim),
                f"{value} ({how})",
                "code that relies on the claim feeds it the wrong quantity",
            )

    def agree_on_prediction(self, piece, value, how):
        """The prediction that a piece works with.  Two pieces with two predictions are a fault."""
        if "prediction" not in self.known:
            self.recognise("prediction", value, "noise, x0 or v", how)
            return
        known = self.known["prediction"]
        self.add(
            f"prediction of {piece}",
            "right" if known == value else "fault",
            "loss, step, sample and predict_x0 work with one prediction",
            known,
            f"{value} ({how})",
            "" if known == value else "a network trained for one is read as the other",
        )

    def recognise_levels(self):
        """Report the time base and the form of the levels, once."""
        if self.levels is None or "time" in self.known:
            return
        levels = self.levels
        how = levels.how
        self.known["time"] = levels.time
        self.report_convention(
            "time", levels.time, "1-based, t = 0 is clean", how or "not decidable"
        )
        if levels.data_at_one:
            real = levels.time == "real"
            value = "data at t = 1" if real else "the noise falls with t"
            self.report_convention("direction of time", value, "data at t = 0", how)
        self.recognise("form of x", levels.form, "variance preserving", how or "by the table")

    def add_refusal(self, name, error):
        """A piece that can't be called, once for each error."""
        if str(error) not in [check.came for check in self.report.checks]:
            self.add(
                name,
                "fault",
                "the call returns an array of numbers of the right shape",
                "",
                str(error),
                "the piece can't be used, and nothing more is known of it",
            )

    def add(self, name, verdict, equation="", expected="", came="", effect="", details=()):
        if verdict == "not there" and name in self.target.refused:
            return  # ``close`` says why
        row = Check(name, verdict, equation, expected, came, effect, list(details))
        self.report.checks.append(row)


def audit(target, steps=30):
    """The ``Report`` on a ``Target``."""
    report = Report(target.name, {"steps": steps, "claims": dict(target.claims), **target.facts})
    context = Context(target, report, steps=steps)
    for row in target.notes:
        context.report_convention(*row)
    if target.not_examined:
        context.add("not examined", "not decidable", came=target.not_examined)
        return report
    with np.errstate(all="ignore"):  # numbers of a target may be anything
        try:
            data_at_x1.exchange_by_sample(context)
            context.levels = levels.recognise(target)
            if context.levels is not None and context.levels.time in ("0-based", "1-based"):
                context.steps = min(steps, len(context.levels.times))
        except TargetError as error:
            context.add_refusal("noise levels", error)
        except Exception as error:
            context.add("noise levels", "not decidable", came=f"{FAILED}: {describe(error)}")
        for check in CHECKS:
            try:
                check(context)
            except TargetError as error:
                context.add_refusal(_name(check), error)
            except Exception as error:  # the other checks go on
                context.add(_name(check), "not decidable", came=f"{FAILED}: {describe(error)}")
        close(context)
    report.examined = bool(target.answered)
    return report


def _name(check):
    return check.__name__.removeprefix("check_").replace("_", " ")


def close(context):
    """The lines on what the calls did beside returning a result."""
    target = context.target
    rows = context.report.checks
    rows[:] = [row for row in rows if row.verdict != "not there" or row.name not in target.refused]
    for piece, sentence in target.refused.items():
        context.add(piece, "not decidable", came=sentence)
    for name, known in target.misspelled.items():
        context.add(name, "not decidable", came=f"not read: did you mean {known}?")
    if target.library != "numpy":
        how = "the calls that it accepts" if target.recognised else "declared"
        context.report_convention("arrays", target.library, "numpy", how)
    if target.time_arrays:
        pieces = f"one for each sample in {', '.join(sorted(target.time_arrays))}"
        context.report_convention("times of a call", pieces, "one number", "a number is refused")
    if target.printed:
        context.report_convention("prints", ", ".join(sorted(target.printed)), "nothing", "a call")
    changed = [f"{piece}: {name}" for piece, name in sorted(target.changed)]
    if changed:
        context.add(
            "changes its arguments",
            "fault",
            "a call leaves the arrays that it is given as they are",
            "no array changes",
            ", ".join(changed),
            "a loop that uses the array again, to train or to sample, computes from other numbers",
        )
