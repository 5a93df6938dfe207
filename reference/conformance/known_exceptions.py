"""Known exceptions of a port: failing checks that a report tolerates until a date.

A JSON file holds a list of rows, a TOML file tables ``[[exception]]``:

    [[exception]]
    op = "softmax"
    check = "results are within tolerance"
    reason = "exp of the math library is off by 3 roundings"
    until = 2027-03-31                                              # the last day; JSON: a string
"""

import datetime
import json
import tomllib
from pathlib import Path
from typing import NamedTuple

FIELDS = ("op", "check", "reason", "until")


class KnownException(NamedTuple):
    op: str
    check: str
    reason: str
    until: datetime.date


def load_known_exceptions(path, ops, checks):
    """The rows of a file.  ValueError for a row that lacks a field, or with an op or check that is
    not among the names ``ops`` and ``checks``.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".toml":
            content = tomllib.loads(text)
            rows = content.get("exception")
        elif path.suffix == ".json":
            rows = json.loads(text)
        else:
            raise ValueError("its name must end in .json or .toml")
        if not isinstance(rows, list):
            raise ValueError("it must hold a list of rows, in TOML as tables [[exception]]")
        found = [_parse(number, row, ops, checks) for number, row in enumerate(rows, 1)]
        named = [one[:2] for one in found]
        if twice := [one for one in named if named.count(one) > 1]:
            raise ValueError(f"two rows name op {twice[0][0]} and check {twice[0][1]!r}")
    except ValueError as error:
        raise ValueError(f"known exceptions {path}: {error}") from None
    return found


def _parse(number, row, ops, checks):
    if not isinstance(row, dict) or {*row} != {*FIELDS}:
        got = ", ".join(row) if isinstance(row, dict) else repr(row)
        raise ValueError(f"row {number} must have {', '.join(FIELDS)} and nothing else, got {got}")
    for field in FIELDS[:3]:
        if not isinstance(row[field], str) or not row[field].strip():
            raise ValueError(f"row {number}: {field} must be a text, got {row[field]!r}")
    for field, names in (("op", ops), ("check", checks)):
        if row[field] not in names:
            raise ValueError(f"row {number}: there is no {field} {row[field]!r}")
    until = row["until"]
    if isinstance(until, str):
        try:
            until = datetime.date.fromisoformat(until)
        except ValueError:
            pass
    if type(until) is not datetime.date:
        raise ValueError(f"row {number}: until must be a date YYYY-MM-DD, got {row['until']!r}")
    return KnownException(row["op"], row["check"], row["reason"], until)


def apply_known_exceptions(results, known, today):
    """Give failed results that are known, and not expired, the verdict "known".

    The message of an expired one states the date.  Returns a sentence for every exception whose
    checks do not fail.
    """
    unneeded = []
    for exception in known:
        failed = [
            result
            for result in results
            if (result.op, result.check) == exception[:2] and result.verdict == "failed"
        ]
        if not failed:
            subject = f"{exception.op}: {exception.check}"
            unneeded.append(f"known exception no longer needed, the check does not fail: {subject}")
        for result in failed:
            if today <= exception.until:
                result.verdict, result.blamed = "known", None
                result.message = f"{exception.reason} (until {exception.until}); {result.message}"
            else:
                expired = f"the known exception expired on {exception.until}"
                result.message = f"{result.message}; {expired}: {exception.reason}"
    return unneeded
