"""Philox against its published outputs, the layout of the counter, and the numbers made from the bits."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from reference import ops
from reference.ops import Key, Purpose
from reference.ops import random as generator
from tests.strategies import SEED
from tests.tolerances import assert_equal_to_rounding

KNOWN = [  # counter, key -> output (Random123)
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
FALSE_ALARM = 1e-6  # of a statistical test; the key is fixed, so it fails always or never


def parsed(words):
    return [int(word, 16) for word in words.split()]


def block(block, sample, step, purpose, seed):
    """Four words computed with Python integers."""
    c, k = [block, sample, step, purpose], [seed % 2**32, seed // 2**32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b // 2**32) ^ c[1] ^ k[0], b % 2**32, (a // 2**32) ^ c[3] ^ k[1], a % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize("counter, key, output", KNOWN)
def test_philox_gives_the_published_outputs(counter, key, output):
    words = generator.philox([np.array([word], np.uint64) for word in parsed(counter)], parsed(key))
    assert [int(word[0]) for word in words] == parsed(output)


def test_bits_give_a_published_output_through_the_counter_layout():
    assert ops.philox_bits(0, np.array([0]), 0, 0, 4).tolist() == [parsed(KNOWN[0][2])]


@example(seed=2**40 + 7, samples=[5, 2**32 - 1], step=3, purpose=2, count=11)
@given(
    seed=st.integers(0, 2**64 - 1),
    samples=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
    step=SEED,
    purpose=SEED,
    count=st.integers(0, 11),
)
def test_entry_e_of_a_sample_is_word_e_mod_4_of_block_e_div_4(seed, samples, step, purpose, count):
    bits = ops.philox_bits(seed, np.array(samples), step, purpose, count)
    assert bits.dtype == np.uint32
    assert bits.tolist() == [[block(e // 4, sample, step, purpose, seed)[e % 4] for e in range(count)] for sample in samples]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint32, np.int32, np.uint8])
def test_samples_may_be_integers_of_any_width(dtype):
    assert np.array_equal(ops.philox_bits(1, np.arange(3, dtype=dtype), 0, 0, 5), ops.philox_bits(1, np.arange(3), 0, 0, 5))


@pytest.mark.parametrize("seeds", [(1, 2), (1, 1 + 2**32), (2**32, 2**63)])
def test_other_seeds_give_other_bits(seeds):
    one, other = (ops.philox_bits(seed, np.arange(4), 0, 0, 4) for seed in seeds)
    assert not (one == other).any()


def test_purposes_are_distinct_and_match_the_contract():
    names = "INIT DATA_ORDER TIME TRAINING_NOISE PRIOR STEP_NOISE CORRECTOR PROBE".split()
    assert [Purpose[name].value for name in names] == list(range(len(names)))
    assert Purpose.SPLIT.value == 9
    draws = {ops.philox_bits(0, np.array([0]), 0, purpose, 4).tobytes() for purpose in Purpose}
    assert len(draws) == len(Purpose)


# uniforms and normals


@example(seed=0, shape=(2, 3))
@given(seed=SEED, shape=st.sampled_from([(), (1,), (5,), (2, 3)]))
def test_uniforms_are_the_midpoints_of_their_cells(seed, shape):
    count = int(np.prod(shape, dtype=int))
    bits = ops.philox_bits(seed, np.arange(2), 3, Purpose.TIME, count).tolist()
    double, single = (ops.uniform(seed, np.arange(2), 3, Purpose.TIME, shape, dtype) for dtype in (np.float64, np.float32))
    assert double.reshape(2, -1).tolist() == [[(2 * w + 1) / 2**33 for w in row] for row in bits]
    assert single.reshape(2, -1).tolist() == [[(2 * (w >> 9) + 1) / 2**24 for w in row] for row in bits]
    assert double.shape == single.shape == (2, *shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", [0, 0xFFFFFFFF])
def test_uniforms_never_reach_zero_or_one(monkeypatch, word, dtype):
    monkeypatch.setattr(generator, "philox_bits", lambda *index: np.full((1, index[-1]), word, np.uint32))
    u = ops.uniform(0, np.array([0]), 0, 0, (4,), dtype)
    assert (0 < u).all() and (u < 1).all()
    assert np.isfinite(ops.normal(0, np.array([0]), 0, 0, (4,), dtype)).all()


@example(seed=0, count=9)
@given(seed=SEED, count=st.integers(1, 9))
def test_normals_equal_box_and_muller(seed, count):
    words = ops.philox_bits(seed, np.array([5]), 1, Purpose.PRIOR, 4 * 3)[0].tolist()
    u = [(2 * w + 1) / 2**33 for w in words]
    expected = []
    for one, other in zip(u[0::2], u[1::2]):
        r = np.sqrt(-2 * np.log(one))
        expected += [r * np.cos(2 * np.pi * other), r * np.sin(2 * np.pi * other)]
    assert_equal_to_rounding(ops.normal(seed, np.array([5]), 1, Purpose.PRIOR, (count,))[0], expected[:count])


@given(seed=SEED, shape=st.sampled_from([(), (3,), (4, 4)]))
def test_float32_normals_are_the_rounded_float64_ones(seed, shape):
    double, single = (ops.normal(seed, np.arange(3), 0, Purpose.PRIOR, shape, dtype) for dtype in (np.float64, np.float32))
    assert single.dtype == np.float32
    assert np.array_equal(single, double.astype(np.float32))


def test_first_entries_do_not_depend_on_how_many_are_drawn():
    long = ops.normal(1, np.arange(2), 0, 0, (11,))
    for count in range(11):
        assert np.array_equal(ops.normal(1, np.arange(2), 0, 0, (count,)), long[:, :count])


# the noise of a sample depends only on its index


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw", [ops.uniform, ops.normal])
def test_a_batch_of_eight_equals_eight_batches_of_one(draw, dtype):
    samples = np.array([0, 1, 2, 3, 2**32 - 1, 7, 6, 100])
    batch = draw(2**40 + 1, samples, 5, Purpose.STEP_NOISE, (3, 3), dtype)
    for n in range(8):
        assert np.array_equal(draw(2**40 + 1, samples[n : n + 1], 5, Purpose.STEP_NOISE, (3, 3), dtype)[0], batch[n])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_from_a_key_does_not_depend_on_the_batch(dtype):
    x, prediction = np.random.default_rng(0).standard_normal((2, 8, 5)).astype(dtype)
    a = np.linspace(0.1, 1, 8).astype(dtype)
    noised = lambda own: ops.add_noise(x[own], a[own], 0.3, Key(9, np.arange(8)[own], 4, Purpose.TRAINING_NOISE))
    stepped = lambda own: ops.reverse_step(x[own], prediction[own], a[own], 0.5, 0.3, Key(9, np.arange(8)[own], 4, Purpose.STEP_NOISE))
    for function in (noised, stepped):
        one_by_one = np.concatenate([function(slice(n, n + 1)) for n in range(8)])
        assert np.array_equal(function(slice(0, 8)), one_by_one)


def test_a_key_gives_the_normals_of_its_index():
    x = np.zeros((4, 3), np.float32)
    key = Key(1, np.array([3, 1, 4, 1]), 5, Purpose.CORRECTOR)
    assert np.array_equal(ops.add_noise(x, 0.0, 1.0, key), ops.normal(*key, (3,), np.float32))


def test_a_key_for_another_number_of_samples_is_refused():
    with pytest.raises(ValueError, match="noise must have shape"):
        ops.add_noise(np.zeros((4, 3)), 1.0, 1.0, Key(0, np.arange(3), 0, 0))


# bad indices

INDEX = {"seed": 0, "sample": np.array([0]), "step": 0, "purpose": 0, "count": 4}


@pytest.mark.parametrize("name, value", [("seed", 2**64), ("seed", -1), ("step", 2**32), ("step", -1), ("purpose", 2**32), ("purpose", -1)])
def test_an_index_out_of_range_is_a_value_error_that_names_it(name, value):
    with pytest.raises(ValueError, match=f"{name} must lie in 0"):
        ops.philox_bits(**{**INDEX, name: value})


@pytest.mark.parametrize("value", [-1, 2**32])
@pytest.mark.parametrize("position", [0, 2])
def test_a_sample_out_of_range_is_a_value_error(value, position):
    sample = np.array([1, 2, 3])
    sample[position] = value
    with pytest.raises(ValueError, match="sample must lie in 0"):
        ops.philox_bits(**INDEX | {"sample": sample})


@pytest.mark.parametrize("value", [1.0, "1", None, True, np.array([1])])
@pytest.mark.parametrize("name", ["seed", "step", "purpose", "count"])
def test_a_non_integer_index_is_a_type_error_that_names_it(name, value):
    with pytest.raises(TypeError, match=f"{name} must be a whole number"):
        ops.philox_bits(**{**INDEX, name: value})


@pytest.mark.parametrize("value", [[0], 0, np.array([0.0]), np.array([True])])
def test_non_integer_samples_are_a_type_error(value):
    with pytest.raises(TypeError, match="sample must"):
        ops.philox_bits(**INDEX | {"sample": value})


@pytest.mark.parametrize("draw", [ops.uniform, ops.normal])
def test_dtypes_other_than_floats_are_a_type_error(draw):
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        draw(0, np.array([0]), 0, 0, (2,), np.int64)


# statistics


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draw, distribution", [(ops.uniform, stats.uniform()), (ops.normal, stats.norm())])
def test_draws_follow_their_distribution(draw, distribution, dtype):
    x = draw(20, np.arange(500), 0, Purpose.PRIOR, (200,), dtype).astype(np.float64).ravel()
    assert stats.kstest(x, distribution.cdf).pvalue > FALSE_ALARM
    z = stats.norm.isf(FALSE_ALARM / 2)
    for power in (1, 2, 3, 4):
        spread = np.sqrt(distribution.moment(2 * power) - distribution.moment(power) ** 2)
        assert abs(np.mean(x**power) - distribution.moment(power)) < z * spread / np.sqrt(x.size)


def test_neighbouring_entries_samples_steps_and_purposes_are_uncorrelated():
    z = lambda step, purpose: ops.normal(21, np.arange(400), step, purpose, (50,))
    x = z(0, 0)
    bound = stats.norm.isf(FALSE_ALARM / 2)
    for other in (np.roll(x, 1, axis=1), np.roll(x, 1, axis=0), z(1, 0), z(0, 1)):
        assert abs((x * other).sum()) < bound * np.sqrt(x.size)
