"""``evaluate RUN``: the loss and its floor, a bound on the likelihood, and the quality of samples
and of real data; for a classifier its loss and accuracy.
"""

from reference.commands import evaluation_figures
from reference.commands.sampler_options import (
    add_sampling_options,
    given_options,
    parse_sampler_options,
)
from reference.runs.evaluation import classification, likelihood, quality
from reference.runs.run import open_run
from reference.runs.sampling import draw
from reference.runs.trajectory import describe

SAMPLES = {"images": 256, "points": 4000}


def add_options(parser):
    add_sampling_options(parser, "256 images or 4000 points; of a classifier all held out")
    files = ", ".join(evaluation_figures.FILES)
    parser.add_argument(
        "--out", metavar="FOLDER", help=f"folder for {files} (default: nothing is written)"
    )


def execute(arguments, ops):
    run = open_run(arguments.run, data_dir=arguments.data_dir)
    if not run.method.sampler:
        return _print_classification(run, arguments, ops)
    folder = evaluation_figures.folder_for(arguments.out)
    how = parse_sampler_options(run, arguments)
    n = SAMPLES["images" if run.data.is_image else "points"]
    n = n if arguments.samples is None else arguments.samples
    if n < 2:
        raise ValueError(f"samples must be at least 2 to measure a distance, got {n}")
    x, evaluations = draw(run, ops, n, **how)
    rows = {"training steps": run.state.step} | likelihood(run, ops, x, how) | quality(x, run.data)
    _print_rows(run, f"samples by {describe(**how, evaluations=evaluations)}", rows)
    if folder:
        settings = {"samples": n, **how}
        evaluation_figures.write(run, ops, x, rows, settings, evaluations, folder)
    return 0


def _print_rows(run, how, rows):
    width = max(map(len, rows))
    print(f"{run.folder}: {run.method.name} on {run.data.name}, {how}")
    for name, value in rows.items():
        print(f"  {name:{width}}  {value if isinstance(value, int) else format(value, '.5g')}")


def _print_classification(run, arguments, ops):
    """The evaluation of a classifier, on ``--samples`` held-out images with noise of ``--seed``."""
    for name in ("sampler", "out", *given_options(arguments)):
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} is not an option of evaluate for a run of classifier")
    held_out = len(run.data.held_out)
    n = held_out if arguments.samples is None else arguments.samples
    if not 1 <= n <= held_out:
        raise ValueError(f"samples must lie in 1 .. {held_out}, the held-out images, got {n}")
    rows = {"training steps": run.state.step} | classification(run, ops, n, arguments.seed)
    _print_rows(run, f"{n} held-out images", rows)
    return 0
