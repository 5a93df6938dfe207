"""The command-line options of ``train``."""

import argparse
from dataclasses import asdict

from reference.data import datasets, formats, mnist
from reference.diffusion.denoiser import TRAINABLE
from reference.diffusion.loss_weights import LOSS_WEIGHTS
from reference.diffusion.training import Settings
from reference.networks import NETWORKS
from reference.runs.config import DEFAULTS, LABEL_DROPOUT, NETWORK_OPTIONS, POINTS
from reference.runs.launch import SHARDS
from reference.runs.methods import (
    CLASSIFIER,
    CONSISTENCY,
    DDPM,
    METHODS,
    NOISE_RANGE,
    SDE,
    SMLD,
    TRAINED,
)
from reference.sde.flow import TIMES

CONFIG_ENTRY = {  # the entry of config.json that holds an option
    "data": ("data",),
    "prediction": ("prediction",),
    "objective": ("objective",),
    "loss_weight": ("loss_weight",),
    "bandwidth": ("bandwidth",),
    "brownian_noise": ("epsilon",),
    "net": ("net", "kind"),
    **{name: ("net", name) for names in NETWORK_OPTIONS.values() for name in names},
    "schedule": ("schedule", "name"),
    "sde": ("schedule", "name"),
    "times": ("schedule", "times"),
    "levels": ("schedule", "T"),
    "timesteps": ("schedule", "T"),
    "beta": ("schedule", "beta"),
    "zero_terminal_snr": ("schedule", "zero_terminal_snr"),
    "sigma_min": ("schedule", "sigma_min"),
    "sigma_max": ("schedule", "sigma_max"),
    "noise": ("degradation", "noise"),
    "blur": ("degradation", "blur"),
    "batch": ("training", "batch"),
    "lr": ("training", "lr"),
    "ema": ("training", "ema"),
    "seed": ("training", "seed"),
    "classes": ("classes",),
    "noise_levels": ("net", "noise_conditional"),
    "label_dropout": ("training", "label_dropout"),
    "shards": ("training", "shards"),
    "stage_steps": ("consistency", "stage_steps"),
}

OWN_ENTRY = {  # other entries of config.json, for the method of this name
    "consistency": {name: ("consistency", name) for name in ("objective", "levels", "stage_steps")},
}


SHARDS_HELP = f"""parts of a batch, 1, 2, 4 .., which up to K processes of mpiexec can share; the
bits depend on K, not on the number of processes (default 1; with mpiexec {SHARDS})"""


class _Method(argparse.Action):
    """The name of a method.  After it --help lists the options of that method alone."""

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, value)
        own = METHODS[value]
        served = {name for kind in own.networks for name in NETWORK_OPTIONS[kind]}
        known = {name for names in NETWORK_OPTIONS.values() for name in names}
        known |= {name for method in METHODS.values() for name in method.options}
        for action in parser._actions:
            if action.dest in known - served - {*own.options}:
                action.help = argparse.SUPPRESS


