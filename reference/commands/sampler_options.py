"""The command-line options of samplers, which ``sample`` and ``evaluate`` share."""

from reference.commands.export import RUN_HELP
from reference.data import mnist
from reference.ddpm.ddpm import VARIANCES
from reference.runs.methods import METHODS
from reference.runs.sampler_options import CLIPS, LEVELS, OPTIONS, SAMPLERS, sampler_options
from reference.runs.solvers import EVEN_IN_T, STEPS
from reference.samplers.grids import GRIDS
from reference.samplers.sde import PREDICTORS

CAPTION_HELP = """captions in quotes, which the samples take in turn, for runs of train --data
captions: "a red 3 on the left" (default: the captions of the held-out images)"""


def add_sampling_options(parser, samples):
    """``samples``: the default number of samples, in words."""
    drawing = [method for method in METHODS.values() if method.sampler]
    defaults = ", ".join(f"{method.sampler} for {method.name}" for method in drawing)
    steps = ", ".join(f"{name} {count}" for name, count in STEPS.items() if count)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    option = parser.add_argument
    option(
        "--sampler",
        choices=SAMPLERS,
        metavar="NAME",
        help=f"one of {', '.join(SAMPLERS)} (default {defaults})",
    )
    option(
        "--steps",
        type=int,
        metavar="N",
        help="number of steps (default: ddpm all T, ddim 50, indi 20, langevin 1000, "
        f"annealed-langevin 100 a level for points and 30 for images, {steps})",
    )
    option(
        "--clip",
        choices=CLIPS,
        help="data: keep predictions of x_0 within the range of the training data; none: use "
        "them unchanged (default data)",
    )
    option(
        "--samples",
        "--n",
        type=int,
        metavar="N",
        help=f"number of samples (default {samples})",
    )
    option("--seed", type=int, default=0, metavar="N", help="seed of all noise (default 0)")
    option("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)
    option = parser.add_argument_group("runs with classes or captions").add_argument
    option(
        "--label",
        metavar="LABEL",
        help="number or name of a class, or all: the classes in turn; for runs of indi own: the "
        "class of the degraded image (default all; own for runs of indi)",
    )
    option("--caption", nargs="+", metavar="CAPTION", help=CAPTION_HELP)
    option(
        "--guidance",
        type=float,
        metavar="W",
        help="weight of classifier-free guidance: 0 unconditional, 1 conditional, above 1 more "
        "typical of the label (default 1)",
    )
    option(
        "--guidance-interval",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="noise levels sigma / alpha between which guidance is used (default: all levels)",
    )
    option = parser.add_argument_group("ddpm, ddim").add_argument
    option(
        "--eta",
        type=float,
        metavar="X",
        help="ddim's noise, from 0 (none) to 1 (as ddpm) (default 0)",
    )
    option(
        "--variance",
        choices=(*VARIANCES[:2], "learned"),
        help="variance of ddpm's steps (default posterior; learned for runs that learn it)",
    )
    option = parser.add_argument_group("langevin, annealed-langevin").add_argument
    option(
        "--step-size",
        type=float,
        metavar="X",
        help="langevin's step size (default a tenth of the stability limit)",
    )
    option(
        "--base-step",
        type=float,
        metavar="X",
        help="annealed-langevin's step size at its last level (default 0.2 sigma^2 of that level)",
    )
    option(
        "--levels",
        type=int,
        metavar="N",
        help=f"annealed-langevin's noise levels (default the run's own, else {LEVELS})",
    )
    option = parser.add_argument_group("indi").add_argument
    option(
        "--noise",
        type=float,
        metavar="X",
        help="noise of the images to restore (default the noise of training)",
    )
    option(
        "--blur",
        type=float,
        metavar="X",
        help="blur of the images to restore (default the blur of training)",
    )
    group = parser.add_argument_group("solvers of the reverse SDE and the probability-flow ODE")
    option = group.add_argument
    option(
        "--grid",
        choices=GRIDS,
        help="times even in t, in log-SNR, or as Karras et al. (2022) space them "
        f"(default t for {', '.join(EVEN_IN_T)}, else log-snr)",
    )
    option(
        "--reverse-noise",
        type=float,
        metavar="X",
        help="noise of the reverse SDE: 1 for the usual SDE, 0 for the ODE (default 1)",
    )
    option(
        "--predictor",
        choices=PREDICTORS,
        help="step of predictor-corrector (default reverse-diffusion)",
    )
    option(
        "--corrections",
        type=int,
        metavar="N",
        help="number of Langevin corrector steps after each predictor step (default 1)",
    )
    option(
        "--corrector-step",
        type=float,
        metavar="X",
        help="corrector step size divided by sigma^2; must be below 2 (default 0.1)",
    )
    option(
        "--tolerance",
        type=float,
        metavar="X",
        help="ode-rk45's absolute and relative tolerance (default 1e-4)",
    )
    option(
        "--churn",
        type=float,
        metavar="X",
        help="S_churn of Karras et al. (2022): edm adds noise that raises each level by the share "
        "X / steps, at most sqrt(2) - 1, and removes it again (default 0)",
    )
    option(
        "--churn-noise",
        type=float,
        metavar="X",
        help="S_noise: factor of that noise (default 1)",
    )
    option(
        "--churn-interval",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="S_tmin and S_tmax: noise levels sigma / alpha between which edm adds that noise "
        "(default: all levels)",
    )


def parse_sampler_options(run, arguments):
    """The arguments of ``trajectory`` from the command line's."""
    return sampler_options(run, arguments.sampler, arguments.seed, **given_options(arguments))


def given_options(arguments):
    """The samplers' own options by name, None where not given."""
    return {name: getattr(arguments, name, None) for name in OPTIONS}
