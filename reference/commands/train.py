"""``train SYSTEM``: begin a run, or go on with one."""

import argparse
import contextlib
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np

from reference.commands.progress import progress, stop_on_signal
from reference.data import datasets, formats
from reference.diffusion import training
from reference.diffusion.devices import is_numpy, to_device
from reference.runs.checkpoint import Log, environment
from reference.runs.files import exclusive, output_folder
from reference.runs.run import (
    DEFAULTS,
    NETWORK_OPTIONS,
    POINTS,
    SYSTEM_OPTIONS,
    SYSTEMS,
    build_config,
    holds_run,
    new_run,
    open_run,
    training_model,
    write_config,
)

# where config.json keeps what an option says
OPTIONS = {
    **{
        name: (name,)
        for name in (
            "data",
            "labels",
            "prediction",
            "objective",
            "matching",
            "bandwidth",
            "epsilon",
        )
    },
    "net": ("net", "kind"),
    **{
        name: ("net", name) for name in ("channels", "groups", "layers", "width", "depth", "latent")
    },
    "schedule": ("schedule", "name"),
    "sde": ("schedule", "name"),
    "levels": ("schedule", "T"),
    **{
        name: ("schedule", name)
        for name in ("T", "beta", "zero_terminal_snr", "sigma_min", "sigma_max")
    },
    **{name: ("degradation", name) for name in ("noise", "blur")},
    **{name: ("training", name) for name in ("batch", "lr", "ema", "seed")},
}

# of the loss of untrained weights: what has learned less than that has learned nothing
HARDLY = 0.98


class _System(argparse.Action):
    """The name of a system: from there on --help lists its options and no other's."""

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, value)
        if value in SYSTEMS:
            networks = [
                names
                for kind, names in NETWORK_OPTIONS.items()
                if (kind == "autoencoder") == (value == "vae")
            ]
            own = set().union(SYSTEM_OPTIONS[value], *networks)
            for action in parser._actions:
                if (
                    action.dest
                    in set().union(*SYSTEM_OPTIONS.values(), *NETWORK_OPTIONS.values()) - own
                ):
                    action.help = argparse.SUPPRESS


def add_options(parser):
    parser.add_argument("system", action=_System, metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder of the run")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in FOLDER from its last checkpoint",
    )
    parser.add_argument(
        "--save-every",
        type=int,
        default=100,
        metavar="N",
        help="steps between checkpoints (default 100)",
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        help=f"digits (default), mixture1d, mixture2d, swiss-roll, or {formats.HELP}",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="IDX or .npy file of labels for a file of images in IDX or .npy format; beside MNIST's images theirs are found",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help=_default("training steps, the run's total", "steps")
    )
    parser.add_argument("--batch", type=int, metavar="N", help=_default("samples a step", "batch"))
    parser.add_argument(
        "--lr", type=float, metavar="X", help=_default("Adam's learning rate", "lr")
    )
    parser.add_argument(
        "--ema",
        type=float,
        metavar="X",
        help=f"decay of the averaged weights that samples come from (default {training.Settings.ema})",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="(default 0)")
    add_network_options(parser.add_argument_group("the network"))
    add_system_options(parser)


def _default(text, name):
    images = DEFAULTS["steps"] if name == "steps" else getattr(training.Settings, name)
    return f"{text} (default {images} for images, {POINTS[name]} for points)"


def add_network_options(parser):
    parser.add_argument(
        "--net",
        help="unet (default for images), mlp (default for points; takes images laid out flat); vae: autoencoder",
    )
    parser.add_argument(
        "--channels",
        type=int,
        nargs="+",
        metavar="N",
        help="of the unet's levels (default 32 64; above 16x16 32 64 64)",
    )
    parser.add_argument(
        "--groups", type=int, metavar="N", help="of the unet's group normalisation (default 8)"
    )
    parser.add_argument(
        "--layers", type=int, metavar="N", help="residual blocks a level of the unet (default 1)"
    )
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="of the hidden layers of mlp (default 128) and autoencoder (256)",
    )
    parser.add_argument(
        "--depth",
        type=int,
        metavar="N",
        help="hidden layers of the mlp (default 3), of each half of the autoencoder (2)",
    )
    parser.add_argument(
        "--latent",
        type=int,
        metavar="N",
        help="latent variables of the autoencoder (default 8 for images, 2 for points)",
    )


