"""``python -m benchmarks studies``: experiments on the design of the ops.

    fused-ops          time of a fused op of the contract and of the two ops that it replaces, on the same port, in turns
    winograd-error     errors of Winograd's and of direct convolution, in units of a port's tolerance
    sampling-cost      hours for 50,000 images by each sampler (sampling_cost.py)
    winograd-training  held-out loss after training with Winograd's and with direct convolution; takes much longer than the others

For each seed of winograd-training both trainings have the same data, noise and first weights, so that they differ by rounding only.
Training amplifies this difference like any other.  Criterion: for every seed the two losses differ by at most the range over the seeds.
"""

import json
import sys
from statistics import median
from types import SimpleNamespace

import numpy as np

import accelerated
import accelerated.cpu
from accelerated.cpu.conv import addend_gradients, direct, direct_backward
from benchmarks import sampling_cost
from benchmarks.worker import time_in_turns
from benchmarks.workloads import SIZE_HELP
from benchmarks.workloads.work import normal_array
from reference.commands.cli import Parser
from reference.conformance.op_inputs import RandomArrays, conv2d
from reference.conformance.tolerances import mismatches, worst
from reference.data import datasets
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import linear
from reference.diffusion.training import Settings, init_state, train
from reference.networks import UNet
from reference.ops.conv import check_backward, check_forward
from reference.ops.random import Key, Purpose
from reference.runs.files import output_path, write_atomically
from reference.runs.progress import progress

STUDIES = ("fused-ops", "winograd-error", "sampling-cost", "winograd-training")
DEFAULT = STUDIES[:3]
COPIES = 4  # of each held-out image, at different times


def _direct_conv2d(x, w, b, stride=1, add=None):
    return direct(x, w, b, stride, add, check_forward(x, w, b, stride, add))


def _direct_conv2d_backward(dy, x, w, stride=1, add=None):
    check_backward(dy, x, w, stride, add)
    return *direct_backward(dy, x, w, stride), *addend_gradients(dy, add)


DIRECT = SimpleNamespace(**vars(accelerated.cpu) | {"conv2d": _direct_conv2d, "conv2d_backward": _direct_conv2d_backward})
CONVOLUTIONS = {"winograd": accelerated.cpu, "direct": DIRECT}  # ports that differ in nothing else


