"""``train SYSTEM``: begin a run, or go on with one."""

import contextlib
from pathlib import Path

from reference import datasets, training
from reference.checkpoint import Log, environment
from reference.commands.report import progress, stop_on_signal
from reference.files import exclusive, output_folder
from reference.run import DEFAULTS, POINTS, SYSTEMS, build_config, holds_run, new_run, open_run, training_model, write_config

# where config.json keeps what an option says
OPTIONS = {
    **{name: (name,) for name in ("data", "labels", "prediction", "objective", "matching", "bandwidth", "epsilon")},
    "net": ("net", "kind"),
    **{name: ("net", name) for name in ("channels", "groups", "layers", "width", "depth", "latent")},
    "schedule": ("schedule", "name"),
    "sde": ("schedule", "name"),
    "levels": ("schedule", "T"),
    **{name: ("schedule", name) for name in ("T", "beta", "sigma_min", "sigma_max")},
    **{name: ("degradation", name) for name in ("noise", "blur")},
    **{name: ("training", name) for name in ("batch", "lr", "ema", "seed")},
}


def add_options(parser):
    parser.add_argument("system", metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in FOLDER from its last checkpoint")
    parser.add_argument("--save-every", type=int, default=100, metavar="N", help="steps between checkpoints (default 100)")
    parser.add_argument("--data", metavar="DATA", help="digits (default), mixture1d, mixture2d, swiss-roll, or an IDX or .npz file")
    parser.add_argument("--labels", metavar="FILE", help="IDX file of labels for an IDX file of images, if it is not found beside it")
    parser.add_argument("--steps", type=int, metavar="N", help=_default("training steps, the run's total", "steps"))
    parser.add_argument("--batch", type=int, metavar="N", help=_default("samples a step", "batch"))
    parser.add_argument("--lr", type=float, metavar="X", help=_default("Adam's learning rate", "lr"))
    parser.add_argument(
        "--ema", type=float, metavar="X", help=f"decay of the averaged weights that samples come from (default {training.Settings.ema})"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="(default 0)")
    add_network_options(parser.add_argument_group("the network"))
    add_system_options(parser)


def _default(text, name):
    images = DEFAULTS["steps"] if name == "steps" else getattr(training.Settings, name)
    return f"{text} (default {images} for images, {POINTS[name]} for points)"


def add_network_options(parser):
    parser.add_argument("--net", help="unet (default for images), mlp (default for points; takes images laid out flat); vae: autoencoder")
    parser.add_argument("--channels", type=int, nargs="+", metavar="N", help="of the unet's levels (default 32 64; above 16x16 32 64 64)")
    parser.add_argument("--groups", type=int, metavar="N", help="of the unet's group normalisation (default 8)")
    parser.add_argument("--layers", type=int, metavar="N", help="residual blocks a level of the unet (default 1)")
    parser.add_argument("--width", type=int, metavar="N", help="of the hidden layers of mlp (default 128) and autoencoder (256)")
    parser.add_argument("--depth", type=int, metavar="N", help="hidden layers of the mlp (default 3), of each half of the autoencoder (2)")
    parser.add_argument("--latent", type=int, metavar="N", help="latent variables of the autoencoder (default 8 for images, 2 for points)")


def add_system_options(parser):
    parser, smld, sde, indi = (parser.add_argument_group(f"train {system}") for system in ("ddpm", "smld", "sde", "indi"))
    parser.add_argument("--schedule", help="linear (default), scaled-linear, cosine, vp or constant")
    parser.add_argument("--T", type=int, metavar="N", help="steps of the schedule (default 1000; constant: 150)")
    parser.add_argument("--beta", type=float, metavar="X", help="of --schedule constant (default 0.03)")
    parser.add_argument("--prediction", help="what the network predicts, here and in train sde: noise (default), x0 or v")
    parser.add_argument("--objective", help="simple (default), or with learned variances variational or hybrid")
    smld.add_argument("--levels", type=int, metavar="N", help="noise levels, each a factor above the last (default 10, for images 20)")
    smld.add_argument("--sigma-min", type=float, metavar="X", help="the smallest (default 0.05; --sde ve: 0.01)")
    smld.add_argument("--sigma-max", type=float, metavar="X", help="the largest (default 10; --sde ve: 50)")
    smld.add_argument("--matching", help="denoising (default), explicit (points), implicit or sliced (mlp)")
    smld.add_argument("--bandwidth", type=float, metavar="X", help="of a kernel density for explicit (default: the exact law, if known)")
    sde.add_argument("--sde", help="vp (variance preserving, default), ve (exploding; --sigma-min, --sigma-max) or subvp")
    indi.add_argument("--noise", type=float, metavar="X", help="deviation of the noise to take out (default 0.5, with --blur 0.05)")
    indi.add_argument("--blur", type=float, metavar="X", help="deviation of a Gaussian blur, in pixels, to take out (default 0)")
    indi.add_argument("--epsilon", type=float, metavar="X", help="Brownian noise on the way from degraded to clean (default 0)")


def execute(arguments, ops):
    if arguments.save_every < 1:
        raise ValueError(f"save-every must be at least 1, got {arguments.save_every}")
    options = {name: getattr(arguments, name) for name in (*OPTIONS, "steps")}
    run, data = start(arguments.out, arguments.system, options, arguments.resume, ops)
    return continue_training(run, data, arguments.save_every, ops)


def start(folder, system, options, resume, ops):
    """(run, data): a new run in ``folder``, or with ``resume`` the one that is there, whose options must not be other ones."""
    folder = Path(folder)
    if holds_run(folder) and not resume:
        raise ValueError(f"{folder} holds a run already: add --resume to go on with it, or name another --out")
    for name in ("data", "labels"):  # the run must find its files from any working directory
        if options[name] is not None and options[name] not in datasets.NAMES and Path(options[name]).exists():
            options = options | {name: str(Path(options[name]).absolute())}
    if not (folder / "config.json").exists():
        if resume and not folder.exists():
            print(f"there is no run in {folder}: beginning one")
        if holds_run(folder):
            raise ValueError(f"{folder} holds a checkpoint or a log but no config.json: it can't be resumed")
        data = datasets.load(options["data"] or DEFAULTS["data"], options["seed"] or 0, options["labels"])
        run = new_run(folder, build_config(system, data, options))
        training_model(run, data)  # what can't be trained is refused before anything is written
        write_config(output_folder(folder), run.config)
        return run, data
    run = open_run(folder, need_checkpoint=False)
    _check_options(run, system, options)
    data = run.data
    steps = run.steps if options["steps"] is None else options["steps"]
    if steps < run.steps:
        raise ValueError(f"steps can only grow: {folder} is a run of {run.steps}, got {steps}")
    if steps > run.steps:
        run.config["steps"] = steps
        write_config(output_folder(folder), run.config)
    now = environment(ops)
    changed = [f"{name} was {value} and is {now.get(name)}" for name, value in (run.environment or now).items() if now.get(name) != value]
    if changed:
        print(f"note: {', '.join(changed)}: the bits of the result may differ")
    return run, data


def _check_options(run, system, options):
    if system != run.config["system"]:
        raise ValueError(f"{run.folder} is a run of {run.config['system']}, not of {system}")
    for name, place in OPTIONS.items():
        value = run.config
        for key in place:
            value = value.get(key) if value else None
        if options[name] is not None and options[name] != value:
            raise ValueError(f"{run.folder} was begun with {name} {value}, got {options[name]}: a run keeps its options")


def continue_training(run, data, save_every, ops):
    """Train to the run's last step; 0, or 130 if a signal stopped it.  The checkpoint is replaced every ``save_every`` steps."""
    if run.state.step >= run.steps:
        print(f"{run.folder} is finished: all of its {run.steps} steps are taken")
        return 0
    with exclusive(run.folder), contextlib.closing(Log(run.folder, run.state.step)) as log, stop_on_signal() as stop:
        first = run.state.step
        states = training.train(training_model(run, data), data.train, data.train_labels, run.settings, run.state, run.steps, ops)
        for state in progress(states, run.steps, "training step", lambda state: f"loss {state.loss:.4f}", first):
            state.settle()
            log.append(step=state.step, loss=state.loss, gradient_norm=state.gradient_norm)
            if stop.asked or state.step % save_every == 0 or state.step == run.steps:
                log.flush()
                run.save(ops)
            if stop.asked and state.step < run.steps:
                print(f"stopped after step {state.step} of {run.steps}, which is saved: go on with --resume")
                return 130
    run.state.fetch()
    print(f"wrote {run.folder}: config.json, checkpoint.safetensors, log.jsonl")
    return 0
