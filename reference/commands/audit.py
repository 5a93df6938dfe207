"""``audit``: is diffusion code that others wrote right?"""

import ast

from reference.audit.adapters import targets
from reference.audit.report import dumps, print_report
from reference.audit.target import TargetError
from reference.data import datasets, mnist
from reference.runs.files import output_path, write_atomically


def add_options(parser):
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a Python file or module with alpha_bar, add_noise, step, sample, loss and others "
        "(reference/audit/template.py is one to copy), "
        f"a run, or {', '.join(targets.PREFIXES)}",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of a scheduler or sampler, such as timestep_spacing=linspace; may be "
        "repeated (default: its own defaults)",
    )
    parser.add_argument(
        "--steps", type=int, default=30, metavar="N", help="steps of the sampler (default 30)"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time that one call of the target may take (default 60)",
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="data to examine the network of a run or of a model for diffusers with: "
        f"{', '.join(datasets.NAMES)} or a file (default: those of the run's training)",
    )
    parser.add_argument("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)
    parser.add_argument(
        "--json", metavar="OUT.json", help="the whole report, every number (default: none)"
    )


def execute(arguments, ops):
    """The exit code: 0 without faults, 1 with faults, 2 if a target could not be examined."""
    from reference.audit.audit import audit  # it loads scipy.stats: other commands start without

    if arguments.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {arguments.steps}")
    if not arguments.limit > 0:
        raise ValueError(f"--limit must be a positive number, got {arguments.limit}")
    path = None if arguments.json is None else output_path(arguments.json, (".json",), "--json")
    options = dict(_option(text) for text in arguments.option)
    how = {"limit": arguments.limit, "ops": ops}
    how |= {"data_dir": arguments.data_dir, "data": arguments.data}
    try:
        found = targets.find(arguments.target, options, **how)
    except TargetError as error:
        raise ValueError(str(error)) from error
    reports = []
    for target in found:
        reports.append(audit(target, arguments.steps))
        print_report(reports[-1])
    if path:
        write_atomically(path, dumps(reports).encode())
        print(f"wrote {path}")
    codes = [report.exit_code for report in reports]
    return 1 if 1 in codes else max(codes, default=0)


def _option(text):
    """KEY=VALUE, with VALUE a number, True, False, None or a text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--option must be KEY=VALUE, got {text}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
