"""The page of the published schedulers: a function of the recorded reports and of the explanations.

    python -m reference.audit.page docs/schedulers.json docs/schedulers.toml docs/schedulers.md

An explanation (a table ``[[explanation]]`` of the TOML file) has ``title``, ``kind`` (one of
``KINDS``), ``text``, and what it explains: ``checks``, and ``targets``, the beginnings of the names
of reports without "diffusers:"; ``came``, a text that the line must hold, is optional.  A fault has
``reproduction`` too, and may have ``expected``, ``got`` and ``issues``; ``report = true`` writes it
as it would be sent.
"""

import json
import sys
import textwrap
import tomllib
from pathlib import Path

KINDS = {
    "fault": "Faults",
    "limit": "Limits that end in an obscure error",
    "documented choice": "Documented choices",
    "convention": "Conventions",
    "rounding": "Rounding",
}
WIDTH = 140
CHOSEN = ("time", "form of x", "prediction", "grid", "sampler", "start", "network's time")


def read(reports, explanations):
    """(reports, explanations) of the two files."""
    found = json.loads(Path(reports).read_text())
    return found, tomllib.loads(Path(explanations).read_text())["explanation"]


def short(report):
    return report["target"].removeprefix("diffusers:")


def faults(report):
    return [check for check in report["checks"] if check["verdict"] == "fault"]


def explains(explanation, report, check):
    """Is this the explanation of a line?"""
    name = short(report)
    return (
        check["name"] in explanation["checks"]
        and any(_begins(name, start) for start in explanation["targets"])
        and explanation.get("came", "") in check["came"]
    )


def _begins(name, start):
    """``start``: the class and the beginning of its options, "*" for every class."""
    kind, _, options = start.partition(" ")
    of, _, own = name.partition(" ")
    return kind in ("*", of) and all(option in own.split() for option in options.split())


def unexplained(reports, explanations):
    """(report, check) of each fault that no explanation explains."""
    return [
        (short(report), check["name"])
        for report in reports
        for check in faults(report)
        if not any(explains(each, report, check) for each in explanations)
    ]


def unused(reports, explanations):
    """The titles of explanations that explain no fault of the reports."""
    rows = [(report, check) for report in reports for check in faults(report)]
    return [each["title"] for each in explanations if not any(explains(each, *row) for row in rows)]


def page(reports, explanations):
    """The page as Markdown."""
    parts = [_head(reports), _table(reports, explanations)]
    for kind, title in KINDS.items():
        chosen = [each for each in explanations if each["kind"] == kind]
        if chosen:
            parts.append(f"## {title}\n")
            parts += [_explanation(each, reports) for each in chosen]
    parts += [_upstream(reports, explanations), _conventions(reports), _not_examined(reports)]
    return "\n".join(parts)


def _wrap(text):
    return "\n\n".join(textwrap.fill(" ".join(p.split()), WIDTH) for p in text.split("\n\n"))


def versions(reports):
    return reports[0]["settings"]["versions"]


def _examined(reports):
    return [report for report in reports if len(report["checks"]) > 1]


def _head(reports):
    examined, kinds = _examined(reports), versions(reports)
    classes = {short(report).split()[0] for report in examined}
    named = " and ".join(f"{name} {version}" for name, version in kinds.items())
    steps = examined[0]["settings"]["steps"]
    text = f"""The audit of the schedulers of {named}: {len(classes)} classes in {len(examined)}
    settings, with {steps} steps.  The numbers are those of the recorded reports,
    `docs/schedulers.json`.  A line of a report is a fault where the scheduler contradicts itself,
    its documentation or the closed form.  This page says of each whether it is a fault of the code,
    a choice that its documentation states, a limit, a convention or rounding."""
    torch = kinds["torch"].partition("+")[0]
    command = f"""```
pip install diffusers=={kinds["diffusers"]} torch=={torch} torchsde
rm docs/schedulers.json
python -m reference audit diffusers:all --json docs/schedulers.json
python -m reference.audit.page docs/schedulers.json docs/schedulers.toml docs/schedulers.md
python -m reference audit diffusers:DDIMScheduler --option timestep_spacing=linspace
```
"""
    return f"# The schedulers of diffusers\n\n{_wrap(text)}\n\n{command}"


