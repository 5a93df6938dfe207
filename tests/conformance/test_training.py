"""A short training run of every method on a port: the losses and the final weights."""

import numpy as np
import pytest

from reference.data import datasets
from reference.diffusion import training
from reference.runs import devices
from reference.runs.config import build_config, build_model
from tests.conformance.comparison import DTYPES, in_dtype, within_budget
from tests.ports import SIMULATED

POINTS = {"data": "mixture2d", "width": 8, "depth": 2}
IMAGES = {"data": "digits", "channels": (8, 16), "groups": 4}
RUNS = {
    "ddpm of points": ("ddpm", POINTS),
    "ddpm of images": ("ddpm", IMAGES),
    "learned variances": ("ddpm", POINTS | {"objective": "hybrid"}),
    "smld": ("smld", POINTS),
    "sliced score matching": ("smld", POINTS | {"objective": "sliced"}),
    "sde": ("sde", POINTS),
    "indi": ("indi", POINTS),
    "vae": ("vae", POINTS | {"latent": 2}),
}


def train(system, options, ops, dtype, steps):
    data = datasets.load(options["data"], 0)
    config = build_config(system, data, options | {"batch": 4 if data.is_image or SIMULATED else 16})
    model, settings = build_model(config), training.Settings(**config["training"])
    state = training.init_state(model.network, 0, dtype)
    state.params = training.FlatParameters(in_dtype(dtype)(training.init_state(model.network, 0).params))
    states = devices.train(model, data.train.astype(dtype), data.train_labels, settings, state, steps, ops)
    losses = [(float(state.loss), float(state.gradient_norm)) for state in states]
    return {"losses": np.array(losses, dtype)} | {f"ema of {name}": p for name, p in state.ema.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in RUNS if not (SIMULATED and "images" in name)])
def test_short_training_run_is_within_tolerance(port, name, dtype):
    system, options = RUNS[name]
    steps = 2 if SIMULATED else 8 if "images" in name else 50
    within_budget(port, name, dtype, lambda ops, dtype: train(system, options, ops, dtype, steps))
