"""``sample RUN``: draw from a trained run into a picture or an array file."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from reference.commands.sampler_options import (
    add_sampling_options,
    degraded,
    describe,
    draw,
    parse_sampler_options,
)
from reference.data import datasets
from reference.runs.files import output_folder, output_path, write_atomically
from reference.runs.run import open_run

SUFFIXES = (".png", ".npz", ".npy", ".csv")
OUT_HELP = """FILE.png, a picture; FILE.npz, array x [n,...] with the settings as JSON; FILE.npy, x alone; FILE.csv, points, one a line.
Points are in the units of the data file, images in [-1, 1]"""


def add_options(parser):
    add_sampling_options(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help=OUT_HELP)


def execute(arguments, ops):
    run = open_run(arguments.run)
    how = parse_sampler_options(run, arguments)
    if not 1 <= arguments.n <= 2**32:
        raise ValueError(f"n must be at least 1 and at most 2^32, got {arguments.n}")
    settings = {
        "run": str(arguments.run),
        "weights": digest(run.state.ema),
        "n": arguments.n,
        **how,
    }
    if Path(arguments.out).suffix == ".csv" and len(run.model.network.sample_shape) == 3:
        raise ValueError(
            f"a .csv file holds points, and {run.folder} draws images: take .png, .npz or .npy"
        )
    path = _path(arguments.out, settings)
    x, evaluations = draw(run, ops, arguments.n, **how)
    arrays = with_origin(run, ops, x, how)
    write_atomically(
        path,
        picture(run, arrays, how, settings)
        if path.suffix == ".png"
        else _numbers(path.suffix, arrays, settings),
    )
    print(
        f"wrote {path}: {arguments.n} samples of {run.folder}, {describe(**how, evaluations=evaluations)}"
    )
    return 0


def with_origin(run, ops, x, how):
    """The samples x by the name of their array; restored ones with the degraded data that they were
    made from, and the clean data.

    Images without their padding, points in the units of their file.
    """
    arrays = {"x": x}
    if how["sampler"] == "indi":
        arrays["degraded"], arrays["clean"] = degraded(
            run, ops, np.arange(len(x)), how["seed"], how["noise"], how["blur"]
        )
    return {name: run.own(array) for name, array in arrays.items()}


def digest(weights):
    """Tells apart the weights that two samples were drawn with."""
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())
    ).hexdigest()


def _path(name, settings):
    """The path to write to.  A file of the very same settings may be written again: nothing is lost
    by it.
    """
    path = Path(name)
    if path.suffix in (".npz", ".png") and path.is_file() and _settings_of(path) == settings:
        output_folder(path.parent, path.name)
        return path
    return output_path(name, SUFFIXES)


def _settings_of(path):
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return json.loads(str(archive["settings"]))
        from reference import plotting

        return json.loads(plotting.description_of(path))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # not a file of ours
        return None


def _numbers(suffix, arrays, settings):
    stream, x = io.BytesIO(), arrays["x"]
    if suffix == ".npz":
        np.savez(stream, **arrays, settings=np.array(json.dumps(settings)))
    elif suffix == ".npy":
        np.save(stream, x)
    else:
        np.savetxt(
            stream,
            x,
            "%.9g",
            ",",
            header=",".join(f"x{i}" for i in range(1, x.shape[1] + 1)),
            comments="",
        )
    return stream.getvalue()


def picture(run, arrays, how, settings):
    """A PNG of the samples beside real data, or beside the degraded and the clean data that they
    were restored from.
    """
    from reference import plotting

    x = arrays["x"]
    if "degraded" in arrays:
        groups = {
            "clean data": arrays["clean"],
            "degraded": arrays["degraded"],
            f"restored in {how['steps']} steps": x,
        }
    else:
        groups = _real_data(run, len(x)) | {f"{len(x)} samples": x}
    title = f"{run.system} trained on {Path(run.config['data']).name}: {describe(**how)}"
    return plotting.png_bytes(
        plotting.sample_sheet(groups, title, datasets.exact_distribution(run.config["data"])),
        json.dumps(settings),
    )


def _real_data(run, n):
    """Up to n held-out samples of the run's data, by the name of their panel; none if the file of
    the data is gone.
    """
    try:
        real = run.own(run.data.held_out[:n])
    except ValueError:
        return {}
    return {f"{len(real)} of the data": real}
