"""``sample RUN``: draw from a trained run into a picture, an animation or an array file."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from reference.commands import attention, live
from reference.commands.sample_pictures import animation, check_animation, picture, rows_of
from reference.commands.sampler_options import add_sampling_options, parse_sampler_options
from reference.commands.stream import stream
from reference.data.captions import LONGEST, decode
from reference.networks.blocks import takes_labels
from reference.runs.conditions import labels_of
from reference.runs.exported import digest
from reference.runs.files import output_folder, output_path, write_together
from reference.runs.inversion import read_latents
from reference.runs.judges import judge_of
from reference.runs.processes import processes
from reference.runs.run import open_run
from reference.runs.sampling import batch_starts, draw
from reference.runs.trajectory import degraded, describe

SUFFIXES = (".png", ".gif", ".npz", ".npy", ".csv")
OUT_HELP = """FILE.png: a picture; FILE.gif: the steps of the sampler, animated; FILE.npz: array
x [n,...], of a run with classes also labels [n], of one with captions also captions [n], and the
settings as JSON; FILE.npy: x; FILE.csv: points, one a line.  Points have the units of the data
file, images lie in [-1, 1] (no default)"""
FROM_HELP = """latents of invert, from which ddim or ddpm begin in place of noise; steps, and label
or captions, are theirs unless given, and nothing is clipped unless --clip data is given (default:
noise)"""
LIVE_HELP = """draw images into FILE.png again and again, each time with the next seed, until
Ctrl-C, and print pictures and images a second (default: draw once)"""
FRAMES_HELP = "number of pictures of --live (default: until Ctrl-C)"


def add_options(parser):
    add_sampling_options(parser, "16; 8 of each with --label all or several captions")
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
    _check(run, arguments, n, how)
    settings = _settings(run, arguments, n, how, start)
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


def _check(run, arguments, n, how):
    """ValueError for a kind of file that can't hold the samples, or options that exclude others."""
    live.check_live(run, arguments, n)
    attention.check_attention(run, arguments, n, how)
    if Path(arguments.out).suffix == ".csv" and len(run.model.network.sample_shape) == 3:
        draws = f"{run.folder} draws images"
        raise ValueError(f"a .csv file holds points, and {draws}: take .png, .npz or .npy")
    if Path(arguments.out).suffix == ".gif":
        check_animation(n, how)


def _settings(run, arguments, n, how, start):
    """What the samples depend on, as their file keeps it."""
    weights = digest(run.state.ema)
    settings = {"run": str(arguments.run), "weights": weights, "samples": n, **how}
    if start is not None:
        settings["from"] = digest({"latents": start})
    if arguments.live:
        settings["live"] = True
    return settings


def _write(run, ops, n, path, settings, how, start, team, beside):
    """Draw n samples and write them to ``path`` at once, with the picture ``beside`` or None."""
    watch = beside.maps.watch if beside else None
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
        if judge := judge_of(run, **how):
            print(judge.sentence(judge.count(arrays, ops), n))

    team.first(finish)


def _write_many(run, ops, n, path, settings, how, start, team):
    """Draw n samples and write them to ``path``, batch by batch."""
    judge = judge_of(run, **how) if team.rank == 0 else None
    arrays_of = lambda x, first: with_origin(run, ops, x, how, first)
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
    if arguments.label is None and arguments.caption is None:
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
    rows = rows_of(run, **how)
    return 8 * len(rows) if rows else 16


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
    return {"captions": np.array([decode(tokens) for tokens in labels], f"U{LONGEST}")}


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
