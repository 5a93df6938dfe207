"""``experiment NAME``: a question, the tables that answer it, and whether theory agrees."""

import importlib
import json
import time

from reference.runs.files import output_folder, write_together
from reference.tutorial.experiments import NAMES

HELP = """all, or some of mixture_steps (samplers on a mixture), corrector_bias, learned_scores,
three_models (VAE, DDPM and score matching on the same data), what_matters (schedules, variances,
steps), discrete_and_continuous (chains and SDEs), guidance (what guided samplers draw from),
restoration (which samplers draw from the posterior of a measurement), few_steps (error against
evaluations, and students of a sampler) and captions (words as a condition, in new combinations,
with cross-attention and without); few-steps is few_steps"""
RESULTS = "results.json"


def add_options(parser):
    underscored = lambda name: name.replace("-", "_")
    choices = ("all", *NAMES)
    parser.add_argument(
        "names", nargs="+", type=underscored, choices=choices, metavar="NAME", help=HELP
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="folder of results.json and the figures; results of other experiments there are kept "
        "(no default)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smaller runs with correspondingly wider criteria, a few minutes for all (default: "
        "the full experiments)",
    )
    parser.add_argument(
        "--students",
        nargs="+",
        default=(),
        metavar="RUN",
        help="few_steps: students of the package's fashion-mnist that distill has made, measured "
        "beside those of the package (default: none)",
    )


def execute(arguments, ops):
    chosen, failed, folder = arguments.names, [], output_folder(arguments.out)
    names = NAMES if "all" in chosen else dict.fromkeys(chosen)
    if arguments.students and "few_steps" not in names:
        raise ValueError("--students is an option of the experiment few_steps")
    for name in names:
        if (folder / f"{name}.png").exists():
            raise ValueError(f"{folder / name}.png exists already: name another --out")
        if name in results(folder):
            raise ValueError(f"{folder / RESULTS} holds {name} already: name another --out")
    for name in names:
        options = {"students": arguments.students} if name == "few_steps" else {}
        if not run(name, folder, arguments.quick, ops, **options):
            failed.append(name)
    if failed:
        print(f"criteria not met: {', '.join(failed)}")
    return 1 if failed else 0


def results(folder):
    """The reports in the folder's results.json by experiment, or none if there is no such file."""
    path = folder / RESULTS
    try:
        found = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a file of results: name another --out")
    return found


def run(name, folder, quick, ops, **options):
    """Run one experiment with its own ``options``, print its results and add them to the folder;
    True if all its criteria hold.
    """
    from reference import plotting

    module = importlib.import_module(f"reference.tutorial.experiments.{name}")
    begin = time.perf_counter()
    print(f"{module.QUESTION}{' (quick)' if quick else ''}", flush=True)
    outcome = module.run(quick, ops, **options)
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
    text = json.dumps(results(folder) | {name: report}, indent=2) + "\n"
    write_together(folder, {f"{name}.png": picture, RESULTS: text.encode()})
    print(f"wrote {folder / name}.png and {RESULTS}", flush=True)
    return outcome.passed
