"""Commands run in this process, and options of small runs that several test files share."""

import numpy as np

from reference.commands.cli import main
from reference.runs.run import open_run
from reference.runs.solvers import STEPS

TINY = "--width 8 --depth 1 --batch 4 --save-every 2".split()
CAPTIONS = "--data captions --channels 4 8 8 --groups 2 --batch 4 --save-every 2".split()


def run(*words):
    """Exit code of a command, in this process."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


def files(folder):
    """Path -> bytes of all files under a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FOUR_STEPS = [*TINY, "--steps", "4"]
POINTS = {
    "vae": "vae --data mixture1d",
    "ddpm": "ddpm --data mixture1d --objective hybrid --timesteps 30",
    "smld": "smld --data mixture1d --levels 4",
    "sde": "sde --data mixture1d",
    "flow": "flow --data mixture1d --loss-weight min-snr --times u-shaped",
    "indi": "indi --data mixture1d --noise 1",
    "much noise": "indi --data mixture1d --noise 5",
}
IMAGES = {
    "vae images": "vae --width 8 --depth 1",
    "smld images": "smld --channels 8 8 --levels 3",
    "sde images": "sde --channels 8 8 --sde ve --sigma-max 10",
    "deblur": "indi --channels 8 8 --blur 1",
}


def randomised(folder):
    """The run with random averaged weights: a short training hardly changes the zeros of the last layer."""
    opened = open_run(folder)
    rng = np.random.default_rng(0)
    for name, array in opened.state.ema.items():
        opened.state.ema[name] = array + 0.1 * rng.standard_normal(array.shape).astype(np.float32)
    return opened


def sampled(path):
    """The arrays of an .npz file of samples, without its settings."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files if name != "settings"}


FEW = {  # options for few steps of each sampler
    **{name: "--steps 3" for name in STEPS},
    "ode-rk45": "--tolerance 1e-1",
    "ddpm": "--steps 3",
    "ddim": "--steps 3",
    "langevin": "--steps 5",
    "annealed-langevin": "--steps 2",
    "indi": "--steps 3",
    "consistency": "--steps 3",
    "decoder": "",
}