def _anchor(title):
    kept = "".join(c for c in title if c.isalnum() or c in "_ -")
    return kept.lower().replace(" ", "-")


def _table(reports, explanations):
    lines = ["## Results\n", "| Scheduler | Settings | Lines explained below |", "|---|---|---|"]
    classes: dict = {}
    for report in _examined(reports):
        classes.setdefault(short(report).split()[0], []).append(report)
    for kind, own in classes.items():
        titles = [
            each["title"]
            for each in explanations
            if any(explains(each, report, check) for report in own for check in faults(report))
        ]
        links = " · ".join(f"[{title}](#{_anchor(title)})" for title in titles)
        lines.append(f"| {kind} | {len(own)} | {links or 'none'} |")
    return "\n".join([*lines, ""])


def _where(names):
    """The reports of an explanation: all of them, or their classes if they are many."""
    if len(names) <= 8:
        return f"In {'; '.join(names)}."
    classes = dict.fromkeys(name.split()[0] for name in names)
    return f"In {len(names)} settings of {', '.join(classes)}."


def _explanation(each, reports):
    rows = [(r, c) for r in reports for c in faults(r) if explains(each, r, c)]
    lines = [f"### {each['title']}\n", _wrap(each["text"]), ""]
    if rows:
        report, check = rows[0]
        lines.append(_wrap(_where(list(dict.fromkeys(short(report) for report, _ in rows)))))
        expected = f" Expected: {check['expected']}." if check["expected"] else ""
        lines += [
            "",
            _wrap(f"{check['name']} of {short(report)}:{expected} Came: {check['came']}."),
            "",
        ]
    if "reproduction" in each:
        lines += ["```python", each["reproduction"].strip("\n"), "```", ""]
    if each.get("issues"):
        lines += [_wrap("Public: " + ", ".join(each["issues"]) + "."), ""]
    return "\n".join(lines)


def _upstream(reports, explanations):
    lines = ["## Reports as they would be sent\n"]
    named = ", ".join(f"{name} {version}" for name, version in versions(reports).items())
    for each in explanations:
        if each.get("report"):
            lines += [
                f"**{each['title']}**\n",
                _wrap(each["text"]),
                f"\nVersions: {named}.\n",
                "```python",
                each["reproduction"].strip("\n"),
                "```\n",
                f"Expected: {_wrap(each['expected'])}\n",
                f"Got: {_wrap(each['got'])}\n",
            ]
    return "\n".join(lines)


def _conventions(reports):
    lines = [
        "## Conventions of each class, with default options\n",
        "| Scheduler | " + " | ".join(CHOSEN) + " |",
        "|---" * (len(CHOSEN) + 1) + "|",
    ]
    for report in _examined(reports):
        if " " not in short(report):
            found = {row["name"]: row["target"].replace("|", "/") for row in report["conventions"]}
            grid = found.get("grid of timesteps", found.get("grid of sample", ""))
            found["grid"] = grid
            lines.append(
                f"| {short(report)} | " + " | ".join(found.get(n, "") for n in CHOSEN) + " |"
            )
    return "\n".join([*lines, ""])


def _not_examined(reports):
    lines = ["## Not examined\n", "| Scheduler | Because |", "|---|---|"]
    for report in reports:
        if len(report["checks"]) == 1:
            lines.append(f"| {short(report)} | {report['checks'][0]['came']} |")
    return "\n".join([*lines, ""])


def main(arguments):
    reports, explanations = read(*arguments[:2])
    for name, check in unexplained(reports, explanations):
        print(f"not explained: {name}: {check}")
    for title in unused(reports, explanations):
        print(f"explains nothing: {title}")
    Path(arguments[2]).write_text(page(reports, explanations))


if __name__ == "__main__":
    main(sys.argv[1:])
