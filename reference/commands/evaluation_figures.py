"""The files of ``evaluate RUN --out FOLDER``.

results.json   every printed number, the numbers of levels.png, the settings of run and sampler
loss.png       the training loss by step, the loss on held-out data, and its lower bound
levels.png     the loss on held-out data by noise level; for a VAE the KL of each latent variable
samples.png    samples and data
"""

import json
from pathlib import Path

import numpy as np

from reference import plotting
from reference.commands import sample
from reference.ddpm.indi import path
from reference.diffusion.denoiser import SMALLEST_SIGNAL
from reference.ops.random import Purpose, normal
from reference.runs.checkpoint import read_log
from reference.runs.conditions import with_labels
from reference.runs.evaluation import losses_at, mean_square
from reference.runs.files import output_folder, write_atomically
from reference.samplers.grids import uniform_log_snr
from reference.sde.sde import SDE
from reference.smld.smld import ScoreModel

FILES = ("results.json", "loss.png", "levels.png", "samples.png")
IMAGES = 64  # in samples.png
LEVELS, HELD_OUT = 14, 512  # of levels.png: noise levels, and samples for each
ENTRY = "squared error per entry"


def folder_for(name):
    """The folder to write to, None without a name.

    ValueError if it can't be written to or already holds one of the files.
    """
    if name is None:
        return None
    folder = output_folder(name)
    for file in FILES:
        if (folder / file).exists():
            raise ValueError(f"{folder / file} exists already: name another --out")
    return folder


def write(run, ops, x, rows, how, evaluations, folder):
    """``rows``: the printed numbers; ``how``: the options of the sampler that drew x[n,...]."""
    table = by_level(run, ops)
    settings = {
        "run": str(run.folder),
        "config": run.config,
        "weights": sample.digest(run.state.ema),
        "sampling": how,
    }
    results = {
        **settings,
        "evaluations": evaluations,
        "results": rows,
        "by level": {name: values.tolist() for name, values in table.items()},
    }
    own = {name: value for name, value in how.items() if name != "samples"}
    shown = sample.with_origin(run, ops, x[:IMAGES] if run.data.is_image else x, own)
    title = f"{run.method.name} on {Path(run.data.name).name}, {run.state.step} training steps"
    levels, unit = _levels_of_the_curve(run, rows)
    curve = plotting.loss_curve(read_log(run.folder), levels, f"Training loss: {title}", unit)
    made = {
        "results.json": (json.dumps(results, indent=2) + "\n").encode(),
        "loss.png": plotting.png_bytes(curve),
        "levels.png": plotting.png_bytes(level_figure(table, title)),
        "samples.png": sample.picture(run, shown, own, settings),
    }
    for file in FILES:
        write_atomically(folder / file, made[file])
        print(f"wrote {folder / file}")


def _levels_of_the_curve(run, rows):
    """(name -> loss, unit): losses to compare the training loss with, in the units of the log."""
    if run.method.likelihood == "importance weights":
        levels = _given(rows, 1, held_out="-ELBO (nats)", floor="exact -log p (nats)")
        return levels, "-ELBO (nats an example)"
    if run.method.restores:
        floor = "loss of the exact posterior mean"
        return _given(rows, 1, held_out="loss", floor=floor), ENTRY
    objective = run.config.get("objective", "simple")
    known = {
        "held_out": "loss",
        "floor": "loss of the exact prediction",
        "zero": "loss of predicting zero",
    }
    if objective == "simple":
        return _given(rows, 1, **known), f"{ENTRY} of the predicted {run.config['prediction']}"
    if isinstance(run.model, ScoreModel):
        # (3.13) is half the squared error, summed over the entries
        each = run.data.held_out[0].size / 2
        levels = _given(rows, each, **known) if objective == "denoising" else {}
        return levels, f"sigma^2 times the {objective} loss"
    return {}, f"{objective} loss"


def _given(rows, factor, **names):
    labels = {
        "held_out": "held-out data, averaged weights",
        "floor": "floor: the exact model",
        "zero": "predicting zero",
    }
    return {labels[key]: factor * rows[name] for key, name in names.items() if name in rows}


