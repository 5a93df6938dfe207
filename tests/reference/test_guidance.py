"""Classifier-free guidance of a network's output, and training in which samples lose their label."""

from dataclasses import replace

import numpy as np
import pytest

from accelerated import cpu
from reference import ops
from reference.conformance.example_networks import SIXTEENS
from reference.diffusion import training
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.guidance import GuidedNetwork, drop_labels, guide, null_label
from reference.diffusion.schedules import linear
from reference.networks import UNet
from reference.ops.random import Purpose
from tests.example_networks import LABELLED, LABELS, SMALL, inputs, numbers, random_parameters
from tests.tolerances import assert_equal_to_rounding, assert_gradient

NETWORKS = pytest.mark.parametrize("network", [LABELLED, SMALL], ids=LABELS.get)
# with vectors and Winograd tiles in the CPU port
WIDE = replace(SIXTEENS, classes=4)


def float32(network):
    return {name: p.astype(np.float32) for name, p in random_parameters(network).items()}


@NETWORKS
@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.3, 1.0, 3.0])
def test_guidance_is_the_weighted_sum_of_two_predictions(network, weight):
    x, c, labels = inputs(network)
    params = random_parameters(network)
    conditional, _ = network.forward(params, x, c, labels=labels)
    unconditional, _ = network.forward(params, x, c, labels=np.full(len(x), network.classes - 1))
    guided, _ = GuidedNetwork(network, labels, weight).forward(params, x, c)
    scale = np.abs(weight * conditional) + np.abs((1 - weight) * unconditional)
    assert_equal_to_rounding(guided, weight * conditional + (1 - weight) * unconditional, scale.max())


@pytest.mark.parametrize("weight, label", [(0.0, 3), (1.0, 1)])
def test_one_prediction_is_enough_for_weights_0_and_1(weight, label):
    x, c = numbers(1, 2, *WIDE.sample_shape).astype(np.float32), np.float32([3, 3])
    params, asked = float32(WIDE), []

    class Recorded:
        classes = WIDE.classes

        def forward(self, params, x, c, ops, labels, keep):
            asked.append(labels.tolist())
            return WIDE.forward(params, x, c, ops, labels, keep)

    y, _ = GuidedNetwork(Recorded(), np.array([1, 1]), weight).forward(params, x, c, cpu, keep=False)
    alone, _ = WIDE.forward(params, x, c, cpu, np.array([label, label]), keep=False)
    assert asked == [[label, label]]
    np.testing.assert_array_equal(y, alone)


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_a_sample_does_not_depend_on_the_rest_of_its_batch_on_the_cpu(weight):
    x, c = numbers(1, 5, *WIDE.sample_shape).astype(np.float32), np.full(5, 700, np.float32)
    params, labels = float32(WIDE), np.array([2, 0, 1, 2, 0])
    together, _ = GuidedNetwork(WIDE, labels, weight).forward(params, x, c, cpu, keep=False)
    for i in range(5):
        one, _ = GuidedNetwork(WIDE, labels[i : i + 1], weight).forward(params, x[i : i + 1], c[:1], cpu, keep=False)
        np.testing.assert_array_equal(one[0], together[i])


@NETWORKS
@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_backward_of_guidance_is_the_gradient(network, weight):
    x, c, labels = inputs(network)
    params, v = random_parameters(network), numbers(5, *x.shape)
    guided = GuidedNetwork(network, labels, weight)
    y, saved = guided.forward(params, x, c)
    dy = numbers(4, *y.shape)
    dx, gradients = guided.backward(params, dy, saved)
    parts = [
        np.abs(a * dy * network.forward(params, x, c, labels=b)[0]).sum() for a, b in ((weight, labels), (1 - weight, np.array([2, 2])))
    ]
    table = "class_embedding.table"
    along_x = lambda t: float(np.vdot(dy, guided.forward(params, x + t * v, c)[0]))
    of_table = lambda t: float(np.vdot(dy, guided.forward(params | {table: params[table] + t}, x, c)[0]))
    for terms, f in ((v * dx, along_x), (gradients[table], of_table)):
        assert_gradient(terms.sum(), f, sum(parts), np.abs(terms).sum())


def test_the_pullback_of_a_guided_score_is_its_gradient():
    denoiser = Denoiser(GuidedNetwork(LABELLED, np.array([1, 0]), 2.0), linear(50))
    x, v, u = (numbers(seed, 2, 2) for seed in (1, 2, 3))
    params = random_parameters(LABELLED)
    level = denoiser.schedule.signal(20), denoiser.schedule.noise_scale(20)
    score, pullback = denoiser.score_and_pullback(params)(x, *level)
    np.testing.assert_array_equal(score, denoiser.score_function(params)(x, *level))
    f = lambda t: float(np.vdot(u, denoiser.score_function(params)(x + t * v, *level)))
    terms = pullback(u) * v
    assert_gradient(terms.sum(), f, np.abs(u * score).sum(), np.abs(terms).sum())