def add_system_options(parser):
    names = ("ddpm", "ddpm, sde", "smld", "smld, sde", "sde", "indi")
    ddpm, denoisers, smld, noises, sde, indi = (
        parser.add_argument_group(f"train {name}") for name in names
    )
    ddpm.add_argument("--schedule", help="linear (default), scaled-linear, cosine, vp or constant")
    ddpm.add_argument(
        "--T", type=int, metavar="N", help="steps of the schedule (default 1000; constant: 150)"
    )
    ddpm.add_argument(
        "--beta", type=float, metavar="X", help="of --schedule constant (default 0.03)"
    )
    ddpm.add_argument(
        "--objective", help="simple (default), or with learned variances variational or hybrid"
    )
    ddpm.add_argument(
        "--zero-terminal-snr",
        action="store_true",
        default=None,
        help="rescale the schedule so that it ends in noise alone; the network must predict v (then the default) or x0",
    )
    denoisers.add_argument(
        "--prediction",
        help="the network's: noise (default), x0 or v (default for a schedule that ends in almost nothing but noise, such as cosine)",
    )
    smld.add_argument(
        "--levels",
        type=int,
        metavar="N",
        help="noise levels, each a factor above the last (default 10, for images 20)",
    )
    noises.add_argument(
        "--sigma-min", type=float, metavar="X", help="the smallest (default 0.05; --sde ve: 0.01)"
    )
    noises.add_argument(
        "--sigma-max", type=float, metavar="X", help="the largest (default 10; --sde ve: 50)"
    )
    smld.add_argument(
        "--matching", help="denoising (default), explicit (points), implicit or sliced (mlp)"
    )
    smld.add_argument(
        "--bandwidth",
        type=float,
        metavar="X",
        help="of a kernel density for explicit (default: the exact law, if known)",
    )
    sde.add_argument(
        "--sde",
        help="vp (variance preserving, default), ve (exploding; --sigma-min, --sigma-max) or subvp",
    )
    indi.add_argument(
        "--noise",
        type=float,
        metavar="X",
        help="deviation of the noise to take out (default 0.5, with --blur 0.05)",
    )
    indi.add_argument(
        "--blur",
        type=float,
        metavar="X",
        help="deviation of a Gaussian blur, in pixels, to take out (default 0)",
    )
    indi.add_argument(
        "--epsilon",
        type=float,
        metavar="X",
        help="Brownian noise on the way from degraded to clean (default 0)",
    )


def execute(arguments, ops):
    if arguments.save_every < 1:
        raise ValueError(f"save-every must be at least 1, got {arguments.save_every}")
    options = {name: getattr(arguments, name) for name in (*OPTIONS, "steps")}
    run, data = start(arguments.out, arguments.system, options, arguments.resume, ops)
    return continue_training(run, data, arguments.save_every, ops)


def start(folder, system, options, resume, ops):
    """(run, data): a new run in ``folder``, or with ``resume`` the one that is there, whose options
    must not be other ones.
    """
    folder = Path(folder)
    _check_folder(folder, resume)
    for name in ("data", "labels"):  # the run must find its files from any working directory
        if (
            options[name] is not None
            and options[name] not in datasets.NAMES
            and Path(options[name]).exists()
        ):
            options = options | {name: str(Path(options[name]).absolute())}
    if not (folder / "config.json").exists():
        data = datasets.load(
            options["data"] or DEFAULTS["data"], options["seed"] or 0, options["labels"]
        )
        run = new_run(folder, build_config(system, data, options))
        padded = data.padded(run.model.network.sample_shape)
        # what can't be trained is refused before anything is written
        check_trainable(run, padded, ops)
        write_config(output_folder(folder), run.config)
        _tell(data, run.config)
        return run, padded
    run = open_run(folder, need_checkpoint=False)
    _check_options(run, system, options)
    data = run.data
    check_trainable(run, data, ops)
    steps = run.steps if options["steps"] is None else options["steps"]
    if steps < run.steps:
        raise ValueError(f"steps can only grow: {folder} is a run of {run.steps}, got {steps}")
    if steps > run.steps:
        run.config["steps"] = steps
        write_config(output_folder(folder), run.config)
    now = environment(ops)
    changed = [
        f"{name} was {value} and is {now.get(name)}"
        for name, value in (run.environment or now).items()
        if now.get(name) != value
    ]
    if changed:
        print(f"note: {', '.join(changed)}: the bits of the result may differ")
    return run, data


def _tell(data, config):
    """How data from a file was read, in a line."""
    notes = list(data.notes)
    if config["crop"]:
        notes.append(
            "images of {}x{} are padded to {}x{}, and samples are cropped".format(
                *data.shape[:2], *config["net"]["size"]
            )
        )
    if notes:
        print(f"{data.name}: {'; '.join(notes)}")


