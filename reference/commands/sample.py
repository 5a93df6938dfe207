"""``sample RUN``: draw from a trained run into a picture, an animation or an array file."""

import io
import json
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from reference.commands import attention, live
from reference.commands.sampler_options import add_sampling_options, parse_sampler_options
from reference.commands.stream import stream
from reference.data import datasets
from reference.data.captions import MOST_LETTERS, decode, encode
from reference.networks.blocks import takes_labels
from reference.runs.conditions import ALL, OWN, labels_of
from reference.runs.exported import digest
from reference.runs.files import output_folder, output_path, write_together
from reference.runs.inversion import read_latents
from reference.runs.judges import judge_of
from reference.runs.processes import processes
from reference.runs.progress import progress
from reference.runs.run import open_run
from reference.runs.sampling import batch_starts, draw
from reference.runs.trajectory import degraded, describe, length, trajectory

SUFFIXES = (".png", ".gif", ".npz", ".npy", ".csv")
# A GIF shows the samples at about this many steps of the sampler.
FRAMES = 24
MOST_ANIMATED = 1024
OUT_HELP = """FILE.png: a picture; FILE.gif: the steps of the sampler, animated; FILE.npz: array
x [n,...], of a run with classes also labels [n], and the settings as JSON; FILE.npy: x; FILE.csv:
points, one a line.  Points have the units of the data file, images lie in [-1, 1] (no default)"""


FROM_HELP = """latents of invert, from which ddim or ddpm begin in place of noise; steps and label
are theirs unless given, and nothing is clipped unless --clip data is given (default: noise)"""
LIVE_HELP = """draw images into FILE.png again and again, each time with the next seed, until
Ctrl-C, and print pictures and images a second (default: draw once)"""
FRAMES_HELP = "number of pictures of --live (default: until Ctrl-C)"


def add_options(parser):
    add_sampling_options(parser, "16; of each class 8 with --label all")
    parser.add_argument("--from", dest="start", metavar="FILE.npz", help=FROM_HELP)
    parser.add_argument("--out", required=True, metavar="FILE", help=OUT_HELP)
    parser.add_argument("--attention", metavar="FILE.png", help=attention.HELP)
    parser.add_argument("--live", action="store_true", help=LIVE_HELP)
    parser.add_argument("--frames", type=int, metavar="N", help=FRAMES_HELP)


def execute(arguments, ops):
    run = open_run(arguments.run, data_dir=arguments.data_dir)
    if arguments.data_dir is not None:
        _ = run.data  # a wrong folder is refused before any sample is drawn
    start = _latents(run, arguments) if arguments.start else None
    how = parse_sampler_options(run, arguments)
    n = default_samples(run, how) if arguments.samples is None else arguments.samples
    if not 1 <= n <= 2**32:
        raise ValueError(f"samples must be at least 1 and at most 2^32, got {n}")
    live.check_live(run, arguments, n)
    attention.check_attention(run, arguments, n, how)
    settings = {
        "run": str(arguments.run),
        "weights": digest(run.state.ema),
        "samples": n,
        **how,
    }
    if start is not None:
        settings["from"] = digest({"latents": start})
    if arguments.live:
        settings["live"] = True
    if Path(arguments.out).suffix == ".csv" and len(run.model.network.sample_shape) == 3:
        draws = f"{run.folder} draws images"
        raise ValueError(f"a .csv file holds points, and {draws}: take .png, .npz or .npy")
    if Path(arguments.out).suffix == ".gif":
        _check_animation(n, how)
    team = processes()
    path = team.shared(lambda: path_for(arguments.out, settings, SUFFIXES))
    if arguments.live:
        return live.execute(run, ops, n, path, settings, how, arguments.frames)
    beside = None
    if arguments.attention is not None:
        own = settings | {"attention": True}
        other = path_for(arguments.attention, own, (".png",), "--attention")
        beside = attention.AttentionPicture(run, other, n, how, own)
    if path.suffix in (".npz", ".npy") and len(batch_starts(run, n)) > 1:
        _write_many(run, ops, n, path, settings, how, start, team)
    else:
        _write(run, ops, n, path, settings, how, start, team, beside)
    return 0


