"""Captions as the condition of training and guidance: dropped captions, and both parts of a guided prediction."""

from dataclasses import replace

import numpy as np
import pytest

from reference import ops
from reference.data.captions import encode
from reference.diffusion import training
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.guidance import GuidedNetwork, drop_labels, guide, null_labels
from reference.diffusion.schedules import linear
from reference.ops.random import Purpose
from tests.device_port import to_device, to_host
from tests.example_networks import CAPTIONED, inputs, numbers, random_parameters
from tests.oracle_tolerances import U32, assert_close
from tests.tolerances import assert_equal_to_rounding

X, C, TOKENS = inputs(CAPTIONED)
NULL_CAPTION = [1, 0, 0]


def test_the_null_caption_is_that_of_the_data_set():
    tokens = np.array([encode("a red 3")[0]])
    np.testing.assert_array_equal(null_labels(tokens, CAPTIONED), [encode(None)[0]])


def test_captions_are_dropped_as_a_whole_at_the_wanted_share():
    settings, captions = training.Settings(label_dropout=0.3, seed=2), np.tile(TOKENS, (50, 1))
    dropped = drop_labels(captions, CAPTIONED, settings, 7)
    u = ops.uniform(2, np.arange(100), 7, Purpose.LABEL_DROPOUT, (), np.float64)
    for before, after, own in zip(captions, dropped, u):
        np.testing.assert_array_equal(after, NULL_CAPTION if own < 0.3 else before)
    np.testing.assert_array_equal(drop_labels(captions[40:], CAPTIONED, settings, 7, first=40), dropped[40:])


def test_a_step_trains_on_captions_and_dropped_ones():
    denoiser, settings = Denoiser(CAPTIONED, linear(50)), training.Settings(batch=8, label_dropout=0.4)
    data, captions = numbers(1, 10, *CAPTIONED.sample_shape).astype(np.float32), np.tile(TOKENS, (5, 1))
    params = {name: array.astype(np.float32) for name, array in random_parameters(CAPTIONED).items()}
    indices, t, noise = training.draw_batch(denoiser, data, settings, 1)
    chosen = drop_labels(captions[indices], CAPTIONED, settings, 1)
    assert 0 < (chosen == NULL_CAPTION).all(axis=1).sum() < 8
    expected, *_ = denoiser.loss(params, data[indices], t, noise, labels=chosen)
    state = lambda: training.State(params, params, *({name: 0 * p for name, p in params.items()},) * 2)
    assert next(training.train(denoiser, data, captions, settings, state(), 1)).loss == expected
    sharded = next(training.train(denoiser, data, captions, replace(settings, shards=2), state(), 1))
    assert_close(sharded.loss, expected, 8 * U32, expected)  # means of eight numbers in two orders


@pytest.mark.parametrize("weight", [0, 1, 3.5])
def test_a_guided_prediction_has_the_caption_and_no_caption(weight):
    params = random_parameters(CAPTIONED)
    own, _ = CAPTIONED.forward(params, X, C, labels=TOKENS)
    none, _ = CAPTIONED.forward(params, X, C, labels=np.array([NULL_CAPTION] * 2))
    guided, saved = GuidedNetwork(CAPTIONED, TOKENS, weight).forward(params, X, C)
    assert_equal_to_rounding(guided, guide(own, none, weight))
    assert np.abs(own - none).max() > 0
    dy = numbers(4, *X.shape)
    network = GuidedNetwork(CAPTIONED, TOKENS, weight)
    dx, _ = network.backward(params, dy, saved)
    v = numbers(5, *X.shape)
    step = 1e-6
    ends = [network.forward(params, X + h * v, C)[0] for h in (-step, step)]
    slope = float(np.vdot(dy, ends[1] - ends[0])) / (2 * step)
    # central differences: half of the digits of float64
    assert_close(float(np.vdot(dx, v)), slope, np.sqrt(np.finfo(np.float64).eps), np.abs(dy * own).sum())


def test_null_captions_of_a_device_are_arrays_of_the_device():
    np.testing.assert_array_equal(to_host(null_labels(to_device(TOKENS), CAPTIONED)), [NULL_CAPTION] * 2)