def _check_folder(folder, resume):
    """ValueError for a folder that no run can be begun in, or with ``resume`` gone on with.

    A run that was killed at its start has left nothing, or files that had not yet taken their
    names: it is begun again.
    """
    if holds_run(folder) and not (folder / "config.json").exists():
        raise ValueError(
            f"{folder} holds a checkpoint or a log but no config.json, and no run can go on without: name another --out"
        )
    if holds_run(folder) and not resume:
        raise ValueError(
            f"{folder} holds a run already: add --resume to go on with it, or name another --out"
        )
    if resume and not folder.exists():
        raise ValueError(
            f"{folder} does not exist, so that there is no run to resume: name its folder, or leave --resume out to begin one"
        )
    if (
        resume
        and not holds_run(folder)
        and folder.is_dir()
        and any(path.suffix != ".tmp" for path in folder.iterdir())
    ):
        raise ValueError(
            f"{folder} holds no run to resume, but other files: name its folder, or leave --resume out to begin one"
        )


def check_trainable(run, data, ops):
    """ValueError for a run that can't be trained on its data, or whose steps need more memory than
    is free.

    Small batches tell: with each sample more a step takes at least as much more.  A device says so
    itself, when its memory is spent.
    """
    training_model(run, data)
    if not is_numpy(to_device(np.zeros(1), ops)):
        return
    few, more = 4, 8
    _step_loss(run, data, run.state.params, few, ops)  # compiles what is to be compiled
    of_few, of_more = _peak(run, data, few, ops), _peak(run, data, more, ops)
    needed, free = (
        of_few + (of_more - of_few) / (more - few) * (run.settings.batch - few),
        free_memory(),
    )
    if needed > free:
        sizes = (
            f"at least {needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free"
        )
        raise ValueError(
            f"batch must be smaller: a step of {run.settings.batch} samples takes {sizes}"
        )


def _peak(run, data, batch, ops):
    """Bytes that the loss of so many samples and its gradient take at most."""
    tracemalloc.start()
    try:
        _step_loss(run, data, run.state.params, batch, ops)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _step_loss(run, data, params, batch, ops):
    """The loss of ``params`` on a batch of training data: on the same one at every call."""
    model = training_model(run, data)
    indices, *draws = training.draw_batch(
        model, to_device(data.train, ops), replace(run.settings, batch=batch), 0, ops
    )
    labels = to_device(data.train_labels, ops)[indices] if model.network.classes else None
    with np.errstate(over="ignore", invalid="ignore"):
        return float(
            model.loss(
                to_device(dict(params), ops),
                to_device(data.train, ops)[indices],
                *draws,
                labels=labels,
                ops=ops,
            )[0]
        )


def free_memory():
    """Bytes that a process can still have; infinity where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError):
        return float("inf")


def _check_options(run, system, options):
    if system != run.config["system"]:
        raise ValueError(f"{run.folder} is a run of {run.config['system']}, not of {system}")
    for name, keys in OPTIONS.items():
        value = run.config
        for key in keys:
            value = value.get(key) if value else None
        if options[name] is not None and options[name] != value:
            raise ValueError(
                f"{run.folder} was begun with {name} {value}, got {options[name]}: a run keeps its options"
            )


def continue_training(run, data, save_every, ops):
    """Train to the run's last step; 0, or 130 if a signal stopped it.  The checkpoint is replaced
    every ``save_every`` steps.
    """
    if run.state.step >= run.steps:
        print(f"{run.folder} is finished: all of its {run.steps} steps are taken")
        return 0
    with (
        exclusive(run.folder),
        contextlib.closing(Log(run.folder, run.state.step)) as log,
        stop_on_signal() as stop,
    ):
        first = run.state.step
        states = training.train(
            training_model(run, data),
            data.train,
            data.train_labels,
            run.settings,
            run.state,
            run.steps,
            ops,
        )
        for state in progress(
            states, run.steps, "training step", lambda state: f"loss {state.loss:.4f}", first
        ):
            state.settle()
            log.append(step=state.step, loss=state.loss, gradient_norm=state.gradient_norm)
            if stop.asked or state.step % save_every == 0 or state.step == run.steps:
                log.flush()
                run.save(ops)
            if stop.asked and state.step < run.steps:
                print(
                    f"stopped after step {state.step} of {run.steps}, which is saved: go on with --resume"
                )
                return 130
    run.state.fetch()
    if run.state.step > run.settings.warmup:
        warn_if_nothing_was_learned(run, data, ops)
    print(f"wrote {run.folder}: config.json, checkpoint.safetensors, log.jsonl")
    return 0


def warn_if_nothing_was_learned(run, data, ops):
    """A line if the averaged weights are hardly better than those that training began with, which
    predict zero.
    """
    untrained = training.init_state(run.model.network, run.settings.seed).params
    loss, of_zero = (
        _step_loss(run, data, params, run.settings.batch, ops)
        for params in (run.state.ema, untrained)
    )
    if not loss < of_zero - (1 - HARDLY) * abs(of_zero):
        found = f"their loss is {loss:.4g}, and {of_zero:.4g} before training"
        print(
            f"warning: the averaged weights have learned nothing: {found}; a smaller --lr or more --steps may help",
            file=sys.stderr,
        )
