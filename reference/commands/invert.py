"""``invert RUN``: from data to the noise from which ``ddim`` returns to them, and the error of the
round trip by the number of steps.
"""

import io
import json
from pathlib import Path

import numpy as np

from reference.commands.export import RUN_HELP
from reference.data import datasets, mnist
from reference.networks.blocks import takes_labels
from reference.runs import conditions
from reference.runs.exported import digest
from reference.runs.files import output_path, write_atomically
from reference.runs.inversion import invert, reconstruct
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options

OUT_HELP = """FILE.npz: arrays latents and x, the data, of which sample --from FILE.npz makes
samples; FILE.png: data, latents and reconstructions beside each other (no default)"""


def add_options(parser):
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    option = parser.add_argument
    option(
        "--data",
        metavar="DATA",
        help="images to invert, as for train (default the held-out data of the run)",
    )
    option("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)
    option(
        "--steps",
        type=int,
        nargs="+",
        metavar="N",
        help="numbers of steps; the latents are those of the last one (default 12 25 50, or a "
        "quarter, a half and all of a run's T below 50)",
    )
    option("--samples", type=int, default=16, metavar="N", help="number of samples (default 16)")
    add_label_options(option)
    option("--out", required=True, metavar="FILE", help=OUT_HELP)


def execute(arguments, ops):
    run = open_run(arguments.run, data_dir=arguments.data_dir)
    path = output_path(arguments.out, (".npz", ".png"))
    condition = condition_or_none(run, arguments)
    steps = arguments.steps or _default_steps(run, condition)
    for n in steps:
        sampler_options(run, "ddim", steps=n, **condition)
    x = _data(run, arguments)
    print(f"{run.folder}: {len(x)} samples to noise by DDIM inversion, and back by ddim")
    print("  steps  rms of the latents  rms error of the reconstruction")
    for n in steps:
        latents = invert(run, ops, x, n, **condition)
        back = reconstruct(run, ops, latents, n, **condition)
        print(f"  {n:5}  {_rms(latents):18.4g}  {_rms(back - x):31.4g}")
    settings = {"run": str(arguments.run), "weights": digest(run.state.ema), **condition}
    settings |= {"data": arguments.data, "samples": len(x), "steps": steps[-1]}
    make = _numbers if path.suffix == ".npz" else _picture
    write_atomically(path, make(run, x, latents, back, settings))
    print(f"wrote {path}: latents of {len(x)} samples in {steps[-1]} steps")
    return 0


def add_label_options(option):
    """``option``: the function of a parser or a group that adds an option."""
    option(
        "--label",
        metavar="LABEL",
        help="number or name of a class, or all: the classes in turn (default: without a label)",
    )
    option(
        "--caption",
        nargs="+",
        metavar="CAPTION",
        help="captions, which the samples take in turn (default: without a caption)",
    )


def condition_or_none(run, arguments, command="invert"):
    """The options of conditions.py: the label or the captions, or neither by guidance 0."""
    label, caption = arguments.label, arguments.caption
    if label is None and caption is None and takes_labels(run.model.network):
        if not run.settings.label_dropout:
            own = "caption" if run.config.get("vocabulary") else "label"
            trained = f"{run.folder} was trained without a null label"
            raise ValueError(f"{command} needs --{own}, because {trained}")
        return conditions.condition_options(run, guidance=0.0)
    return conditions.condition_options(run, label, caption)


def _default_steps(run, condition):
    most = sampler_options(run, "ddim", **condition)["steps"]
    return [n for n in (most // 4, most // 2, most) if n]


def _data(run, arguments):
    """The first samples of the held-out data, or of all images of --data, in the network's units
    and shape.
    """
    name, samples = arguments.data, arguments.samples
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    shape = run.model.network.sample_shape
    if name is None:
        return run.data.held_out[:samples]
    data = datasets.load_dataset(name, data_dir=arguments.data_dir)
    fits = data.is_image and len(shape) == 3 and data.shape[2] == shape[2]
    if not fits or any(size > most for size, most in zip(data.shape, shape)):
        raise ValueError(f"{name} holds samples of shape {data.shape}, and {run.folder} of {shape}")
    data = data.padded(shape)
    return np.concatenate((data.held_out, data.train))[:samples]


def _rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _numbers(run, x, latents, back, settings):
    stream = io.BytesIO()
    arrays = {"latents": latents, "x": run.in_data_units(x)}
    np.savez(stream, **arrays, settings=np.array(json.dumps(settings)))
    return stream.getvalue()


def _picture(run, x, latents, back, settings):
    from reference import plotting

    scale = 3 * _rms(latents) if x.ndim == 4 else 1.0  # most of a Gaussian within [-1, 1]
    groups = {
        "data": run.in_data_units(x),
        "latents": latents / scale,
        f"from the latents in {settings['steps']} steps": run.in_data_units(back),
    }
    name = Path(run.config["data"]).name
    sheet = plotting.sample_sheet(groups, f"DDIM inversion of {name}, {settings['steps']} steps")
    return plotting.png_bytes(sheet, json.dumps(settings))
