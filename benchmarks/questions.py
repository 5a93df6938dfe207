"""``python -m benchmarks questions``: what fusing ops buys, what Winograd's algorithm costs in accuracy, what 50,000 images would cost.

fusing      an op of the contract beside the two that it is made of, on the same port, in turns
winograd    the error of a convolution and its gradients by either algorithm, in units of what a port is allowed
images      50,000 images of 32x32 by each sampler: seconds of one evaluation of the network, times evaluations, times batches
"""

import sys
import time
from statistics import median

import numpy as np

import accelerated
from benchmarks.winograd import DIRECT
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.work import numbers
from reference.__main__ import Parser
from reference.conformance.op_inputs import RandomArrays, conv2d
from reference.conformance.tolerances import mismatches, worst
from reference.ops.random import Key, Purpose

IMAGES = 50_000
EVALUATIONS = {  # of the network, for each sampler at a usual number of steps
    "ddpm, 1000 steps": 1000,
    "ddim, 50 steps": 50,
    "dpm-solver++, 20 steps": 20,
    "ode-heun, 18 steps": 36,
    "euler-maruyama, 1000 steps": 1000,
    "predictor-corrector, 1000 steps": 2000,
}


def main(arguments=None):
    """The exit code: 0, 2 for options that can't be."""
    parser = Parser(prog="python -m benchmarks questions", allow_abbrev=False, description="What fusing buys, Winograd and images cost.")
    parser.add_argument(
        "--port", default="cpu", metavar="P", help=f"{', '.join(accelerated.BUILTIN_PORTS)}, a module or a file (default cpu)"
    )
    parser.add_argument("--size", choices=("full", "tiny"), default="full", help="tiny: to try out the program itself")
    options = parser.parse_args(arguments)
    try:
        port = accelerated.load_port(options.port)
        if lacks := accelerated.missing_ops(port):
            raise ValueError(f"--port: {options.port} lacks ops that are asked about: {', '.join(lacks)}")
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    turns = 40 if options.size == "full" else 3
    for lines in (fusing(port, options.size, turns), winograd(options.size), images(port, options.size, turns)):
        print("\n".join(lines), flush=True)
    return 0


def in_turns(functions, turns):
    """Seconds of each function, called one after the other again and again, the first time for warming up."""
    taken: dict = {name: [] for name in functions}
    for turn in range(turns + 1):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if turn:
                taken[name].append(time.perf_counter() - begin)
    return taken


def fusing(port, size, turns):
    """Lines: the fused op's time, that of its parts, the quartiles of their ratio."""
    b, h, c = (32, 32, 32) if size == "full" else (2, 4, 8)
    x, w, scale = numbers(Purpose.DATA, 0, b, (h, h, c)), numbers(Purpose.DATA, 1, 9 * c, (c,)).reshape(3, 3, c, c), np.ones(c, np.float32)
    key, bias = Key(1, np.arange(b), 0, Purpose.STEP_NOISE), np.zeros(c, np.float32)
    pairs = {
        "group_norm_silu, or group_norm and silu": (
            lambda: port.group_norm_silu(x, scale, bias, 4),
            lambda: port.silu(port.group_norm(x, scale, bias, 4)[0]),
        ),
        "conv2d with add, or conv2d and +": (lambda: port.conv2d(x, w, bias, 1, x), lambda: port.conv2d(x, w, bias) + x),
        "reverse_step with a Key, or normal and reverse_step": (
            lambda: port.reverse_step(x, x, 0.9, 0.1, 0.2, key),
            lambda: port.reverse_step(x, x, 0.9, 0.1, 0.2, port.normal(*key, x.shape[1:], x.dtype)),
        ),
    }
    lines = [f"\nFusing, on {b} images {h}x{h} with {c} channels", f"{'':52} {'fused':>10} {'apart':>10}   apart / fused"]
    for name, (fused, apart) in pairs.items():
        taken = in_turns({"fused": fused, "apart": apart}, turns)
        ratios = np.array(taken["apart"]) / taken["fused"]
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        times = (f"{1e3 * median(taken[word]):7.3f} ms" for word in ("fused", "apart"))
        lines.append(f"{name:52} {' '.join(times)}   {middle:.2f} [{low:.2f}, {high:.2f}]")
    return lines


def winograd(size):
    """Lines: errors of the CPU port's two convolutions over their budget."""
    shapes = [(8, 8, 8, 32, 32), (4, 32, 32, 32, 32), (8, 8, 8, 64, 64)] if size == "full" else [(1, 4, 4, 16, 16)]
    lines = ["\nWinograd's algorithm: the largest error in units of what a port may be off by, float32"]
    lines.append(f"{'':34} {'winograd':>10} {'direct':>8}")
    for b, h, width, i, o in shapes:
        args = conv2d(RandomArrays(h, 1.0, 0.0, np.float32), b, h, width, i, o, 3, 1, None)
        dy = RandomArrays(h + 1, 1.0, 0.0, np.float32)(b, h, width, o)
        backward = (dy, args[0], args[1], 1, None)
        for name, arguments in (("conv2d", args), ("conv2d_backward", backward)):
            results = [_tuple(getattr(port, name)(*arguments)) for port in (accelerated.load_port("cpu"), DIRECT)]
            over = [worst(mismatches(name, result, arguments, zero_mean=True)).ratio for result in results]
            lines.append(f"{f'{name} {b}x{h}x{width}x{i} to {o}':34} {over[0]:10.3f} {over[1]:8.3f}")
    return lines


def _tuple(results):
    return results if isinstance(results, tuple) else (results,)


def images(port, size, turns):
    """Lines: hours for so many images by each sampler, from the time of one evaluation for a batch."""
    workload = WORKLOADS[size]["unet32-ddim"]
    taken = in_turns({"": workload.call(port)}, max(1, turns // 10))[""]
    evaluation = median(taken) / workload.steps
    shape = "x".join(map(str, workload.network.size))
    lines = [f"\n{IMAGES:,} images {shape}, {workload.batch} at a time: {1e3 * evaluation:.3g} ms an evaluation"]
    for name, count in EVALUATIONS.items():
        lines.append(f"{name:32} {count:5} evaluations an image   {evaluation * count * IMAGES / workload.batch / 3600:7.2f} hours")
    return lines
