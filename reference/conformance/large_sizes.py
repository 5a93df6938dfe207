"""Checks of every op at sizes that are special cases of fast ports, and at the default sizes of the
built-in networks.

The sizes are primes, so that no tile, vector or block divides them:

    65,537   the first beyond 16 bits: more entries than a two-byte index counts, more rows than a
             grid has blocks along its second and third axis (65,535), more numbers than shared
             memory holds
    4,099, 1,031   more than a block of threads (1,024), or a tile of rows or columns
    257, 131, 67   more than the blocks of 256, 128 and 64 in kernels for products, attention and
                   channels

Each axis of each op has size 65,537 in one case with short other axes, because a kernel that fails
on one long axis fails for any size of the others.  In further cases all axes exceed 64 or 128
together, as far as their product is cheap.  SHORTER lists the axes that can't be so long, with
reasons.  Elementwise ops have one case with more results than 65,535 blocks of 256 threads and than
the consecutive whole numbers of float32 (2^24).

The calls of networks are those of a training step with the default sizes of the command line: an
MLP on points, a U-Net on images of 8x8, 28x28 and 32x32 pixels, an autoencoder on both, and a
convolutional classifier on images of 8x8 and noisy ones of 32x32 pixels.
Batches are 64 points (the default) and few images, because more images only add rows to the same
products.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from reference import ops
from reference.conformance import op_inputs
from reference.conformance.call import (
    IN_PLACE_ARGUMENTS,
    SeededArguments,
    bind_arguments,
    call_op,
    cast,
    describe,
    result_names,
)
from reference.conformance.contract import OPS
from reference.conformance.op_inputs import RandomArrays, random_parameters
from reference.conformance.port import Proxy
from reference.conformance.tolerances import (
    assert_entries_within,
    assert_within_tolerance,
    rms,
    tolerances,
)
from reference.data.datasets import Dataset
from reference.diffusion.training import FlatParameters, Settings, init_state, train
from reference.networks import UNet
from reference.ops import Key, Purpose
from reference.runs.config import build_config, build_model

MANY = 65_537


def key(samples):
    return Key(2**40 + 7, np.arange(samples), 3, Purpose.STEP_NOISE)


# The arguments of reference/conformance/op_inputs.py.
ELEMENTWISE = ((MANY,), (3, 257, 131))
NORMS = (
    (MANY, (), 1, 2),
    (1, (MANY,), 1, 2),
    (1, (257, 263), 2, 3),
    (1, (2,), MANY, 1),
    (1, (2,), 1, MANY),
    (3, (17, 19), 7, 67),
)
MIXTURES = (
    (MANY, 2, 1, False),
    (MANY, 3, 2, False),
    (2, MANY, 1, True),
    (131, 257, 3, False),
    (3, 2, 257, True),
    (67, 3, 131, False),
)
DRAWS = ((range(MANY), (3,)), ((0, 2**32 - 1), (4 * MANY + 3,)), (range(257), (131, 67)))
SIZES: dict = {
    "linear": (
        (MANY, 3, 2),
        (3, MANY, 2),
        (2, 3, MANY),
        (4099, 131, 67),
        (131, 4099, 67),
        (67, 131, 4099),
        (257, 257, 257),
    ),
    "conv2d": (
        (MANY, 1, 1, 1, 2, 3, 1, "per pixel"),
        (1, MANY, 1, 1, 2, 3, 1, "per pixel"),
        (1, 2, MANY, 2, 1, 3, 1, "per pixel"),
        (1, 1, 1, MANY, 1, 3, 1, None),
        (1, 1, 2, 1, MANY, 3, 1, "per pixel"),
        (1, 2, MANY, 2, 1, 3, 2, None),
        (2, 2, 2, MANY, 1, 1, 1, "per pixel"),
        (2, 2, 2, 1, MANY, 1, 2, "per channel"),
        (MANY, 2, 1, 2, 1, 1, 2, None),
        (2, 17, 19, 131, 67, 3, 1, "per pixel"),
        (2, 19, 17, 67, 131, 3, 2, "per channel"),
        (1, 263, 257, 3, 2, 3, 1, "per pixel"),
        (3, 17, 19, 257, 131, 1, 1, "per channel"),
        (1, 5, 3, 257, 263, 3, 1, None),
        (131, 9, 7, 3, 5, 3, 2, "per pixel"),
    ),
    "group_norm": tuple((*sizes, 1e-5) for sizes in NORMS),
    "group_norm_silu": tuple((*sizes, 1e-5) for sizes in NORMS),
    "silu": ELEMENTWISE,
    "silu_second": ELEMENTWISE,
    "softmax": ((MANY, 2), (2, MANY), (257, 1031), (3, 67, 131)),
    "attention": (
        (MANY, 1, 2, 1, 1),
        (1, MANY, 2, 1, 1),
        (1, 17, 4099, 1, 5),
        (1, 2, 3, MANY, 1),
        (1, 17, 19, 1, 1031),
        *[(2, 131, 257, 3, 5), (1, 257, 131, 2, 67), (2, 67, 131, 131, 2), (131, 17, 19, 3, 2)],
        *[(MANY, 1, 2, 1, 1, True), (2, 131, 257, 3, 5, True), (1, 17, 4099, 1, 5, True)],
    ),
    "upsample_nearest": (
        (MANY, 1, 1, 2),
        (1, MANY, 1, 1),
        (1, 1, MANY, 1),
        (1, 1, 1, MANY),
        (3, 67, 131, 5),
    ),
    "average_pool": (
        (MANY, 1, 1, 2),
        (1, MANY, 1, 1),
        (1, 1, MANY, 1),
        (1, 1, 1, MANY),
        (3, 67, 131, 5),
    ),
    "concat": (
        ((MANY,), 2, 1),
        ((2, MANY), 2, 1),
        ((2,), MANY, 3),
        ((2,), 3, MANY),
        ((257, 263), 3, 2),
        ((67, 3), 131, 257),
    ),
    "timestep_embedding": ((MANY, 2, 0), (2, 2 * MANY, 1), (131, 514, 0)),
    "embedding": (
        *[(MANY, 3, 2, np.int64), (4099, 2 * MANY, 3, np.int32), (3, 5, MANY, np.int64)],
        *[(257, 65_536, 3, np.uint16), (131, 257, 1031, np.int64)],
    ),
    "mse": ((MANY, 2), (2, MANY), (3, 257, 131)),
    "gaussian_kl": ((MANY, 2), (2, MANY), (3, 257, 131)),
    "cross_entropy": (
        *[(MANY, 2, np.int64), (2, MANY, np.int32), (257, 131, np.uint8), (131, 1031, np.int64)],
    ),
    "adam_step_": tuple((shape, 70_000, 1e-3, 0.9, 0.999) for shape in ELEMENTWISE),
    "ema_step_": tuple((shape, 0.999) for shape in ELEMENTWISE),
    "global_norm": (((MANY,),), ((3,), (257, 263), (1,)), ((2, 3),) * 1031),
    "philox_bits": (
        (2**40 + 7, range(MANY), 3, 5, 5),
        (0, (0, 9), 2**32 - 1, 0, 4 * MANY + 3),
        (2**64 - 1, range(257), 3, 5, 1031),
    ),
    "uniform": tuple((2**40 + 7, samples, 3, Purpose.TIME, shape) for samples, shape in DRAWS),
    "normal": tuple((2**40 + 7, samples, 3, Purpose.PRIOR, shape) for samples, shape in DRAWS),
    "mixture_log_density": MIXTURES,
    "mixture_score": MIXTURES,
    "add_noise": (
        ((MANY, 2), None, None, key(MANY)),
        ((2, MANY), 0.75, None, key(2)),
        ((3, 257, 131), None, 0.6, None),
    ),
    "reverse_step": (
        ((MANY, 2), None, None, None, key(MANY)),
        ((2, MANY), 0.9, None, 0.5, key(2)),
        ((3, 257, 131), None, 0.6, 0.3, None),
    ),
    "fokker_planck_step": tuple(
        (n, 0.1, 0.01, periodic) for n in (MANY, 1031) for periodic in (False, True)
    ),
    "fokker_planck_step_2d": tuple(
        (*sizes, 0.5, 0.25, 0.01, periodic)
        for sizes in ((MANY, 3), (3, MANY), (131, 257))
        for periodic in (False, True)
    ),
}
SHORTER = {  # axes that can't be so long: their required size, and the reason
    "m of attention": (
        4099,
        "a sum over keys in order is a random walk; the tolerance is NumPy's, which adds in blocks",
    ),
    "k of conv2d": (1, "a kernel is 1x1 or 3x3"),
    "d of mixture_log_density": (
        257,
        "a covariance has d^2 numbers, and its factor takes d^3 operations",
    ),
    "d of mixture_score": (
        257,
        "a covariance has d^2 numbers, and its factor takes d^3 operations",
    ),
    "... of mixture_log_density": (257, "the axes of a covariance"),
    "... of mixture_score": (257, "the axes of a covariance"),
}


@cache
def _single(forward, number):
    """The arguments of a forward in float32."""
    numbers = RandomArrays(number, 1.0, 0.0, np.float32)
    return getattr(op_inputs, forward)(numbers, *SIZES[forward][number])


def cases(name):
    """The numbers of an op's cases."""
    return range(len(SIZES[name.removesuffix("_backward")]))


