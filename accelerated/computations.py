"""Whole computations on a port, compared with the reference: networks, short training runs, samplers.

A check takes a port (reference/conformance/port.py), the name of a computation and a dtype.  An op that the port lacks is taken from the
reference.  The check returns the worst mismatch; its AssertionError names the tensor and the first op that exceeds its own tolerance.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from accelerated.trace import Tracer
from reference import ops
from reference.conformance.call import bind_arguments
from reference.conformance.example_networks import LABELS, run
from reference.conformance.op_inputs import random_parameters
from reference.conformance.port import Proxy
from reference.conformance.tolerances import network_mismatches, worst
from reference.data import datasets
from reference.diffusion import training
from reference.distillation.reflow import join
from reference.networks import UNet
from reference.ops.random import Purpose
from reference.runs import devices
from reference.runs.config import build_config, build_model
from reference.runs.run import new_run
from reference.runs.sampler_options import SAMPLERS, sampler_options
from reference.runs.trajectory import trajectory
from reference.samplers.indi import indi


def within_tolerance(port, name, dtype, compute):
    """Compare the tensors, by name, of ``compute(ops, dtype)`` on the port and on the reference."""
    mismatch = worst(network_mismatches(name, compute(port.whole, dtype), compute(ops, np.float32), compute(ops, np.float64)))
    if mismatch.ratio <= 1:
        return [mismatch]
    tracer = Tracer(port.whole)
    compute(tracer, dtype)
    first = tracer.first_mismatch()
    message = f"{first.error}; {first.shapes}; so {mismatch}" if first else f"{mismatch}; no op exceeds its own tolerance"
    error: Any = AssertionError(message)
    error.mismatch = mismatch  # for reports
    raise error


def in_dtype(dtype):
    """A function that casts arrays of floats, and dictionaries of them, to a dtype; every number is exact in float32."""

    def wrap(value):
        if isinstance(value, dict):
            return {name: wrap(array) for name, array in value.items()}
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(np.float32).astype(dtype)
        return value

    return wrap


# networks

TINY = UNet(size=(4, 4), channels=(8, 8), groups=4, downsample_padding=0)  # the simulator runs it in a minute
NETWORKS = {label: network for network, label in LABELS.items()} | {"tiny": TINY}


def all_results_of_a_network_are_within_tolerance(port, name, dtype):
    return within_tolerance(port, name, dtype, lambda ops, dtype: run(NETWORKS[name], ops, in_dtype(dtype)))


# training

POINTS = {"data": "mixture2d", "width": 8, "depth": 2}
IMAGES = {"data": "digits", "channels": (8, 16), "groups": 4}
TRAINING_RUNS = {  # method and options
    "ddpm of points": ("ddpm", POINTS),
    "ddpm of images": ("ddpm", IMAGES),
    "ddpm with classes": ("ddpm", POINTS | {"classes": True}),
    "learned variances": ("ddpm", POINTS | {"objective": "hybrid"}),
    "smld": ("smld", POINTS),
    "sliced score matching": ("smld", POINTS | {"objective": "sliced"}),
    "sde": ("sde", POINTS),
    "flow": ("flow", POINTS),
    "weighted loss of F": ("sde", POINTS | {"prediction": "F", "loss_weight": "min-snr"}),
    "indi": ("indi", POINTS),
    "vae": ("vae", POINTS | {"latent": 2}),
    "classifier of noisy images": ("classifier", IMAGES | {"noise_levels": True}),
    "consistency training": ("consistency", POINTS | {"levels": 10, "objective": "squared"}),
    # and of their teachers
    "progressive student": ("flow", POINTS),
    "consistency distillation": ("ddpm", POINTS | {"prediction": "v", "classes": True}),
    "reflow": ("flow", POINTS),
}
STUDENTS: dict[str, dict[str, Any]] = {  # entries of a student's config beside those of its teacher
    "progressive student": {"method": "progressive", "denoiser": "flow", "student_steps": 4},
    "consistency distillation": {"method": "consistency", "denoiser": "ddpm", "consistency": {"stage_steps": 5}},
    "reflow": {"method": "reflow", "denoiser": "flow"},
}


def training_of(name, dtype, batch):
    """(model, training data, labels, settings) of a run of TRAINING_RUNS; a teacher has random weights."""
    method, options = TRAINING_RUNS[name]
    data = datasets.load_dataset(options["data"], 0)
    config = build_config(method, data, options | {"batch": batch}) | STUDENTS.get(name, {})
    model, x = build_model(config), data.train.astype(dtype)
    if name in ("progressive student", "consistency distillation"):
        model = replace(model, teacher=in_dtype(dtype)(random_parameters(model.network)))
    if name == "reflow":
        x = join(x, ops.normal(1, np.arange(len(x)), 0, Purpose.PRIOR, x.shape[1:]).astype(dtype))
    return model, x, data.train_labels, training.Settings(**config["training"])


def _train(name, ops, dtype, steps, batch):
    model, x, labels, settings = training_of(name, dtype, batch)
    state = training.init_state(model.network, 0, dtype)
    state.params = training.FlatParameters(in_dtype(dtype)(training.init_state(model.network, 0).params))
    states = devices.train(model, x, labels, settings, state, steps, ops)
    losses = [(float(state.loss), float(state.gradient_norm)) for state in states]
    return {"losses": np.array(losses, dtype)} | {f"ema of {name}": p for name, p in state.ema.items()}


def short_training_run_is_within_tolerance(port, name, dtype, steps=None, batch=None):
    """By default 50 steps of batches of 16 points, or 8 steps of batches of 4 images."""
    of_images = TRAINING_RUNS[name][1]["data"] == IMAGES["data"]
    steps, batch = steps or (8 if of_images else 50), batch or (4 if of_images else 16)
    return within_tolerance(port, name, dtype, lambda ops, dtype: _train(name, ops, dtype, steps, batch))


# samplers

SAMPLE = np.arange(5)
OPTIONS: dict[str, dict[str, Any]] = {  # where they are not the defaults
    "ode-rk45": {"steps": None, "tolerance": 0.01},  # its default makes hundreds of steps, whose adaptive lengths amplify roundings
    "edm": {"churn": 5.0},
}
SCORE_SAMPLERS = tuple(name for name in SAMPLERS if name not in ("decoder", "indi"))  # and that of consistency models


def with_normals_in(dtype, ops):
    """The port with normals in one fixed dtype, so that everything computed from them has that dtype."""

    def around(name, op, args, kwargs):
        if name == "normal":
            return op(*bind_arguments(name, args, kwargs)[:-1], np.dtype(dtype))
        return op(*args, **kwargs)

    return Proxy(ops, around)


def _untrained(method):
    """A run that nothing is written of, and random weights."""
    data = datasets.load_dataset("mixture2d", 0)
    run = new_run("unused", build_config(method, data, POINTS))
    return run, random_parameters(run.model.network)


def method_of_sampler(sampler):
    """A method whose runs the sampler serves."""
    return "consistency" if sampler == "consistency" else "smld" if "langevin" in sampler else "sde"


def sampler_trajectory_is_within_tolerance(port, sampler, dtype, steps=10):
    """Steps of a sampler with a network of random weights."""
    run, weights = _untrained(method_of_sampler(sampler))
    adaptive = sampler == "ode-rk45"
    own = sampler_options(run, sampler, 3, **{"steps": steps} | OPTIONS.get(sampler, {}))

    def states(ops, dtype):
        run.state.ema = in_dtype(dtype)(weights)
        reached = list(trajectory(run, with_normals_in(dtype, ops), SAMPLE, **own))
        return {"x": np.stack([x for _, x, _ in (reached[-1:] if adaptive else reached)])}

    return within_tolerance(port, sampler, dtype, states)


def indi_restoration_is_within_tolerance(port, dtype, steps=10):
    run, weights = _untrained("indi")
    times = [1 - k / steps for k in range(steps + 1)]

    def states(ops, dtype):
        x = ops.normal(1, SAMPLE, 0, Purpose.PRIOR, (2,), np.dtype(dtype))
        denoise = run.model.denoise_function(in_dtype(dtype)(weights), ops)
        return {"x": np.stack([x for _, x, _ in indi(denoise, times, x, 2, SAMPLE, lambda t: 0.3 * t, ops)])}

    return within_tolerance(port, "indi", dtype, states)


def vae_decoder_samples_are_within_tolerance(port, dtype):
    run, weights = _untrained("vae")

    def samples(ops, dtype):
        return {"x": run.model.sample(in_dtype(dtype)(weights), 3, SAMPLE, True, np.dtype(dtype), ops)}

    return within_tolerance(port, "decoder", dtype, samples)
