"""CLAIMS: what a target states of itself.  What it does must not contradict it."""

import difflib
from typing import Any

from reference.audit.arrays import LIBRARIES
from reference.audit.guard import TargetError

CLAIMS: dict[str, Any] = {  # name -> the values that a target may state, or their type
    "time": ("0-based", "1-based", "real", "sigma"),
    "prediction": ("noise", "x0", "v", "score", "velocity", "reversed velocity"),
    "schedule": str,
    "grid": ("leading", "trailing", "linspace"),
    "order": (int, float),
    "sampler": ("ode", "sde"),
    "T": int,
    "shape": tuple,
    "arrays": LIBRARIES,
    "dtype": ("float16", "float32", "float64"),
    "guidance": ("conditional at 1", "conditional at 0"),
}


def check_claims(claims):
    """TargetError, in a sentence, for an unknown claim, and for a value that has no meaning."""
    if not isinstance(claims, dict):
        raise TargetError(f"CLAIMS must be a dictionary, got {type(claims).__name__}")
    for name, value in claims.items():
        if name not in CLAIMS:
            raise TargetError(
                f"CLAIMS has an unknown entry {name!r}{nearest(name, CLAIMS)}:"
                f" known are {', '.join(CLAIMS)}"
            )
        _check_value(name, value)


def nearest(name, known):
    """`` (did you mean add_noise?)`` for the nearest known name; empty if none is near."""
    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.7)
    return f" (did you mean {found[0]}?)" if found else ""


def _check_value(name, value):
    wanted, given = CLAIMS[name], f"CLAIMS[{name!r}]"
    if isinstance(wanted, tuple) and isinstance(wanted[0], str):
        if not (isinstance(value, str) and value in wanted):
            raise TargetError(
                f"{given} must be one of {', '.join(wanted)}, got {value!r}{nearest(value, wanted)}"
            )
        return
    types = {str: "a text", int: "a whole number", tuple: "a tuple of whole numbers"}
    text = types.get(wanted, "a number")
    right = isinstance(value, wanted) and not isinstance(value, bool)
    if right and name == "shape":
        right = len(value) > 0 and all(type(size) is int and size > 0 for size in value)
    elif right and wanted is not str:
        right = value > 0
    if not right:
        positive = "" if wanted is str else ", above 0"
        raise TargetError(f"{given} must be {text}{positive}, got {value!r:.60}")
