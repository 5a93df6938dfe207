"""``demo``: the main job end to end, a U-Net trained with DDPM on handwritten digits, and a look at
what it has learned.
"""

import json
import time
from pathlib import Path

import numpy as np

from reference import plotting
from reference.commands import evaluate, train
from reference.commands.progress import progress
from reference.commands.sampler_options import draw, trajectory
from reference.runs.checkpoint import read_log
from reference.runs.files import write_atomically
from reference.samplers.ancestral import prior

FULL = {"steps": 1500, "ddpm": 250, "n": 256}
QUICK = {"steps": 100, "ddpm": 50, "n": 64}
DDIM_STEPS = 20
FILES = ("samples.png", "loss.png", "strip.png", "report.json")


def add_options(parser):
    parser.add_argument(
        "--out", default="demo", metavar="FOLDER", help="folder of the run (default demo)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a demo in FOLDER that was stopped"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a minute instead of ten: enough to see it work, too little for good digits",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")


def execute(arguments, ops, compare=None):
    """``compare(run, data)``: what a port adds to the report, as a dictionary."""
    begin, size = time.perf_counter(), QUICK if arguments.quick else FULL
    taken = [name for name in FILES if (Path(arguments.out) / name).exists()]
    if taken and not arguments.resume:
        raise ValueError(f"{arguments.out} holds {taken[0]} already: name another --out")
    options = dict.fromkeys((*train.OPTIONS, "steps")) | {
        "data": "digits",
        "net": "unet",
        "seed": arguments.seed,
        "steps": size["steps"],
    }
    run, data = train.start(arguments.out, "ddpm", options, arguments.resume, ops)
    written = run.folder / "report.json"
    if run.state.step == run.steps and written.exists():
        print(f"{run.folder} is finished")
        tell(json.loads(written.read_text(encoding="utf-8")), run.folder, arguments.program)
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
    tell(report, run.folder, arguments.program)
    return 0


def evaluate_and_draw(run, data, ops, size, seed):
    """Write the figures; the numbers of report.json."""
    losses = evaluate.losses(run, data, ops)
    samples = {
        "DDPM": draw(
            run, ops, size["n"], sampler="ddpm", steps=size["ddpm"], variance="posterior", seed=seed
        )[0],
        "DDIM": draw(run, ops, size["n"], sampler="ddim", steps=DDIM_STEPS, eta=0.0, seed=seed)[0],
    }
    panels = {
        "real digits": data.held_out[:64],
        f"DDPM, {size['ddpm']} steps": samples["DDPM"][:64],
        f"DDIM, {DDIM_STEPS} steps": samples["DDIM"][:64],
    }
    title = f"DDPM on {data.name}: {run.state.step} steps of {run.settings.batch} images"
    levels = {"predicting zero": losses["loss of predicting zero"]}
    drawn = {
        "samples": plotting.sample_sheet(panels, title),
        "loss": plotting.loss_curve(
            read_log(run.folder), levels, title, "squared error of the predicted noise, per entry"
        ),
        "strip": plotting.filmstrip(
            _stages(run, ops, size["ddpm"], seed),
            f"From noise to digits: {size['ddpm']} steps of DDPM",
        ),
    }
    for name, figure in drawn.items():
        write_atomically(run.folder / f"{name}.png", plotting.png_bytes(figure))
    ddpm, ddim = (evaluate.quality(samples[name], data) for name in ("DDPM", "DDIM"))
    return {
        "loss": losses["loss"],
        "loss_of_zero": losses["loss of predicting zero"],
        **ddpm,
        "frechet_ddim": ddim["frechet"],
        "accepted_ddim": ddim["accepted"],
    }


def _stages(run, ops, steps, seed, rows=6, columns=11):
    """(t, x) of the first samples at about ``columns`` times from T to 0."""
    schedule, sample = run.model.schedule, np.arange(rows)
    shown = shown_of(schedule, steps, columns)
    states = trajectory(run, ops, sample, "ddpm", seed, steps=steps, variance="posterior")
    stages = [
        (t, x)
        for k, (t, x, _) in enumerate(progress(states, steps, "reverse process, step"), 1)
        if k in shown
    ]
    return [(schedule.T, prior(seed, sample, run.model.network.sample_shape, ops=ops)), *stages]


def shown_of(schedule, steps, columns):
    """The numbers k of the steps after which the strip shows the samples.

    Their times are even in the angle arctan(sigma / alpha), a function of the log-SNR alone that
    ends at both ends: where the samples are plain noise, or finished, it hardly changes.
    """
    angles = np.arctan2(
        schedule.noise_scale(np.array(schedule.timesteps(steps))),
        schedule.signal(np.array(schedule.timesteps(steps))),
    )
    return {int(abs(angles - wanted).argmin()) for wanted in np.linspace(angles[0], 0, columns)}


def tell(report, folder, program):
    compared = ""
    if "port" in report:
        compared = f"""
{report["port"]}: a training step is {report["speedup_over_reference"]:.1f} times as fast as the reference's, and no result is further
from it than {report["worst_error_over_budget"]:.2f} of the budget ({report["worst_op"]})"""
    print(f"""
trained {report["steps"]} steps, {report["steps_per_second"]:.2f} a second
loss on held-out digits   {report["loss"]:.4f}   (predicting zero scores {report["loss_of_zero"]:.4f})
Fréchet distance          DDPM {report["frechet"]:.2f}, DDIM {report["frechet_ddim"]:.2f}   (real ones {report["frechet_of_real"]:.2f})
accepted as digits        DDPM {report["accepted"]:.0%}, DDIM {report["accepted_ddim"]:.0%}   (real ones 95%)
{report["seconds"]:.0f} seconds in all{compared}

wrote {folder / "samples.png"}   real digits beside samples
wrote {folder / "loss.png"}   the loss, step by step
wrote {folder / "strip.png"}   the reverse process
wrote {folder / "report.json"}   these numbers
the run can be sampled: {program} sample {folder} --n 64 --out samples.png""")