def large_arguments(name, number, dtype):
    """The arguments of one case of an op."""
    forward = name.removesuffix("_backward")
    arguments = _single(forward, number)
    if forward != name:
        numbers = RandomArrays(number, 1.0, 0.0, np.float32)
        arguments = op_inputs.with_upstream_gradient(forward, numbers, arguments)
    return SeededArguments(cast(arguments, dtype), name, number)


def _compare(port, name, arguments, dtype, zero_mean=False):
    """Compare with the reference, which is itself the exact result in float64."""
    if port.name == "reference.ops" and dtype == np.float64:
        return []
    results = call_op(name, getattr(port, name), arguments)
    return [assert_within_tolerance(name, results, arguments, zero_mean)]


def results_at_large_sizes_are_within_tolerance(port, name, number, dtype):
    arguments = large_arguments(name, number, dtype)
    return _compare(port, name, arguments, dtype, zero_mean=OPS[name].rule == "product")


# More entries than a grid has blocks along an axis, and than float32 has whole numbers.

ENTRIES = 2**24 + 2**16
REPEATED: dict = {
    "silu": (257,),
    "silu_second": (257,),
    "add_noise": ((257,), None, 0.6, None),
    "reverse_step": ((257,), 0.9, None, 0.3, None),
    "adam_step_": ((257,), 3, 1e-3, 0.9, 0.999),
    "ema_step_": ((257,), 0.999),
    "mse": (257, 1),
    "gaussian_kl": (257, 1),
    "concat": ((257,), 1, 1),
    "upsample_nearest": (257, 1, 1, 1),
    "average_pool": (257, 1, 1, 1),
}
WITH_MANY_ENTRIES = (
    *("silu", "silu_backward", "silu_second", "add_noise", "reverse_step", "adam_step_"),
    *("ema_step_", "mse_backward", "concat", "gaussian_kl_backward", "upsample_nearest"),
    *("upsample_nearest_backward", "average_pool", "average_pool_backward"),
)


