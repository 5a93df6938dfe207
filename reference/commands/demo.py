"""``demo``: draw samples of the package's model, then train a U-Net by DDPM on handwritten digits,
draw samples, and measure them.
"""

import json
import time
from pathlib import Path

import numpy as np

from reference import ops as reference_ops
from reference import plotting
from reference.commands import sample, train
from reference.commands.train_options import CONFIG_ENTRY
from reference.runs.checkpoint import read_log
from reference.runs.conditions import labels_of
from reference.runs.evaluation import losses, quality
from reference.runs.exported import package_models
from reference.runs.files import output_folder, write_atomically
from reference.runs.progress import progress
from reference.runs.run import holds_run, open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.runs.trajectory import describe, trajectory
from reference.samplers.ancestral import prior

FULL = {"steps": 1500, "ddpm": 250, "n": 256}
QUICK = {"steps": 100, "ddpm": 50, "n": 64}
DDIM_STEPS = 20
PACKAGE_MODEL = "fashion-mnist"
SHEET, EACH_CLASS = f"{PACKAGE_MODEL}.png", 4
FILES = ("samples.png", "loss.png", "strip.png", "report.json")


def add_options(parser):
    parser.add_argument(
        "--out", default="demo", metavar="FOLDER", help="folder of the run (default demo)"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue a stopped demo in FOLDER (default: begin a demo)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK['steps']} training steps instead of {FULL['steps']}: enough to see it "
        "work, too few for good digits (default: the full demo)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of weights, data order and noise (default 0)",
    )


def execute(arguments, ops, compare=None):
    """``compare(run, data)``: a port's entries of the report, a dictionary."""
    begin, size = time.perf_counter(), QUICK if arguments.quick else FULL
    taken = [name for name in FILES if (Path(arguments.out) / name).exists()]
    if taken and not arguments.resume:
        advice = "add --resume to continue the demo, or name another --out"
        raise ValueError(f"{arguments.out} holds {taken[0]} already: {advice}")
    options = dict.fromkeys((*CONFIG_ENTRY, "steps")) | {
        "data": "digits",
        "net": "unet",
        "seed": arguments.seed,
        "steps": size["steps"],
    }
    resume = arguments.resume
    if not holds_run(arguments.out):
        # a demo that was stopped before its training began has left the sheet at most
        resume = resume and not (Path(arguments.out) / SHEET).exists()
        train.check_folder(Path(arguments.out), resume)
        draw_package_model(output_folder(arguments.out) / SHEET, arguments.seed)
    run, data = train.start(arguments.out, "ddpm", options, resume, ops)
    written = run.folder / "report.json"
    if run.state.step == run.steps and written.exists():
        print(f"{run.folder} is finished")
        print_report(json.loads(written.read_text(encoding="utf-8")), run.folder, arguments.program)
        return 0
    first, before = run.state.step, time.perf_counter()
    status = train.continue_training(run, data, 100, ops)
    if status:
        return status
    rate = (run.state.step - first) / (time.perf_counter() - before)
    report = {"steps": run.state.step, "steps_per_second": rate} | evaluate_and_draw(
        run, data, ops, size, arguments.seed
    )
    report |= compare(run, data) if compare else {}
    report["seconds"] = time.perf_counter() - begin
    write_atomically(written, (json.dumps(report, indent=2) + "\n").encode())
    print_report(report, run.folder, arguments.program)
    return 0


def draw_package_model(path, seed):
    """Write a picture of samples of the package's model, unless it is there.

    NumPy draws it in a few seconds; a port would first compile its kernels.
    """
    model = open_run(package_models()[PACKAGE_MODEL])
    how = sampler_options(model, "dpm-solver++", seed, steps=10, guidance=2.0)
    if path.exists():
        if sample.settings_of(path) != how:
            held = f"{path.parent} holds {path.name} already"
            raise ValueError(f"{held}: name another --out")
        return
    names = model.config["classes"]
    x, _ = draw(model, reference_ops, EACH_CLASS * len(names), **how)
    labels = labels_of(model, np.arange(len(x)), how["label"])
    title = f"Samples of the package's model of Fashion-MNIST: {describe(**how)}"
    sheet = plotting.class_sheet({"": (x, labels)}, names, title)
    write_atomically(path, plotting.png_bytes(sheet, json.dumps(how)))
    print(f"wrote {path}: samples of the package's model, drawn without training", flush=True)


