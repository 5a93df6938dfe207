"""Checks of random numbers: published bits, exact normals, independence of the batch."""

import numpy as np

from reference import ops
from reference.conformance.tolerances import (
    assert_entries_within,
)
from reference.ops import Key, Purpose

PUBLISHED_BITS = (  # seed, sample, step, purpose, block
    (0, 0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
)
NOISE_OPS = ("philox_bits", "uniform", "normal", "add_noise", "reverse_step")
NOISE_SHAPES = ((3, 3, 2), (37,), ())


def philox_bits_equal_the_published_ones(port, seed, sample, step, purpose, block):
    arguments = seed, np.array([sample]), step, purpose, 4
    bits, exact = port.philox_bits(*arguments), [[int(word, 16) for word in block.split()]]
    check = "the published bits"
    return [assert_entries_within("philox_bits", "bits", check, bits, exact, 0.0, arguments)]


def float32_normals_are_within_one_rounding_of_the_exact_values(port, seed, sample, step):
    arguments = seed, np.array([sample, 1]), step, Purpose.STEP_NOISE, (1001,), np.dtype(np.float32)
    got, exact = port.normal(*arguments), ops.normal(*arguments)
    bound = np.spacing(np.abs(exact)).astype(np.float64)
    return [assert_entries_within("normal", "z", "one rounding", got, exact, bound, arguments)]


def float64_normals_are_within_four_roundings_of_the_radius(port, seed, sample, step):
    arguments = seed, np.array([sample, 1]), step, Purpose.STEP_NOISE, (1000,), np.dtype(np.float64)
    got, exact = port.normal(*arguments), ops.normal(*arguments)
    radius = np.sqrt((exact.reshape(-1, 2) ** 2).sum(axis=1)).repeat(2).reshape(got.shape)
    bound, check = 4 * np.spacing(radius), "four roundings of the radius"
    return [assert_entries_within("normal", "z", check, got, exact, bound, arguments)]


def noise_has_the_same_bits_in_a_batch_of_eight_and_alone(port, name, shape, dtype):
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 2**32, 8)
    x = rng.standard_normal((8, *shape)).astype(dtype)
    prediction = rng.standard_normal((8, *shape)).astype(dtype)
    c, dtype = rng.random(8).astype(dtype), np.dtype(dtype)
    key = lambda s, purpose: Key(5, sample[s], 3, purpose)
    arguments = {
        "philox_bits": lambda s: (5, sample[s], 3, Purpose.PRIOR, 7),
        "uniform": lambda s: (5, sample[s], 3, Purpose.PRIOR, shape, dtype),
        "normal": lambda s: (5, sample[s], 3, Purpose.PRIOR, shape, dtype),
        "add_noise": lambda s: (x[s], c[s], 0.5, key(s, Purpose.TRAINING_NOISE)),
        "reverse_step": lambda s: (
            *(x[s], prediction[s], 0.9, c[s], 0.3),
            key(s, Purpose.STEP_NOISE),
        ),
    }[name]
    draw = lambda s: getattr(port, name)(*arguments(s))
    together = draw(slice(None))
    alone = np.concatenate([draw(slice(n, n + 1)) for n in range(8)])
    message = f"{name}: the noise of a sample depends on its batch; {shape}, {dtype}"
    assert np.array_equal(together, alone), message
    return []


def key_as_noise_gives_the_normals_of_the_port(port, name, dtype):
    if "normal" in port.missing_ops:
        return []
    rng, key = np.random.default_rng(0), Key(2**40 + 7, np.arange(4) + 9, 3, Purpose.STEP_NOISE)
    x, prediction = rng.standard_normal((2, 4, 5, 7)).astype(dtype)
    noise = port.normal(*key, (5, 7), np.dtype(dtype))
    before = (x, 0.8, 0.6) if name == "add_noise" else (x, prediction, 0.9, 0.1, 0.3)
    by_key, by_noise = getattr(port, name)(*before, key), getattr(port, name)(*before, noise)
    arguments = (*before, noise)
    check = "a key in place of noise"
    return [assert_entries_within(name, "x", check, by_key, by_noise, 0.0, arguments)]
