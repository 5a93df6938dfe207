"""``info``: the versions and threads that results depend on; with ``--data``, how data is read."""

from importlib.metadata import version
from pathlib import Path

import numpy as np

import reference
from reference.data import datasets, formats, mnist
from reference.runs.checkpoint import environment
from reference.runs.files import output_path, write_atomically

LIBRARIES = ("matplotlib", "numba", "safetensors", "scikit-learn", "tqdm")
COORDINATES = 8  # listed for points
SHOWN = {"images": 64, "points": 4000}  # in a picture


def add_options(parser):
    parser.add_argument(
        "--data",
        metavar="DATA",
        help=f"data to describe: {', '.join(datasets.NAMES)}, or {formats.HELP} (default: versions "
        "and threads are printed instead)",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="with --data: IDX or .npy file of labels for images (default: the file beside them)",
    )
    parser.add_argument("--data-dir", metavar="FOLDER", help=f"with --data: {mnist.FOLDER_HELP}")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed that chooses the held-out samples (default 0)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.png",
        help="with --data: a picture of the first images or of the points (default: none)",
    )


def execute(arguments, ops):
    if arguments.data is None:
        options = (arguments.labels, arguments.data_dir, arguments.out)
        if any(option is not None for option in options):
            raise ValueError("--labels, --data-dir and --out describe data: name it with --data")
        return print_rows(
            {"reference": reference.__version__}
            | environment(ops)
            | {name: version(name) for name in LIBRARIES}
        )
    path = None if arguments.out is None else output_path(arguments.out, (".png",))
    data = datasets.load_dataset(
        arguments.data, arguments.seed, arguments.labels, arguments.data_dir
    )
    print_rows(rows(data))
    if path:
        write_atomically(path, picture(data))
        print(f"wrote {path}")
    return 0


def print_rows(rows):
    for name, value in rows.items():
        print(f"{name:12}  {value}")
    return 0


def rows(data):
    """Name -> text: the description of a data set."""
    x = np.concatenate((data.train, data.held_out))
    labels = np.concatenate((data.train_labels, data.held_out_labels))
    known, counts = np.unique(labels, return_counts=True)
    classes = f"{len(known)} classes, from {known[0]} to {known[-1]}"
    many = f"{classes}, of {counts.min()} to {counts.max()} samples"
    return {
        "data": data.name,
        "shape": "images of {}x{} pixels, channels: {}".format(*data.shape)
        if data.is_image
        else f"points, coordinates: {data.shape[0]}",
        "samples": f"{len(data.train)} to train on, {len(data.held_out)} held out",
        "labels": many if len(known) > 1 else "none",
        **({"read as": "; ".join(data.notes)} if data.notes else {}),
        **_ranges(x, data),
        "variance": f"{data.variance:.5g} an entry of the training data, as the network sees it",
        **(
            {"spacing": f"{data.bin_width:.4g} between values, as the network sees them"}
            if data.bin_width
            else {}
        ),
    }


def _ranges(x, data):
    """The range of values in the file's and in the network's numbers, for points by coordinate."""
    axes = None if data.is_image else 0
    ends = np.stack([np.atleast_1d(x.min(axis=axes)), np.atleast_1d(x.max(axis=axes))])
    own = data.units.to_file_units(ends) if data.units else ends
    # an end at 0 was rounded to float32 and back
    own = np.where(abs(own) < 1e-6 * np.ptp(own, axis=0), 0.0, own)
    names = ["values"] if data.is_image else [f"coordinate {i}" for i in range(1, x.shape[1] + 1)]
    ranges = [
        f"{a:.6g} to {b:.6g}, to the network {c:.4g} to {d:.4g}" for a, b, c, d in zip(*own, *ends)
    ]
    more = (
        {"...": f"{len(names) - COORDINATES} more coordinates"} if len(names) > COORDINATES else {}
    )
    return dict(list(zip(names, ranges))[:COORDINATES]) | more


def picture(data):
    from reference import plotting

    shown = data.train[: SHOWN["images" if data.is_image else "points"]]
    own = data.units.to_file_units(shown) if data.units and not data.is_image else shown
    title = f"{Path(data.name).name}: training data"
    panels = {f"the first {len(shown)} of {len(data.train)}": own}
    return plotting.png_bytes(plotting.sample_sheet(panels, title, data.mixture))