def by_level(run, ops, seed=4):
    """Name -> values at rising noise levels sigma / alpha: the loss on held-out data and the losses
    to compare it with.
    """
    x0 = run.data.held_out[:HELD_OUT]
    if run.method.likelihood == "importance weights":
        return _kl_by_latent(run, x0, ops)
    run = with_labels(run, run.data.held_out_labels[: len(x0)])
    losses = _restorations if run.method.restores else _predictions
    times, ratios, at = losses(run, x0, ops)
    sample, shape = np.arange(len(x0)), run.data.shape
    noise = lambda k: normal(seed, sample, k, Purpose.EVALUATION, shape, x0.dtype)
    parts = [at(t, noise(k)) for k, t in enumerate(times)]
    by_name = {name: np.array([part[name] for part in parts]) for name in parts[0]}
    return {"noise level": np.array(ratios)} | by_name


def _predictions(run, x0, ops):
    schedule = run.model.schedule
    if isinstance(schedule, SDE):
        times = uniform_log_snr(schedule, LEVELS - 1)[::-1]
    else:
        log_snr = schedule.log_snr(
            1 + np.flatnonzero(schedule.signal(np.arange(1, schedule.T + 1)) > SMALLEST_SIGNAL)
        )
        times = np.unique(
            [
                1 + abs(log_snr - wanted).argmin()
                for wanted in np.linspace(log_snr[0], log_snr[-1], LEVELS)
            ]
        )
    at = lambda t, noise: losses_at(
        run.model, run.state.ema, x0, np.full(len(x0), t), noise, run.data.mixture, ops
    )
    return times, schedule.noise_scale(times) / schedule.signal(times), at


def _restorations(run, x0, ops):
    """The same for InDI.  At time t the degraded image has weight t; if the degradation is noise
    alone, that is the noise level t noise.
    """
    model, times = run.model, np.arange(1, LEVELS + 1) / LEVELS
    z = (
        normal(5, np.arange(len(x0)), 0, Purpose.EVALUATION, run.data.shape, x0.dtype)
        if model.epsilon
        else None
    )

    def at(t, noise):
        found = {
            "loss": float(model.loss(run.state.ema, x0, np.full(len(x0), t), noise, z, ops=ops)[0])
        }
        if run.data.mixture and not model.epsilon:
            x = path(x0, model.degradation(x0, noise), np.full(len(x0), t), ops).astype(np.float64)
            best = run.data.mixture.posterior_mean(x, 1.0, t * model.degradation.noise)
            found["loss of the exact prediction"] = mean_square(best - x0)
        return found

    return times, times * model.degradation.noise, at


def _kl_by_latent(run, x0, ops):
    mean, log_var, _ = run.model.network.encode(
        run.state.ema, x0 * x0.dtype.type(run.model.data_variance**-0.5), ops
    )
    kl = ((mean.astype(np.float64) ** 2 + np.exp(log_var) - log_var - 1) / 2).mean(axis=0)
    return {"latent variable": np.arange(1, len(kl) + 1), "KL to N(0, 1) (nats)": np.sort(kl)[::-1]}


def level_figure(table, title):
    if "latent variable" in table:
        latent, kl = table.values()
        figure, ((axes,),) = plotting.subplots(
            1, 1, 7.5, 4.5, f"KL of each latent variable: {title}"
        )
        axes.bar(latent, kl, color=plotting.BLUE)
        axes.set(
            xlabel="latent variable, in the order of its KL",
            ylabel="KL to N(0, 1) (nats)",
            xticks=latent,
        )
        return figure
    figure, ((axes,),) = plotting.subplots(1, 1, 7.5, 4.5, f"Loss at each noise level: {title}")
    ratios, *values = table.values()
    for name, losses, color, style in zip(
        list(table)[1:],
        values,
        (plotting.BLUE, plotting.GREEN, plotting.VERMILION),
        ("o-", ":", "--"),
    ):
        axes.loglog(
            ratios,
            losses,
            style,
            color=color,
            label=f"{name}, held-out data" if name == "loss" else name,
        )
    axes.set(xlabel="noise level sigma / alpha", ylabel=ENTRY)
    axes.legend(fontsize=9)
    return figure