def add_options(parser):
    option = parser.add_argument
    option(
        "method",
        action=_Method,
        choices=TRAINED,
        metavar="METHOD",
        help=f"one of {', '.join(TRAINED)}; train METHOD --help lists its options",
    )
    option("--out", required=True, metavar="FOLDER", help="folder of the run (no default)")
    option(
        "--resume",
        action="store_true",
        help="continue the run in FOLDER from its last checkpoint (default: begin a run)",
    )
    option(
        "--save-every",
        type=int,
        default=100,
        metavar="N",
        help="steps between checkpoints (default 100)",
    )
    option(
        "--sample-every",
        type=int,
        metavar="N",
        help="steps between pictures of samples, FOLDER/samples-STEP.png (default: no pictures)",
    )
    option(
        "--data",
        metavar="DATA",
        help=f"{', '.join(datasets.NAMES)}, or {formats.HELP} (default {DEFAULTS['data']})",
    )
    option("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)
    option("--steps", type=int, metavar="N", help=_default("training steps in all", "steps"))
    option("--batch", type=int, metavar="N", help=_default("samples a step", "batch"))
    option("--lr", type=float, metavar="X", help=_default("Adam's learning rate", "lr"))
    option(
        "--ema",
        type=float,
        metavar="X",
        help=_default("decay of the averaged weights, which samplers use", "ema"),
    )
    option(
        "--seed",
        type=int,
        metavar="N",
        help="seed of weights, noise and order of the data (default 0)",
    )
    option("--shards", type=int, metavar="K", help=SHARDS_HELP)
    _add_network_options(parser.add_argument_group("the network").add_argument)
    _add_method_options(parser)


def _default(text, name):
    usual = (DEFAULTS | asdict(Settings()))[name]
    points = f", {POINTS[name]} for points" if name in POINTS else ""
    training = CLASSIFIER.training
    classifier = f", {training[name]} for classifier" if name in training else ""
    return f"{text} (default {usual}{' for images' if points else ''}{points}{classifier})"


def _add_network_options(option):
    option(
        "--net",
        choices=NETWORKS,
        help="kind of network (default unet for images, mlp for points; vae: autoencoder; "
        "classifier: convnet)",
    )
    option(
        "--channels",
        type=int,
        nargs="+",
        metavar="N",
        help="channels of the unet's levels (default 32 64; above 16x16 32 64 64), or of the "
        "convnet's blocks (default 32 64)",
    )
    option(
        "--groups",
        type=int,
        metavar="N",
        help="groups of the unet's or the convnet's group normalisation (default 8)",
    )
    option(
        "--layers",
        type=int,
        metavar="N",
        help="residual blocks in each level of the unet (default 1)",
    )
    option(
        "--width",
        type=int,
        metavar="N",
        help="width of the hidden layers (default 128 for mlp, 256 for autoencoder), or number of "
        "the convnet's features (default 64)",
    )
    option(
        "--depth",
        type=int,
        metavar="N",
        help="hidden layers (default 3 for mlp, 2 in each half of autoencoder)",
    )
    option(
        "--latent",
        type=int,
        metavar="N",
        help="latent variables of the autoencoder (default 8 for images, 2 for points)",
    )


def _add_method_options(parser):
    group = lambda names: parser.add_argument_group(f"train {names}").add_argument
    option = group("ddpm")
    option("--schedule", choices=DDPM.schedules, help="noise schedule (default linear)")
    option(
        "--timesteps",
        type=int,
        metavar="T",
        help="steps T of the schedule (default 1000; constant: 150)",
    )
    option("--beta", type=float, metavar="X", help="beta of --schedule constant (default 0.03)")
    option(
        "--zero-terminal-snr",
        action="store_true",
        default=None,
        help="rescale the schedule so that it ends in noise alone; needs prediction v or x0 "
        "(default: not rescaled)",
    )
    option = group("ddpm, sde, flow")
    option(
        "--prediction",
        choices=TRAINABLE,
        help="the network's prediction; F: EDM's preconditioning (default noise; v for a schedule "
        "that ends in almost nothing but noise, such as cosine; velocity for flow)",
    )
    option(
        "--loss-weight",
        choices=LOSS_WEIGHTS,
        help="weight of the loss by noise level: simple, the same for all; min-snr; p2; edm; not "
        "for learned variances (default simple)",
    )
    option = group("ddpm, sde, flow, indi, consistency")
    option(
        "--classes",
        action="store_true",
        default=None,
        help="train on the data's labels too, so that sample can take --label (default: without)",
    )
    option(
        "--label-dropout",
        type=float,
        metavar="P",
        help="with --classes: share of samples trained without their label, which --guidance of "
        f"sample needs; 0: no label is dropped (default {LABEL_DROPOUT})",
    )
    option = group("ddpm, smld, consistency")
    option(
        "--objective",
        choices=(*DDPM.objectives, *SMLD.objectives, *CONSISTENCY.objectives),
        help="ddpm: simple, or with learned variances variational or hybrid (default simple); "
        "smld: denoising, explicit (points), implicit or sliced (mlp) (default denoising); "
        "consistency: pseudo-huber or squared (default pseudo-huber)",
    )
    option = group("smld, consistency")
    option(
        "--levels",
        type=int,
        metavar="N",
        help="smld: noise levels, evenly spaced in log sigma (default 10 for points, 20 for "
        "images); consistency: fixed levels (default: any two levels, which approach)",
    )
    option = group("consistency")
    option(
        "--stage-steps",
        type=int,
        metavar="N",
        help="steps after which the two levels come closer (default an eighth of --steps)",
    )
    option = group("smld")
    option(
        "--bandwidth",
        type=float,
        metavar="X",
        help="bandwidth of the kernel density for --objective explicit (default: the exact "
        "density where it is known, else Silverman's rule)",
    )
    option = group("smld, sde, classifier, consistency")
    low, high = NOISE_RANGE.values()
    option(
        "--sigma-min",
        type=float,
        metavar="X",
        help=f"smallest noise (default 0.05; --sde ve: 0.01; classifier: {low}; "
        "consistency: 0.002)",
    )
    option(
        "--sigma-max",
        type=float,
        metavar="X",
        help=f"largest noise (default 10; --sde ve: 50; classifier: {high:g}; consistency: 80)",
    )
    option = group("classifier")
    option(
        "--noise-levels",
        action="store_true",
        default=None,
        help="classify noisy images of all levels, conditional on the level, for classifier "
        "guidance (default: classify clean images)",
    )
    option = group("sde")
    option(
        "--sde",
        choices=SDE.schedules,
        help="vp (variance preserving), ve (exploding) or subvp (default vp)",
    )
    option = group("flow")
    option(
        "--times",
        choices=TIMES,
        help="distribution of the training times, of which u-shaped is for reflow (default "
        "uniform)",
    )
    option = group("indi")
    option(
        "--noise",
        type=float,
        metavar="X",
        help="deviation of the noise to remove (default 0.5; with --blur 0.05)",
    )
    option(
        "--blur",
        type=float,
        metavar="X",
        help="deviation in pixels of the Gaussian blur to remove (default 0)",
    )
    option(
        "--brownian-noise",
        type=float,
        metavar="X",
        help="Brownian noise on the path from degraded to clean (default 0)",
    )
