"""What Winograd's convolution costs in training: the loss on held-out digits after training with it and with the direct one.

    python -m benchmarks.winograd --seeds 5 --steps 2000

A seed gives both the same data, noise and first weights: they differ by roundings alone, which training makes larger, as it does any
other difference.  The criterion: for no seed are the two further apart than the seeds are from one another.
"""

from types import SimpleNamespace

import numpy as np

import accelerated.cpu
from accelerated.cpu.conv import direct, direct_backward, sums
from reference.__main__ import Parser
from reference.commands.progress import progress
from reference.data import datasets
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import linear
from reference.diffusion.training import Settings, init_state, train
from reference.networks import UNet
from reference.ops.conv import check_backward, check_forward
from reference.ops.random import Purpose

COPIES = 4  # of each held-out image, at different times


def conv2d(x, w, b, stride=1, add=None):
    return direct(x, w, b, stride, add, check_forward(x, w, b, stride, add))


def conv2d_backward(dy, x, w, stride=1, add=None):
    check_backward(dy, x, w, stride, add)
    return *direct_backward(dy, x, w, stride), *sums(dy, add)


DIRECT = SimpleNamespace(**vars(accelerated.cpu) | {"conv2d": conv2d, "conv2d_backward": conv2d_backward})
PORTS = {"winograd": accelerated.cpu, "direct": DIRECT}


def final_loss(ops, seed, steps, batch=64):
    """The held-out loss of the averaged weights, all images at times spread evenly, with the same noise for every seed."""
    data = datasets.load("digits", 0)
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


def main(arguments=None):
    """The exit code: 1 if the criterion fails."""
    parser = Parser(prog="python -m benchmarks.winograd", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="(default 5)")
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="(default 2000)")
    arguments = parser.parse_args(arguments)
    if arguments.seeds < 2 or arguments.steps < 1:
        parser.error(f"--seeds must be at least 2 and --steps at least 1, got {arguments.seeds} and {arguments.steps}")
    runs = [(name, seed) for seed in range(arguments.seeds) for name in PORTS]
    losses: dict = {name: [] for name in PORTS}
    for name, seed in progress(runs, len(runs), "trained"):
        losses[name].append(final_loss(PORTS[name], seed, arguments.steps))
    for name, found in losses.items():
        print(f"{name:9}", *(f"{loss:.5f}" for loss in found), f"  mean {np.mean(found):.5f}, deviation {np.std(found, ddof=1):.5f}")
    apart = np.abs(np.subtract(*losses.values()))
    spread = max(map(np.ptp, losses.values()))
    print(f"apart for one seed: at most {apart.max():.5f}; seeds apart: {spread:.5f}")
    return int(apart.max() > spread)


if __name__ == "__main__":
    raise SystemExit(main())
