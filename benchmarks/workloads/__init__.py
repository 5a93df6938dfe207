"""The workloads: each written once on the ops of a port, with inputs that depend on a seed only and are used by every peer, too.

    workload.results(ops, dtype)   {group: {name: array}}: the results that an implementation must agree on with the reference
    workload.call(ops)             a function without arguments that does the work once; it is timed
    workload.subset()              the same work on fewer samples, for validation; results of a sample do not depend on the others
    workload.single_step()         (one step of the work, number of steps), for counting operations and bytes

All are in float32, except the Fokker-Planck equation in float64.
"""

from dataclasses import replace

from benchmarks.workloads.fokker_planck import FokkerPlanck
from benchmarks.workloads.networks import Backward, Forward, GuidedSampling, Sampling, Training
from benchmarks.workloads.ops import MatMul, Op
from benchmarks.workloads.particles import Particles
from benchmarks.workloads.restoration import DDRM, PiGDM
from reference.networks import MLP, UNet
from reference.runs.launch import SHARDS

CLASSES = 11  # ten, and the null label
SIZE_HELP = "size of the workloads; tiny: to try the program, its times mean nothing (default: full)"


def _workloads(matmul, points, small, large, images, steps, particles, cells, ops):
    """``points``, ``small`` and ``large``: (network, batch size) for points, small and large images."""
    conditional = replace(large[0], classes=CLASSES)
    return {
        "matmul": MatMul(matmul),
        "mlp-step": Training(*points),
        "mlp-forward": Forward(*points),
        "mlp-backward": Backward(*points),
        "unet8-step": Training(*small),
        "unet8-forward": Forward(*small),
        "unet8-backward": Backward(*small),
        "unet32-step": Training(*large),
        "unet32-forward": Forward(*large),
        "unet32-backward": Backward(*large),
        "unet32-ddim": Sampling(large[0], images, steps),
        "unet32-step-classes": Training(conditional, large[1]),
        "unet32-guided": GuidedSampling(conditional, images, 2 * steps // 5),
        "unet32-pigdm": PiGDM(large[0], images, max(2, steps // 5)),
        "unet32-ddrm": DDRM(large[0], images, max(2, steps // 5)),
        "particles-given-noise": Particles(particles, 2 * steps, own=False),
        "particles-own-noise": Particles(particles, 2 * steps, own=True),
        "fokker-planck": FokkerPlanck(cells),
        "fokker-planck-fine": FokkerPlanck(100 * cells),
        **{f"op-{op}": Op(op, sizes) for op, sizes in ops.items()},
    }


WORKLOADS = {
    "full": _workloads(
        matmul=1024,
        points=(MLP(), 512),
        small=(UNet(), 128),
        large=(UNet(size=(32, 32), channels=(32, 64, 64)), 32),
        images=16,
        steps=50,
        particles=1_000_000,
        cells=1_000,
        ops={
            "linear": (4096, 256, 256),
            "conv2d": (32, 32, 32, 32, 32, 3, 1, None),
            "group_norm_silu": (32, (32, 32), 8, 4, 1e-5),
            "attention": (32, 64, 64, 8, 8),
            "silu": (32, 32, 32, 32),
        },
    ),
    "tiny": _workloads(  # for tests
        matmul=16,
        points=(MLP(width=16, depth=2, embedding=8), 32),
        small=(UNet(size=(4, 4), channels=(8, 16), groups=4), 4),
        large=(UNet(size=(8, 8), channels=(8, 8, 16), groups=4), 2),
        images=2,
        steps=5,
        particles=500,
        cells=20,
        ops={
            "linear": (16, 8, 8),
            "conv2d": (2, 4, 4, 4, 4, 3, 1, None),
            "group_norm_silu": (2, (4, 4), 2, 4, 1e-5),
            "attention": (2, 4, 4, 2, 4),
            "silu": (2, 4, 4, 4),
        },
    ),
}


def _axes(batches, sizes, channels, steps, particles, cells):
    """axis -> value -> workload."""
    image = lambda size: UNet(size=(size, size), channels=(32, 64, 64) if size > 8 else (32, 64))
    return {
        "batch": {n: Training(UNet(), n, compare_weights=False) for n in batches},
        "size": {n: Forward(image(n), 8) for n in sizes},
        "channels": {n: Training(UNet(channels=(n, 2 * n)), 32, compare_weights=False) for n in channels},
        "steps": {n: Sampling(MLP(), 256, n) for n in steps},
        "particles": {n: Particles(n, 10, own=False) for n in particles},
        "cells": {n: FokkerPlanck(n) for n in cells},
    }


AXES = {
    "full": _axes(
        batches=(1, 4, 16, 64, 256),
        sizes=(8, 16, 32, 64),
        channels=(16, 32, 64, 128),
        steps=(10, 40, 160),
        particles=(1_000, 10_000, 100_000, 1_000_000),
        cells=(100, 1_000, 10_000, 100_000),
    ),
    "tiny": _axes(batches=(1, 2), sizes=(8,), channels=(8, 16), steps=(2, 4), particles=(100, 200), cells=(20, 40)),
}
for _size, _of in AXES.items():
    WORKLOADS[f"scaling-{_size}"] = {f"{axis}-{value}": workload for axis, works in _of.items() for value, workload in works.items()}

for _size, _step in (("full", WORKLOADS["full"]["unet32-step"]), ("tiny", replace(WORKLOADS["tiny"]["unet8-step"], batch=SHARDS))):
    WORKLOADS[f"processes-{_size}"] = {f"shards-{shards}": replace(_step, shards=shards) for shards in (1, SHARDS)}

TRAIN_TO_LOSS = {
    "full": Training(UNet(), 64, steps=1000, digits=True),
    "tiny": Training(UNet(channels=(8, 16), groups=4), 2, steps=2, digits=True),
}
for _size, _run in TRAIN_TO_LOSS.items():
    WORKLOADS[f"train-to-loss-{_size}"] = {"digits": _run}