def main(arguments=None):
    """The exit code: 0, 1 if winograd-training misses its criterion, 2 for invalid options."""
    description = "Experiments on the design of the ops: fused ops, Winograd's convolution, the cost of sampling."
    parser = Parser(prog="python -m benchmarks studies", allow_abbrev=False, description=description)
    help_text = f"{', '.join(STUDIES)} (default: {', '.join(DEFAULT)})"
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"studies to run: {help_text}")
    ports = f"port for fused-ops and sampling-cost: {', '.join(accelerated.BUILTIN_PORTS)}, a module or a file (default: cpu)"
    parser.add_argument("--port", default="cpu", metavar="PORT", help=ports)
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="number of seeds of winograd-training, at least 2 (default: 5)")
    parser.add_argument(
        "--steps", type=int, default=2000, metavar="N", help="training steps for each seed of winograd-training (default: 2000)"
    )
    clock_help = "time of sampling-cost: wall, or processor, the sum over threads, for a machine that others use (default: wall)"
    parser.add_argument("--clock", choices=sampling_cost.CLOCKS, default="wall", help=clock_help)
    parser.add_argument("--json", metavar="OUT.json", help="a new file for every measured value of sampling-cost (default: no file)")
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help=SIZE_HELP)
    options = parser.parse_args(arguments)
    names, turns = options.studies or DEFAULT, 40 if options.size == "full" else 3
    if unknown := [name for name in names if name not in STUDIES]:  # argparse's choices refuse an empty list
        parser.error(f"unknown study {unknown[0]}, choose from {', '.join(STUDIES)}")
    if options.seeds < 2 or options.steps < 1:
        parser.error(f"--seeds must be at least 2 and --steps at least 1, got {options.seeds} and {options.steps}")
    try:
        port = accelerated.load_port(options.port)
        if missing := accelerated.missing_ops(port):
            raise ValueError(f"--port: {options.port} lacks ops that the studies need: {', '.join(missing)}")
        if options.json and "sampling-cost" not in names:
            raise ValueError(f"--json is for sampling-cost, got {', '.join(names)}")
        out = options.json and output_path(options.json, (".json",), "--json")
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    passed = True
    for name in names:
        if name == "winograd-training":
            lines, passed = winograd_training(options.seeds, options.steps)
        elif name == "winograd-error":
            lines = winograd_error(options.size)
        elif name == "fused-ops":
            lines = fused_ops(port, options.size, turns)
        else:
            report = sampling_cost.measure(port, options.size, max(2, turns // 13), options.clock)
            lines = sampling_cost.lines(report)
            if out:
                write_atomically(out, (json.dumps(report, indent=1) + "\n").encode())
        print("\n".join(lines), flush=True)
    return int(not passed)


def fused_ops(port, size, turns):
    """Lines: milliseconds of the fused op and of the separate ops, and the quartiles of their ratio."""
    b, h, c = (32, 32, 32) if size == "full" else (2, 4, 8)
    x, w, scale = (
        normal_array(Purpose.DATA, 0, b, (h, h, c)),
        normal_array(Purpose.DATA, 1, 9 * c, (c,)).reshape(3, 3, c, c),
        np.ones(c, np.float32),
    )
    key, bias = Key(1, np.arange(b), 0, Purpose.STEP_NOISE), np.zeros(c, np.float32)
    pairs = {
        "group_norm_silu / group_norm, silu": (
            lambda: port.group_norm_silu(x, scale, bias, 4),
            lambda: port.silu(port.group_norm(x, scale, bias, 4)[0]),
        ),
        "conv2d with add / conv2d, +": (lambda: port.conv2d(x, w, bias, 1, x), lambda: port.conv2d(x, w, bias) + x),
        "reverse_step with a Key / normal, reverse_step": (
            lambda: port.reverse_step(x, x, 0.9, 0.1, 0.2, key),
            lambda: port.reverse_step(x, x, 0.9, 0.1, 0.2, port.normal(*key, x.shape[1:], x.dtype)),
        ),
    }
    lines = [
        f"\nFused ops, {b} images of {h}x{h} with {c} channels",
        f"{'fused / separate':48} {'fused':>10} {'separate':>10}   speed-up [quartiles]",
    ]
    for name, (fused, separate) in pairs.items():
        taken = time_in_turns({"fused": fused, "separate": separate}, turns)
        ratios = np.array(taken["separate"]) / taken["fused"]
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        times = (f"{1e3 * median(taken[word]):7.3f} ms" for word in ("fused", "separate"))
        lines.append(f"{name:48} {' '.join(times)}   {middle:.2f} [{low:.2f}, {high:.2f}]")
    return lines


def winograd_error(size):
    """Lines: the largest errors of the CPU port's two convolutions over their tolerance."""
    shapes = [(8, 8, 8, 32, 32), (4, 32, 32, 32, 32), (8, 8, 8, 64, 64)] if size == "full" else [(1, 4, 4, 16, 16)]
    lines = ["\nConvolution in float32: the largest error in units of a port's tolerance"]
    lines.append(f"{'':34} {'winograd':>10} {'direct':>8}")
    for b, h, width, i, o in shapes:
        args = conv2d(RandomArrays(h, 1.0, 0.0, np.float32), b, h, width, i, o, 3, 1, None)
        dy = RandomArrays(h + 1, 1.0, 0.0, np.float32)(b, h, width, o)
        backward = (dy, args[0], args[1], 1, None)
        for name, arguments in (("conv2d", args), ("conv2d_backward", backward)):
            results = [_tuple(getattr(port, name)(*arguments)) for port in CONVOLUTIONS.values()]
            over = [worst(mismatches(name, result, arguments, zero_mean=True)).ratio for result in results]
            lines.append(f"{f'{name} {b}x{h}x{width}x{i} to {o}':34} {over[0]:10.3f} {over[1]:8.3f}")
    return lines


def _tuple(results):
    return results if isinstance(results, tuple) else (results,)


def winograd_training(seeds, steps):
    """(lines: the held-out loss of each seed for both convolutions; whether the criterion holds)."""
    trainings = [(name, seed) for seed in range(seeds) for name in CONVOLUTIONS]
    losses: dict = {name: [] for name in CONVOLUTIONS}
    for name, seed in progress(trainings, len(trainings), "trained"):
        losses[name].append(final_loss(CONVOLUTIONS[name], seed, steps))
    lines = [f"\nHeld-out loss after {steps} training steps, for {seeds} seeds"]
    for name, found in losses.items():
        values = " ".join(f"{loss:.5f}" for loss in found)
        lines.append(f"{name:9} {values}   mean {np.mean(found):.5f}, standard deviation {np.std(found, ddof=1):.5f}")
    difference = np.abs(np.subtract(*losses.values())).max()
    spread = max(map(np.ptp, losses.values()))
    lines.append(f"largest difference for one seed: {difference:.5f}; range over the seeds: {spread:.5f}")
    return lines, bool(difference <= spread)


def final_loss(ops, seed, steps, batch=64):
    """The held-out loss of the averaged weights: every image at times spread evenly, with the same noise for every seed."""
    data = datasets.load_dataset("digits", 0)
    model, settings = Denoiser(UNet(), linear(1000), "noise", data.variance), Settings(batch=batch, seed=seed)
    state = init_state(model.network, seed)
    for _ in train(model, data.train, data.train_labels, settings, state, steps, ops):
        pass
    losses = []
    for copy in range(COPIES):
        sample = np.arange(len(data.held_out))
        t = 1 + (7 * sample + 250 * copy) % 1000
        noise = ops.normal(0, sample, copy, Purpose.EVALUATION, data.shape, np.float32)
        losses.append(model.loss(state.ema, data.held_out, t, noise, ops=ops)[0])
    return float(np.mean(losses))
