"""``evaluate RUN``: the loss and its floor, a bound on the likelihood, and the quality of samples
and of real data.
"""

from reference.commands import evaluation_figures
from reference.commands.sampler_options import add_sampling_options, parse_sampler_options
from reference.runs.evaluation import likelihood, quality
from reference.runs.run import open_run
from reference.runs.sampling import draw
from reference.runs.trajectory import describe

SAMPLES = {"images": 256, "points": 4000}


def add_options(parser):
    add_sampling_options(parser, "256 images or 4000 points")
    files = ", ".join(evaluation_figures.FILES)
    parser.add_argument(
        "--out", metavar="FOLDER", help=f"folder for {files} (default: nothing is written)"
    )


def execute(arguments, ops):
    run = open_run(arguments.run)
    folder = evaluation_figures.folder_for(arguments.out)
    how = parse_sampler_options(run, arguments)
    n = SAMPLES["images" if run.data.is_image else "points"]
    n = n if arguments.samples is None else arguments.samples
    if n < 2:
        raise ValueError(f"samples must be at least 2 to measure a distance, got {n}")
    x, evaluations = draw(run, ops, n, **how)
    rows = {"training steps": run.state.step} | likelihood(run, ops, x, how) | quality(x, run.data)
    width = max(map(len, rows))
    drawn = f"samples by {describe(**how, evaluations=evaluations)}"
    print(f"{run.folder}: {run.method.name} on {run.data.name}, {drawn}")
    for name, value in rows.items():
        print(f"  {name:{width}}  {value if isinstance(value, int) else format(value, '.5g')}")
    if folder:
        settings = {"samples": n, **how}
        evaluation_figures.write(run, ops, x, rows, settings, evaluations, folder)
    return 0