def _write(run, ops, n, path, settings, how, start, team, beside):
    """Draw n samples and write them to ``path`` at once, with the picture ``beside`` or None."""
    watch, judge = beside and beside.maps.watch, judge_of(run, **how)
    x, evaluations = draw(run, ops, n, start=start, team=team, watch=watch, **how)

    def finish():
        arrays = with_origin(run, ops, x, how)
        if path.suffix == ".png":
            made = picture(run, arrays, how, settings)
        elif path.suffix == ".gif":
            made = animation(run, ops, n, how, settings, start)
        else:
            made = _numbers(path, arrays, settings)
        write_together("", {path: made} | ({beside.path: beside.png(x)} if beside else {}))
        _print_drawn(run, path, n, how, evaluations)
        if beside:
            beside.print_written()
        if judge:
            print(judge.sentence(judge.count({**arrays, "x": x}, ops), n))

    team.first(finish)


def _write_many(run, ops, n, path, settings, how, start, team):
    """Draw n samples and write them to ``path``, batch by batch."""
    judge, arrays_of = judge_of(run, **how), lambda x, first: with_origin(run, ops, x, how, first)
    agreeing = lambda arrays: judge.count(arrays, ops) if judge else 0
    drawing = run, ops, n, path, settings, how, start, team
    evaluations, agreed = stream(*drawing, arrays_of, agreeing)
    if team.rank == 0:
        _print_drawn(run, path, n, how, evaluations)
        if judge:
            print(judge.sentence(agreed, n))


def _print_drawn(run, path, n, how, evaluations):
    sampler = describe(**how, evaluations=evaluations)
    print(f"wrote {path}: {n} samples of {run.folder}, {sampler}")


def _latents(run, arguments):
    """The latents of --from; their settings become those of the options that are not given."""
    if arguments.sampler not in (None, "ddim", "ddpm"):
        raise ValueError(f"--from needs --sampler ddim or ddpm, got {arguments.sampler}")
    latents, made = read_latents(arguments.start, run.model.network.sample_shape)
    defaults = {"sampler": "ddim", "clip": "none", "samples": len(latents), "steps": made["steps"]}
    if arguments.label is arguments.caption is arguments.guidance is None:
        kept = ("label", "caption", "guidance")
        defaults |= {name: made[name] for name in kept if name in made}
    for name, value in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    if arguments.samples > len(latents):
        raise ValueError(
            f"{arguments.start} holds {len(latents)} latents, got samples {arguments.samples}"
        )
    return latents[: arguments.samples]


def default_samples(run, how):
    """The number of samples without --samples."""
    if isinstance(captions := how.get("caption"), list):
        return 8 * len(captions)
    return 8 * len(run.config["classes"]) if how.get("label") == ALL else 16


def with_origin(run, ops, x, how, first=0):
    """The arrays of a file: the samples x, of the indices from ``first`` on; their labels or their
    captions, if the run has some; and for restored ones the degraded and the clean data.

    Images without padding, points in the units of their file.
    """
    arrays, sample = {"x": x}, np.arange(first, first + len(x))
    if how["sampler"] == "indi":
        arrays["degraded"], arrays["clean"] = degraded(
            run, ops, sample, how["seed"], how["noise"], how["blur"]
        )
    arrays = {name: run.in_data_units(array) for name, array in arrays.items()}
    return arrays | _labels(run, sample, **how)


def _labels(run, sample, label=None, caption=None, **_):
    """The array of a file with the labels or the captions of samples, by name; {} without."""
    if not takes_labels(run.model.network):
        return {}
    labels = labels_of(run, sample, label, caption)
    if not run.config.get("vocabulary"):
        return {"labels": labels}
    return {"captions": np.array([decode(tokens) for tokens in labels], f"U{MOST_LETTERS}")}


def path_for(name, settings, suffixes, option="--out"):
    """The path to write to, the value of ``option``.  A file with the same settings may be
    overwritten: it would hold the same samples.  The seed of a live picture is one of many, and may
    differ.
    """
    path = Path(name)
    known = path.suffix in (".npz", ".png", ".gif")
    found = settings_of(path) if known and path.is_file() else None
    if found and settings.get("live"):
        found["seed"] = settings["seed"]
    if found == settings:
        output_folder(path.parent, path.name)
        return path
    return output_path(name, suffixes, option)


