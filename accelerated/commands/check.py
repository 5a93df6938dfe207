"""``check``: the conformance suite on a port, with a report; it needs neither pytest nor this project's tests.

The checks are those of ``pytest tests/conformance``, on inputs drawn from fixed seeds.
"""

import datetime
import json
from pathlib import Path

import accelerated
import reference
from accelerated import computations
from reference.conformance import suite
from reference.conformance.contract import OPS
from reference.conformance.known_exceptions import apply_known_exceptions, load_known_exceptions
from reference.runs.checkpoint import environment
from reference.runs.devices import hook
from reference.runs.files import write_atomically
from reference.runs.progress import progress

DRAWS = {"numbers": 40, "calling rules": 10}  # drawn inputs an op and check
QUICK_DRAWS = {"numbers": 10, "calling rules": 2}
PRINTED = 3  # failures per op
SHOWN = {"passed": "passed", "failed": "FAILED", "missing": "missing", "known": "known"}


def add_options(parser):
    parser.add_argument("--ops", nargs="+", metavar="OP", help="check these ops and no whole computations (default: all ops)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="fewer inputs, and no whole computations (default: off)")
    length.add_argument("--large", action="store_true", help="also large sizes; about a minute more (default: off)")
    parser.add_argument("--json", metavar="OUT.json", help="write the results to this file; an old one is replaced (default: no file)")
    parser.add_argument(
        "--known",
        metavar="FILE",
        help="JSON or TOML file of known exceptions: op, check, reason, until (default: none)",
    )


def execute(arguments, ops):
    port = accelerated.checked_port(arguments.port, ops)
    report = None if arguments.json is None else _report_path(arguments.json)
    if unknown := [name for name in arguments.ops or () if name not in OPS]:
        raise ValueError(f"--ops: there is no op {unknown[0]!r}; python -m reference contract lists the ops")
    missing = [name for name in port.missing_ops if name in (arguments.ops or OPS)]
    if arguments.ops:
        port.missing_ops = [name for name in OPS if name in port.missing_ops or name not in arguments.ops]
    cases = list_cases(port, arguments.quick, arguments.large, whole=not (arguments.quick or arguments.ops))
    known = [] if arguments.known is None else _known(arguments.known)
    if not arguments.ops:
        hook(ops, "compile_all")()  # in parallel, instead of one by one below
    results = suite.run(port, progress(cases, len(cases), "check"))
    unneeded = apply_known_exceptions(results, known, datetime.date.today())
    rows = [*results, *(suite.Result(name, suite.NUMBERS, "", "", verdict="missing") for name in missing)]
    _print_table(rows)
    print("", *unneeded, *suite.summary(results, missing, arguments.ops or OPS), sep="\n")
    if report:
        write_atomically(report, json.dumps(_json(arguments, ops, rows, unneeded), indent=1, allow_nan=False).encode())
        print(f"wrote {report}")
    return int(any(result.verdict == "failed" for result in results))


def list_cases(port, quick=False, large=False, whole=True):
    """The cases for a port; ``whole``: also whole computations, where the reference can supply the missing ops."""
    draws = QUICK_DRAWS if quick else DRAWS
    cases = suite.number_cases(port, draws["numbers"]) + suite.rule_cases(port, draws["calling rules"])
    if large:
        cases += suite.large_cases(port)
    return cases + _computations() if whole and port.whole is not None else cases


def _computations():
    """The cases of whole computations."""
    cases = []
    for dtype in suite.DTYPES:
        add = lambda function, subject, *more, dtype=dtype: cases.append(suite.case(suite.NUMBERS, function, subject, dtype, *more))
        for name in computations.NETWORKS:
            add(computations.all_results_of_a_network_are_within_tolerance, f"network {name}", name, dtype)
        for name in computations.TRAINING_RUNS:
            add(computations.short_training_run_is_within_tolerance, f"training {name}", name, dtype)
        for name in computations.SCORE_SAMPLERS:
            add(computations.sampler_trajectory_is_within_tolerance, f"sampler {name}", name, dtype)
        add(computations.indi_restoration_is_within_tolerance, "sampler indi", dtype)
        add(computations.vae_decoder_samples_are_within_tolerance, "sampler decoder", dtype)
    return cases


def _known(path):
    """The rows of a file of known exceptions; they may name any op and check, for any options."""
    every = suite.all_cases() + _computations()
    return load_known_exceptions(path, {case.subject for case in every}, {case.check for case in every})


def _report_path(name):
    path = Path(name)
    if path.suffix != ".json":
        raise ValueError(f"--json must name a file that ends in .json, got {name}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"--json must name a file in a folder that exists, got {name}")
    return path


def _print_table(rows):
    """A line per op: the verdict, and the check that failed or had the largest error."""
    print(f"{'op':28} {'verdict':8} {'error/tolerance':>15}   check")
    names = dict.fromkeys(row.op for row in rows)
    for op in sorted(names, key=lambda name: [*OPS, name].index(name)):
        row = suite.worst_result([row for row in rows if row.op == op])
        ratio = "" if row.error_over_tolerance is None else f"{row.error_over_tolerance:.3g}"
        print(f"{op:28} {SHOWN[row.verdict]:8} {ratio:>15}   {row.check}{f', {row.dtype}' if row.dtype else ''}".rstrip())
        failures = [row for row in rows if row.op == op and row.verdict in ("failed", "known")]
        for failure in failures[:PRINTED]:
            print(f"    {failure.check}, {failure.dtype}: {failure.message}")
        if failures[PRINTED:]:
            print(f"    and {len(failures) - PRINTED} more failing checks, which --json lists")


def _json(arguments, ops, rows, unneeded):
    """The report as JSON takes it: settings, versions, and one row per op, check and dtype."""
    settings = {name: getattr(arguments, name) for name in ("port", "ops", "quick", "large", "known")}
    return {
        "settings": settings | {"draws": QUICK_DRAWS if arguments.quick else DRAWS},
        "versions": {"reference": reference.__version__} | environment(ops),
        "results": [row.row() for row in rows],
        "unneeded_exceptions": unneeded,
    }