def _repeated(array, times):
    return np.concatenate([array] * times) if np.ndim(array) else array


def repeated_samples_beyond_2_to_the_24_entries_repeat_the_results(port, name):
    forward = name.removesuffix("_backward")
    numbers = RandomArrays(0, 1.0, 0.0, np.float32)
    arguments = getattr(op_inputs, forward)(numbers, *REPEATED[forward])
    if forward != name:
        arguments = op_inputs.with_upstream_gradient(forward, numbers, arguments)
    arrays = (*arguments, *call_op(name, getattr(ops, name), arguments))
    times = -(-ENTRIES // max(a.size for a in arrays if isinstance(a, np.ndarray)))
    many = tuple(_repeated(a, times) if isinstance(a, np.ndarray) else a for a in arguments)
    results = call_op(name, getattr(port, name), many)
    results = dict(zip(result_names(name), results, strict=True))
    found = []
    for word, check, exact, bound, overall in tolerances(name, arguments):
        rows = results[word].reshape(times, *exact.shape)
        for part in (rows[:1], *np.array_split(rows, 16)):
            if len(part) == 1 or not (part == rows[0]).all():
                errors = [rms(row - exact) for row in part] if overall else part - exact
                zeros = np.zeros(np.shape(errors))
                found.append(assert_entries_within(name, word, check, errors, zeros, bound, many))
    return found


# Networks.

NETWORKS: dict = {  # method, shape of a sample, options, samples
    "mlp": ("ddpm", (2,), {}, 64),
    "mlp with a variance": ("ddpm", (2,), {"objective": "hybrid"}, 64),
    "mlp along a direction": ("smld", (2,), {"objective": "sliced"}, 64),
    "unet 8": ("ddpm", (8, 8, 1), {}, 8),
    "unet 28": ("ddpm", (28, 28, 1), {}, 2),
    "unet 32": ("ddpm", (32, 32, 3), {}, 2),
    "autoencoder of points": ("vae", (2,), {}, 64),
    "autoencoder of images": ("vae", (8, 8, 1), {}, 64),
    "convnet 8": ("classifier", (8, 8, 1), {}, 8),
    "convnet 32": ("classifier", (32, 32, 1), {"noise_levels": True}, 2),
}
NOT_CALLED = ("philox_bits", "softmax", "reverse_step")  # by training steps
CALLED = tuple(
    name
    for name in OPS
    if OPS[name].family not in ("mixture", "fokker_planck")
    and name.removesuffix("_backward") not in NOT_CALLED
)


@cache
def network_calls():
    """Op -> its distinct calls in a training step of each network, in float32."""
    calls: dict = {}

    def record(name, function, args, kwargs):
        arguments = bind_arguments(name, args, kwargs)
        copied = name in IN_PLACE_ARGUMENTS
        kept = tuple(a.copy() if copied and isinstance(a, np.ndarray) else a for a in arguments)
        calls.setdefault(name, {}).setdefault(describe(name, arguments), kept)
        return function(*args, **kwargs)

    for method, shape, options, samples in NETWORKS.values():
        x = RandomArrays(0, 0.5, 0.0, np.float32)(2 * samples, *shape)
        labels = np.arange(2 * samples) % 10
        data = Dataset("numbers", x, x[:1], labels, labels[:1])
        model = build_model(build_config(method, data, {"data": data.name, **options}))
        if isinstance(model.network, UNet):
            model = replace(model, network=replace(model.network, classes=10))
        state = init_state(model.network, 0)
        weights = random_parameters(model.network)  # an untrained network has zeros
        state.params = FlatParameters({name: p.astype(np.float32) for name, p in weights.items()})
        settings, recorder = Settings(batch=samples), Proxy(ops, record)
        next(train(model, x, labels, settings, state, 1, recorder))
    return calls


def op_calls_of_networks_at_default_sizes_are_within_tolerance(port, name, dtype):
    found = []
    for arguments in network_calls()[name].values():
        found += _compare(port, name, cast(arguments, dtype), dtype)
    return found