def settings_of(path):
    """The settings in a file of samples; None for a file that this command did not write."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return json.loads(str(archive["settings"]))
        from reference import plotting

        return json.loads(plotting.read_description(path))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # not written by this command
        return None


def _numbers(path, arrays, settings):
    stream, x = io.BytesIO(), arrays["x"]
    if path.suffix == ".npz":
        np.savez(stream, **arrays, settings=np.array(json.dumps(settings)))
    elif path.suffix == ".npy":
        np.save(stream, x)
    else:
        header = ",".join(f"x{i}" for i in range(1, x.shape[1] + 1))
        np.savetxt(stream, x, "%.9g", ",", header=header, comments="")
    return stream.getvalue()


def picture(run, arrays, how, settings):
    """A PNG of the samples beside real data, or beside the degraded and the clean data of a
    restoration.
    """
    from reference import plotting

    x, data = arrays["x"], run.config["data"]
    title = f"{run.title}: {describe(**how)}"
    if x.ndim == 4 and (rows := _rows(run, **how)):
        own = np.arange(len(x)) % len(rows)
        groups = _real_by_row(run, rows, own) | {f"{len(x)} samples": (x, own)}
        names = rows if "caption" in how else run.config["classes"]
        sheet = plotting.class_sheet(groups, names, title)
        return plotting.png_bytes(sheet, json.dumps(settings))
    if "degraded" in arrays:
        groups = {
            "clean data": arrays["clean"],
            "degraded": arrays["degraded"],
            f"restored in {how['steps']} steps": x,
        }
    else:
        groups = _real_data(run, len(x), **how) | {f"{len(x)} samples": x}
    sheet = plotting.sample_sheet(groups, title, datasets.exact_distribution(data))
    return plotting.png_bytes(sheet, json.dumps(settings))


def _check_animation(n, how):
    """ValueError for samples that can't be animated."""
    if n > MOST_ANIMATED:
        raise ValueError(f"a .gif shows at most {MOST_ANIMATED} samples, got {n}: take .png")
    if how["sampler"] == "decoder":
        raise ValueError("a decoder draws in one step, and a .gif shows several: take .png")


def animation(run, ops, n, how, settings, start=None):
    """A GIF of the n samples at up to ``FRAMES`` steps of the sampler.

    The frames are chosen so that the samples move by about the same distance from one to the next.
    """
    from reference.animation import gif_bytes, reverse_process_animation

    states = trajectory(run, ops, np.arange(n), start=start, **how)
    states = progress(states, length(**how), "animation, step")
    stages = [(float(t), run.in_data_units(np.asarray(x))) for t, x, _ in states]
    kept = evenly_moved([x for _, x in stages], FRAMES)
    title = f"{n} samples of {Path(run.config['data']).name} by {how['sampler']}"
    figure, updates = reverse_process_animation([stages[k] for k in kept], title)
    return gif_bytes(figure, updates, json.dumps(settings))


def evenly_moved(states, count):
    """Up to ``count`` rising indices of ``states``, the first and the last among them: the path
    from one to the next has about the same length.  The length of a step is the root mean square of
    the change of an entry, in units of the larger of 1 and the entries.
    """
    change = lambda a, b: np.sqrt(np.mean((b - a) ** 2) / max(1.0, float(np.mean(a**2))))
    path = np.cumsum([0.0, *(change(a, b) for a, b in pairwise(states))])
    wanted = np.linspace(0, path[-1], count)
    return sorted({int(np.abs(path - length).argmin()) for length in wanted} | {len(states) - 1})


def data_of(run):
    """The run's data; None if the data's file is gone, or is yet to be downloaded."""
    try:
        return None if run.needs_download() else run.data
    except ValueError:
        return None


def _rows(run, label=None, caption=None, **_):
    """The labels of the rows of a picture: the classes, by number, or the captions that the samples
    take in turn; None for samples of one label.
    """
    if label == ALL:
        return range(len(run.config["classes"]))
    return caption if isinstance(caption, list) and len(caption) > 1 else None


def _has_label(data, label):
    """[n]: which held-out samples have the label, the number of a class or a caption."""
    if isinstance(label, str):
        return (data.held_out_labels == encode(label)[0]).all(axis=1)
    return data.held_out_labels == label


def _real_data(run, n, label=None, caption=None, **_):
    """Up to n held-out samples of the data, those of the class ``label`` or of the caption if there
    is one, by the name of their panel; none without data.
    """
    if not (data := data_of(run)):
        return {}
    one = caption[0] if isinstance(caption, list) else label
    chosen = slice(None) if one in (None, ALL, OWN) else _has_label(data, one)
    real = run.in_data_units(data.held_out[chosen][:n])
    return {f"{len(real)} of the data": real} if len(real) else {}


def _real_by_row(run, rows, own):
    """As ``_real_data``, the images with their row: in each row up to as many as samples, which are
    in the rows own[n].
    """
    if not (data := data_of(run)):
        return {}
    counts = np.bincount(own, minlength=len(rows))
    kept = [np.flatnonzero(_has_label(data, row))[:n] for row, n in zip(rows, counts)]
    real = run.in_data_units(data.held_out[np.concatenate(kept)])
    labels = np.repeat(np.arange(len(rows)), [len(indices) for indices in kept])
    return {f"{len(real)} of the data": (real, labels)} if len(real) else {}
