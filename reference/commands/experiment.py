"""``experiment NAME``: a question, the table that answers it, and whether the answer is what theory
says.
"""

import importlib
import json
import time

from reference.runs.files import output_folder, write_together
from reference.tutorial.experiments import NAMES

HELP = """few_steps (few denoising steps), corrector_bias (correctors), learned_scores (learned scores), three_models (three models on one data set), what_matters (what matters, and where it
breaks), discrete_and_continuous (discrete and continuous), or all"""


def add_options(parser):
    parser.add_argument("names", nargs="+", metavar="NAME", help=HELP)
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder of the tables and figures"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smaller, with criteria as wide as that asks for; all in three minutes",
    )


def execute(arguments, ops):
    chosen = [name.lower() for name in arguments.names]
    for name in chosen:
        if name not in (*NAMES, "all"):
            raise ValueError(
                f"an experiment must be one of {', '.join(NAMES)} or all, got {name!r}"
            )
    folder, failed = output_folder(arguments.out), []
    names = NAMES if "all" in chosen else dict.fromkeys(chosen)
    for name in names:
        for file in (folder / f"{name}.png", folder / f"{name}.json"):
            if file.exists():
                raise ValueError(f"{file} exists already: name another --out")
    for name in names:
        if not run(name, folder, arguments.quick):
            failed.append(name)
    if failed:
        print(f"not as theory says: {', '.join(failed)}")
    return 1 if failed else 0


def run(name, folder, quick):
    """Run one experiment, print and write what it found; whether all its criteria hold."""
    from reference import plotting

    module, begin = (
        importlib.import_module(f"reference.tutorial.experiments.{name}"),
        time.perf_counter(),
    )
    print(f"{module.QUESTION}{' (quick)' if quick else ''}", flush=True)
    outcome = module.run(quick)
    print(f"{outcome.text()}\n{time.perf_counter() - begin:.0f} s\n", flush=True)
    report = {
        "question": module.QUESTION,
        "quick": quick,
        "settings": outcome.settings,
        "tables": outcome.tables,
        "checks": outcome.checks,
        "findings": outcome.findings,
    }
    picture = plotting.png_bytes(outcome.figure, module.QUESTION)
    write_together(
        folder,
        {f"{name}.png": picture, f"{name}.json": (json.dumps(report, indent=2) + "\n").encode()},
    )
    print(f"wrote {folder / name}.png and .json", flush=True)
    return outcome.passed