def evaluate_and_draw(run, data, ops, size, seed):
    """Write the figures; return the numbers of report.json."""
    found = losses(run, data, ops)
    ddpm = {"sampler": "ddpm", "steps": size["ddpm"], "variance": "posterior", "seed": seed}
    ddim = {"sampler": "ddim", "steps": DDIM_STEPS, "eta": 0.0, "seed": seed}
    by_ddpm, by_ddim = (draw(run, ops, size["n"], **how)[0] for how in (ddpm, ddim))
    panels = {
        "real digits": data.held_out[:64],
        f"DDPM, {size['ddpm']} steps": by_ddpm[:64],
        f"DDIM, {DDIM_STEPS} steps": by_ddim[:64],
    }
    title = f"DDPM on {data.name}: {run.state.step} steps of {run.settings.batch} images"
    levels = {"predicting zero": found["loss of predicting zero"]}
    unit = "squared error of the predicted noise, per entry"
    stages = _stages(run, ops, size["ddpm"], seed)
    drawn = {
        "samples": plotting.sample_sheet(panels, title),
        "loss": plotting.loss_curve(read_log(run.folder), levels, title, unit),
        "strip": plotting.filmstrip(stages, f"From noise to digits: {size['ddpm']} steps of DDPM"),
    }
    for name, figure in drawn.items():
        write_atomically(run.folder / f"{name}.png", plotting.png_bytes(figure))
    of_ddpm, of_ddim = quality(by_ddpm, data), quality(by_ddim, data)
    return {
        "loss": found["loss"],
        "loss_of_zero": found["loss of predicting zero"],
        **of_ddpm,
        "frechet_ddim": of_ddim["frechet"],
        "precision_ddim": of_ddim["precision"],
    }


def _stages(run, ops, steps, seed, rows=6, columns=11):
    """(t, x) of the first samples at about ``columns`` times from T to 0."""
    schedule, sample = run.model.schedule, np.arange(rows)
    shown = shown_steps(schedule, steps, columns)
    states = trajectory(run, ops, sample, "ddpm", seed, steps=steps, variance="posterior")
    states = progress(states, steps, "reverse process, step")
    stages = [(t, x) for k, (t, x, _) in enumerate(states, 1) if k in shown]
    return [(schedule.T, prior(seed, sample, run.model.network.sample_shape, ops=ops)), *stages]


def shown_steps(schedule, steps, columns):
    """The numbers k of the steps after which the strip shows the samples.

    Their times are even in the angle arctan(sigma / alpha).  This angle hardly changes where the
    samples are plain noise, or finished.
    """
    times = np.array(schedule.timesteps(steps))
    angles = np.arctan2(schedule.noise_scale(times), schedule.signal(times))
    return {int(abs(angles - wanted).argmin()) for wanted in np.linspace(angles[0], 0, columns)}


def print_report(report, folder, program):
    """The numbers with their meaning, and the files."""
    real = f"real digits: {report['frechet_of_real']:.2f}"
    frechet = f"DDPM {report['frechet']:.2f}, DDIM {report['frechet_ddim']:.2f}   ({real})"
    real = f"real digits: {report['precision_of_real']:.0%}"
    precision = f"DDPM {report['precision']:.0%}, DDIM {report['precision_ddim']:.0%}   ({real})"
    loss = f"{report['loss']:.4f}   (predicting zero: {report['loss_of_zero']:.4f})"
    print(f"""
trained {report["steps"]} steps, {report["steps_per_second"]:.2f} a second
loss on held-out digits   {loss}; lower is better
Fréchet distance          {frechet}; lower is better
precision                 {precision}; share of samples near real digits
{report["seconds"]:.0f} seconds in all""")
    if "port" in report:
        factor = f"{report['speedup_over_reference']:.1f} times as fast"
        faster = f"a training step {factor} as the reference's"
        worst = (
            f"{report['worst_error_over_tolerance']:.2f} of its tolerance, of {report['worst_op']}"
        )
        print(f"{report['port']}: {faster}, and the largest error {worst}")
    command = f"{program} sample {folder} --samples 64 --out samples.png"
    print(f"""
wrote {folder / SHEET}   samples of the package's model
wrote {folder / "samples.png"}   real digits beside samples
wrote {folder / "loss.png"}   the loss, step by step
wrote {folder / "strip.png"}   the reverse process
wrote {folder / "report.json"}   these numbers
draw more samples: {command}""")
