"""The study sampling-cost: what 50,000 images cost by each sampler, beside the figures of Song, Meng and Ermon (DDIM, 2021): DDPM takes
about 20 hours for 50,000 images of 32x32, and nearly 1,000 hours for 256x256, on one Nvidia 2080 Ti.

Measured, in turns: the seconds of an image of the package's model by each sampler, and of one evaluation of four networks.
Counted: the operations of one evaluation.
Extrapolated: 50,000 images, from the seconds of one; images of 256x256, from the seconds of 32x32 times the ratio of the operations, and
beside it from the seconds of one evaluation there.

A student of 4, 2 or 1 evaluations has the network of its teacher, so it costs as much as so many steps of DDIM by the teacher.
"""

import functools
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.counts import Recorder
from benchmarks.measure import machine_info
from benchmarks.worker import synchronized, time_in_turns
from reference.networks import UNet
from reference.runs.devices import hook, to_device
from reference.runs.run import open_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import CountingNetwork, draw_at_once, on_device

IMAGES = 50_000
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
MODEL = "fashion-mnist"
STUDENTS = {"student of 4": 4, "student of 2": 2, "student of 1": 1}
SAMPLERS = {"full": {"ddpm": 1000, "ddim": 50, "dpm-solver++": 20, "edm": 18, **STUDENTS}, "tiny": {"edm": 2, **STUDENTS}}  # name -> steps
BATCH = {"full": 2, "tiny": 2}
PUBLISHED: dict[str, Any] = {
    "in_channels": 3,
    "layers": 2,
    "groups": 32,
    "head_width": None,
    "norm_eps": 1e-6,
    "freq_shift": 1,
    "downsample_padding": 0,
}
DDPM_32 = UNet((32, 32), channels=(128, 256, 256, 256), attention=(1,), **PUBLISHED)
DDPM_256 = UNet((256, 256), channels=(128, 128, 256, 256, 512, 512), attention=(4,), **PUBLISHED)


def networks(size, network):
    """name -> UNet: the model's own network, the same on larger images, and DDPM's two published ones."""
    if size == "tiny":
        small = UNet((8, 8), 3, (8, 16), groups=4)
        return {
            "own": network,
            "own, large": replace(network, size=(64, 64)),
            "DDPM's": small,
            "DDPM's, large": replace(small, size=(16, 16)),
        }
    return {"own": network, "own, large": replace(network, size=(256, 256)), "DDPM's": DDPM_32, "DDPM's, large": DDPM_256}


def measure(port, size, turns, clock="wall"):
    """The report, ready for JSON: counts, and every measured value.  ``clock``: of CLOCKS."""
    run, batch = on_device(open_run(MODEL), port), BATCH[size]
    found = networks(size, run.model.network)
    drawing = {name: options(run, name, steps) for name, steps in SAMPLERS[size].items()}
    calls = {name: functools.partial(draw_at_once, run, port, batch, **how) for name, how in drawing.items()}
    calls |= {name: synchronized(evaluation(network, port), port) for name, network in found.items()}
    seconds = time_in_turns(calls, turns, CLOCKS[clock])
    samplers, sizes = {}, {}
    for name, how in drawing.items():
        samplers[name] = {"evaluations": evaluations(run, port, how), "seconds an image": [value / batch for value in seconds[name]]}
    for name, network in found.items():
        parameters = sum(math.prod(shape) for shape in network.shapes().values())
        counted = {"size": list(network.size), "parameters": parameters, "operations": operations(network, port)}
        sizes[name] = counted | {"seconds an evaluation": seconds[name]}
    threads = hook(port, "environment")().get("threads")
    return {"machine": machine_info(threads), "clock": clock, "images": IMAGES, "batch": batch, "samplers": samplers, "networks": sizes}


def options(run, name, steps):
    """The options of a sampler, or of a student's."""
    return sampler_options(run, "ddim" if name in STUDENTS else name, steps=steps)


def evaluations(run, port, how):
    """Evaluations of the network for one image, counted."""
    network = CountingNetwork(run.model.network)
    draw_at_once(replace(run, model=replace(run.model, network=network)), port, 1, **how)
    return network.evaluations


def evaluation(network, port):
    """A function that evaluates the network with its first weights for one image."""
    params = to_device(network.init(0, np.float32), port)
    x, t = (to_device(array, port) for array in (np.zeros((1, *network.sample_shape), np.float32), np.ones(1, np.float32)))
    labels = {"labels": to_device(np.zeros(1, int), port)} if network.classes else {}
    return lambda: network.forward(params, x, t, port, keep=False, **labels)


def operations(network, port):
    """Floating-point operations of one evaluation for one image."""
    recorder = Recorder(port)
    evaluation(network, recorder)()
    return int(sum(recorder.operations.values()))


def lines(report):
    """The tables of a report."""
    found = report["networks"]
    own, large = found["own"], found["own, large"]
    ratio, there = large["operations"] / own["operations"], np.median(large["seconds an evaluation"])
    text = [
        f"\nHours for {IMAGES:,} images by the model {MODEL}, in {report['clock']} time",
        f"  hours       {shape(own)}: the measured time of an image in batches of {report['batch']}, times {IMAGES:,}",
        f"  by work     {shape(large)}, extrapolated: these hours times the ratio of the operations of an evaluation, {ratio:.1f}",
        f"  by seconds  {shape(large)}, extrapolated: the measured time of one evaluation there, times evaluations, times {IMAGES:,}",
        f"{'':13} {'evaluations':>11} {'ms of each':>10} {'ms an image [quartiles]':>26} {'hours':>8} {'by work':>8} {'by seconds':>10}",
    ]
    for name, entry in report["samplers"].items():
        count, seconds = entry["evaluations"], np.median(entry["seconds an image"])
        times = f"{1e3 * seconds / count:10.3g} {spread(entry['seconds an image']):>26}"
        text.append(f"{name:13} {count:11} {times} {hours(seconds):8.3g} {hours(seconds) * ratio:8.3g} {hours(there * count):10.3g}")
    text.append("\nOne evaluation for one image; DDPM's hours extrapolated from its time, for 1,000 evaluations an image")
    text.append(f"{'network':13} {'size':>7} {'parameters':>10} {'10^9 operations':>15} {'ms [quartiles]':>26} {'hours':>8}")
    for name, network in found.items():
        cost = f"{spread(network['seconds an evaluation']):>26} {hours(1000 * np.median(network['seconds an evaluation'])):8.3g}"
        text.append(f"{name:13} {shape(network):>7} {network['parameters']:10} {network['operations'] / 1e9:15.4g} {cost}")
    theirs = found["DDPM's, large"]["operations"] / found["DDPM's"]["operations"]
    text.append(f"The work of DDPM's networks has the ratio {theirs:.1f}; the hours of Song et al., 1,000 and 20, have the ratio 50.")
    return text


def shape(network):
    return "x".join(map(str, network["size"]))


def spread(seconds):
    """Median and quartiles in milliseconds, as text."""
    low, middle, high = 1e3 * np.percentile(seconds, (25, 50, 75))
    return f"{middle:.4g} [{low:.4g}, {high:.4g}]"


def hours(seconds):
    """Of IMAGES images, from the seconds of one."""
    return seconds * IMAGES / 3600
