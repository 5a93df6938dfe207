"""The files of ``evaluate RUN --out FOLDER``.

results.json              every printed number, the numbers of the figures by level, the settings of
                          run and sampler
loss.png                  the training loss by step, the loss on held-out data, its lower bound
loss_by_noise_level.png   the loss on held-out data by noise level, beside other denoisers
latents.png               for a VAE in its place: the KL of each latent variable
samples.png               samples and data
neighbours.png            for images: samples and the nearest training image of each
"""

import json
from pathlib import Path

import numpy as np

from reference import plotting
from reference.commands import sample
from reference.commands.sample_pictures import picture
from reference.data.neighbours import nearest
from reference.ddpm.indi import path
from reference.ops.random import Purpose, normal
from reference.runs.checkpoint import read_log
from reference.runs.conditions import with_labels
from reference.runs.evaluation import mean_square
from reference.runs.exported import digest
from reference.runs.files import output_folder, write_atomically
from reference.runs.noise_levels import EXACT, LINEAR, MEMORISING, NETWORK, TRAINING
from reference.smld.smld import ScoreModel

BY_LEVEL, LATENTS = "loss_by_noise_level.png", "latents.png"
FILES = ("results.json", "loss.png", BY_LEVEL, LATENTS, "samples.png", "neighbours.png")
IMAGES = 64  # in samples.png
NEIGHBOURS = 36  # samples in neighbours.png
# for runs without a score: levels of restoration and latent variables
LEVELS, HELD_OUT = 14, 512
STYLES = {
    NETWORK: ("o-", plotting.BLUE),
    TRAINING: (".:", plotting.SKY),
    LINEAR: ("--", plotting.VERMILION),
    MEMORISING: ("-.", plotting.PURPLE),
    EXACT: (":", plotting.GREEN),
}
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


def write(run, ops, x, found, how, evaluations, folder):
    """``found``: what ``evaluate`` measured; ``how``: the options of the sampler that drew
    x[n,...].
    """
    settings = {
        "run": str(run.folder),
        "config": run.config,
        "weights": digest(run.state.ema),
        "sampling": how,
    }
    title = f"{run.method.name} on {Path(run.data.name).name}, {run.state.step} training steps"
    if found.by_level:
        levels, losses = found.by_level
        by_level, figure = _as_json(levels, losses), loss_figure(levels, losses, title)
    else:
        table = without_score(run, ops)
        by_level = {name: values.tolist() for name, values in table.items()}
        figure = level_figure(table, title)
    results = {
        **settings,
        "evaluations": evaluations,
        "results": found.rows,
        "by level": by_level,
        "features": found.features,
        "quality": {
            name: {column: estimate._asdict() for column, estimate in columns.items()}
            for name, columns in found.quality.items()
        },
    }
    own = {name: value for name, value in how.items() if name != "samples"}
    shown = sample.with_origin(run, ops, x[:IMAGES] if run.data.is_image else x, own)
    levels, unit = _levels_of_the_curve(run, found.rows)
    made = {"results.json": (json.dumps(results, indent=2) + "\n").encode()}
    if log := read_log(run.folder):  # an exported file has none
        curve = plotting.loss_curve(log, levels, f"Training loss: {title}", unit)
        made["loss.png"] = plotting.png_bytes(curve)
    made[LATENTS if "latent variable" in by_level else BY_LEVEL] = plotting.png_bytes(figure)
    made["samples.png"] = picture(run, shown, own, settings)
    if run.data.is_image:
        made["neighbours.png"] = plotting.png_bytes(neighbour_figure(run, x[:NEIGHBOURS], title))
    for file, content in made.items():
        write_atomically(folder / file, content)
        print(f"wrote {folder / file}")


def _as_json(levels, losses):
    each = {
        name: {"loss": mean.tolist(), "standard error": error.tolist()}
        for name, (mean, error) in losses.items()
    }
    return {"noise level": levels.tolist(), **each}


def neighbour_figure(run, x, title):
    """Samples x[n,h,w,c] and the nearest training image of each, at the same places."""
    train = run.data.train
    of_each = train[nearest(x, train)[1][:, 0]]
    groups = {f"{len(x)} samples": x, "the nearest training image of each": of_each}
    cropped = {name: run.in_data_units(images) for name, images in groups.items()}
    return plotting.sample_sheet(cropped, title)


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
        weight = run.config.get("loss_weight", "simple")
        predicted = f" of the predicted {run.config['prediction']}"
        unit = predicted if weight == "simple" else f", weighted by {weight}"
        return _given(rows, 1, **known), ENTRY + unit
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


def without_score(run, ops, seed=4):
    """Name -> values, for a run without a score: of a VAE the KL of each latent variable, of InDI
    the loss on held-out data and the losses to compare it with, at rising noise levels.
    """
    x0 = run.data.held_out[:HELD_OUT]
    if run.method.likelihood == "importance weights":
        return _kl_by_latent(run, x0, ops)
    run = with_labels(run, run.data.held_out_labels[: len(x0)])
    times, ratios, at = _restorations(run, x0, ops)
    sample, shape = np.arange(len(x0)), run.data.shape
    noise = lambda k: normal(seed, sample, k, Purpose.EVALUATION, shape, x0.dtype)
    parts = [at(t, noise(k)) for k, t in enumerate(times)]
    by_name = {name: np.array([part[name] for part in parts]) for name in parts[0]}
    return {"noise level": np.array(ratios)} | by_name


def _restorations(run, x0, ops):
    """(times, noise levels, losses at a time).  At time t the degraded image has weight t; if the
    degradation is noise alone, that is the noise level t noise.
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


def loss_figure(levels, losses, title):
    """The result of ``losses_by_noise_level``, with bands of two standard errors on either side."""
    figure, ((axes,),) = plotting.subplots(1, 1, 7.5, 4.5, f"Loss by noise level: {title}")
    for name, (mean, error) in losses.items():
        style, color = STYLES[name]
        axes.plot(levels, mean, style, color=color, label=name)
        axes.fill_between(levels, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="noise level sigma / alpha",
        ylabel=f"{ENTRY} of the noise",
    )
    axes.legend(fontsize=9)
    return figure


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
