"""``sample RUN``: draw from a trained run into a picture or an array file."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from reference import datasets
from reference.commands.sampling import add_sampling_options, choose, degraded, describe, draw
from reference.files import output_path, write_atomically
from reference.run import open_run


def add_options(parser):
    add_sampling_options(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help="FILE.png or FILE.npz")


def execute(arguments, ops):
    run = open_run(arguments.run)
    how = choose(run, arguments)
    if not 1 <= arguments.n <= 2**32:
        raise ValueError(f"n must be at least 1 and at most 2^32, got {arguments.n}")
    settings = {"run": str(arguments.run), "weights": digest(run.state.ema), "n": arguments.n, **how}
    path = _path(arguments.out, settings)
    x, evaluations = draw(run, ops, arguments.n, **how)
    arrays = with_origin(run, ops, x, how)
    write_atomically(path, _npz(arrays, settings) if path.suffix == ".npz" else picture(run, arrays, how, settings))
    print(f"wrote {path}: {arguments.n} samples of {run.folder}, {describe(**how, evaluations=evaluations)}")
    return 0


def with_origin(run, ops, x, how):
    """The samples x by the name of their array; restored ones with the degraded data that they were made from, and the clean data."""
    if how["sampler"] != "indi":
        return {"x": x}
    y, clean = degraded(run, ops, np.arange(len(x)), how["seed"], how["noise"], how["blur"])
    return {"x": x, "degraded": y, "clean": clean}


def digest(weights):
    """Tells apart the weights that two samples were drawn with."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())).hexdigest()


def _path(name, settings):
    """The path to write to.  A file of the very same settings may be written again: nothing is lost by it."""
    path = Path(name)
    if path.suffix in (".npz", ".png") and path.is_file() and _settings_of(path) == settings:
        return path
    return output_path(name, (".png", ".npz"))


def _settings_of(path):
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return json.loads(str(archive["settings"]))
        from reference import figures

        return json.loads(figures.description_of(path))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # not a file of ours
        return None


def _npz(arrays, settings):
    stream = io.BytesIO()
    np.savez(stream, **arrays, settings=np.array(json.dumps(settings)))
    return stream.getvalue()


def picture(run, arrays, how, settings):
    """A PNG of the samples beside real data, or beside the degraded and the clean data that they were restored from."""
    from reference import figures

    x = arrays["x"]
    if "degraded" in arrays:
        groups = {"clean data": arrays["clean"], "degraded": arrays["degraded"], f"restored in {how['steps']} steps": x}
    else:
        groups = _real_data(run, len(x)) | {f"{len(x)} samples": x}
    title = f"{run.system} trained on {Path(run.config['data']).name}: {describe(**how)}"
    return figures.png(figures.samples(groups, title, datasets.law(run.config["data"])), json.dumps(settings))


def _real_data(run, n):
    """Up to n held-out samples of the run's data, by the name of their panel; none if the file of the data is gone."""
    try:
        real = run.data.held_out[:n]
    except ValueError:
        return {}
    return {f"{len(real)} of the data": real}