def test_a_learned_variance_is_the_conditional_one():
    network = UNet(size=(4, 4), channels=(8, 16), groups=4, classes=3, outputs=2)
    x, c, labels = inputs(network)
    params = random_parameters(network)
    y, saved = GuidedNetwork(network, labels, 3.0).forward(params, x, c)
    conditional, _ = network.forward(params, x, c, labels=labels)
    unconditional, _ = network.forward(params, x, c, labels=np.array([2, 2]))
    assert_equal_to_rounding(y[..., 1:], conditional[..., 1:])
    scale = np.abs(5 * conditional).max()
    assert_equal_to_rounding(y[..., :1], guide(conditional, unconditional, 3.0)[..., :1], scale)
    u, v = numbers(2, *y.shape), numbers(3, *x.shape)
    dx, _ = GuidedNetwork(network, labels, 3.0).backward(params, u, saved)
    f = lambda t: float(np.vdot(u, GuidedNetwork(network, labels, 3.0).forward(params, x + t * v, c)[0]))
    magnitude = 3 * np.abs(u * conditional).sum() + 2 * np.abs(u * unconditional).sum()
    assert_gradient((dx * v).sum(), f, magnitude, np.abs(dx * v).sum())


def test_guidance_is_used_within_its_interval_alone():
    x, _, labels = inputs(LABELLED)
    params = random_parameters(LABELLED)
    at = lambda time, **how: GuidedNetwork(LABELLED, labels, **how).forward(params, x, np.full(2, time))[0]
    for time, inside in ((99.0, False), (100.0, True), (300.0, True), (300.5, False)):
        expected = at(time, weight=4.0 if inside else 1.0)
        np.testing.assert_array_equal(at(time, weight=4.0, interval=(100.0, 300.0)), expected)


# label dropout


def test_dropped_labels_are_null_labels_at_the_wanted_share():
    settings, labels = training.Settings(label_dropout=0.2, seed=3), np.arange(50_000) % 2
    dropped = drop_labels(labels, LABELLED, settings, 7)
    changed = dropped != labels
    assert set(dropped[changed]) == {null_label(LABELLED)} == {2}
    # a false alarm once in 10^6: 4.9 deviations of a binomial share
    assert abs(changed.mean() - 0.2) < 4.9 * np.sqrt(0.2 * 0.8 / len(labels))
    np.testing.assert_array_equal(drop_labels(labels, LABELLED, replace(settings, label_dropout=0.0), 7), labels)


def test_the_draw_of_dropped_labels_is_a_function_of_seed_and_step():
    settings, labels = training.Settings(label_dropout=0.3), np.zeros(64, int)
    one = drop_labels(labels, LABELLED, settings, 1)
    np.testing.assert_array_equal(one, drop_labels(labels, LABELLED, settings, 1))
    np.testing.assert_array_equal(one[:10], drop_labels(labels[:10], LABELLED, settings, 1))
    for other in (drop_labels(labels, LABELLED, settings, 2), drop_labels(labels, LABELLED, replace(settings, seed=1), 1)):
        assert (one != other).any()
    u = ops.uniform(0, np.arange(64), 1, Purpose.LABEL_DROPOUT, (), np.float64)
    np.testing.assert_array_equal(one == 2, u < 0.3)


def test_a_step_trains_dropped_samples_on_the_null_label():
    denoiser, settings = Denoiser(LABELLED, linear(50)), training.Settings(batch=16, label_dropout=0.4)
    data, labels, params = numbers(1, 30, 2).astype(np.float32), np.arange(30) % 2, float32(LABELLED)
    indices, t, noise = training.draw_batch(denoiser, data, settings, 1)
    dropped = drop_labels(labels[indices], LABELLED, settings, 1)
    assert 0 < (dropped == 2).sum() < 16
    expected, *_ = denoiser.loss(params, data[indices], t, noise, labels=dropped)
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    state = training.State(params, params, zeros, zeros)
    assert next(training.train(denoiser, data, labels, settings, state, 1)).loss == expected


def test_the_null_label_learns_from_dropped_samples_alone():
    x, c, _ = inputs(SMALL)
    params = random_parameters(SMALL)
    for labels in ([0, 1], [0, 2]):
        y, saved = SMALL.forward(params, x, c, labels=np.array(labels))
        _, gradients = SMALL.backward(params, numbers(4, *y.shape), saved)
        rows = np.abs(gradients["class_embedding.table"]).sum(axis=1) > 0
        assert rows.tolist() == [k in labels for k in range(3)]


@NETWORKS
def test_the_null_label_is_a_learned_row(network):
    x, c, _ = inputs(network)
    params, null = random_parameters(network), np.array([2, 2])
    changed = params["class_embedding.table"].copy()
    changed[2] += 1
    y, _ = network.forward(params, x, c, labels=null)
    other, _ = network.forward(params | {"class_embedding.table": changed}, x, c, labels=null)
    assert (y != other).all()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_label_dropout_must_be_a_share_below_1(share):
    with pytest.raises(ValueError, match="label_dropout must lie in"):
        training.Settings(label_dropout=share)
