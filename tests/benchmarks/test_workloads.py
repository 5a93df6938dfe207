"""The workloads at their tiny size: the reference agrees with itself, faulty ports do not, and counts agree with the calls."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.counts import Recorder, counts, operations
from benchmarks.measure import Failure, disagreement, expected_results
from benchmarks.peers.restoration import STEPS
from benchmarks.workloads import WORKLOADS
from reference import ops
from reference.conformance.contract import OPS
from reference.diffusion.guidance import guide, null_label
from tests.meta.faulty_ops import FAULTS

every_workload = pytest.mark.parametrize("name", WORKLOADS["tiny"])


class Faulty:
    def __init__(self, fault):
        self.name, self.function = FAULTS[fault]

    def __getattr__(self, name):
        return self.function if name == self.name else getattr(ops, name)


def compared(name, port):
    workload = WORKLOADS["tiny"][name]
    single, exact, *_ = expected_results(workload)
    return disagreement(workload.results(port, workload.dtype.type), single, exact)


@every_workload
def test_the_reference_agrees_with_itself(name):
    assert compared(name, ops).ratio <= 1


@every_workload
def test_a_call_can_be_repeated(name):
    call = WORKLOADS["tiny"][name].call(ops)
    call(), call()


def test_the_tiny_size_has_every_workload():
    assert list(WORKLOADS["tiny"]) == list(WORKLOADS["full"])


@pytest.mark.parametrize(
    "fault, name",
    [
        ("transposed weight gradient", "mlp-step"),
        ("transposed weight gradient", "unet8-step"),
        ("missing bias gradient", "unet8-step"),
        ("unbiased variance", "unet32-forward"),
        ("padding off by one", "unet32-ddim"),
        ("gradients in half precision", "unet32-step"),
        ("transposed weight gradient", "unet32-step-classes"),
        ("padding off by one", "unet32-guided"),
        ("padding off by one", "unet32-ddrm"),
        ("gradients in half precision", "unet32-pigdm"),
        ("element never written", "mlp-forward"),
    ],
)
def test_a_planted_fault_is_a_disagreement(fault, name):
    assert compared(name, Faulty(fault)).ratio > 1


def test_particles_with_other_noise_are_compared_by_their_moments():
    workload = WORKLOADS["tiny"]["particles-own-noise"]
    _, exact, *_ = expected_results(workload)
    others = ops.normal(99, np.arange(100_000), 0, 0, (2,)) @ np.linalg.cholesky(np.cov(exact["particles"]["x"].T)).T
    moments = lambda x: {"moments": {"mean": x.mean(axis=0), "covariance": np.cov(x.T)}}
    assert disagreement(moments(others + exact["particles"]["x"].mean(axis=0)), {}, exact).ratio <= 1
    assert disagreement(moments(0.7 * others), {}, exact).ratio > 1


def test_missing_results_and_wrong_shapes_are_failures():
    workload = WORKLOADS["tiny"]["mlp-forward"]
    single, exact, *_ = expected_results(workload)
    with pytest.raises(Failure, match="it returns no output of y"):
        disagreement({}, single, exact)
    with pytest.raises(Failure, match=r"output of y has shape \(8, 1\) instead of \(8, 2\)"):
        disagreement({"output": {"y": np.ones((32, 1), np.float32)}}, single, exact)


@pytest.mark.parametrize("name", [name for name, workload in WORKLOADS["tiny"].items() if workload.single_step()[1] > 1])
def test_many_steps_are_counted_as_a_multiple_of_one(name):
    workload, recorder = WORKLOADS["tiny"][name], Recorder(ops)
    call = workload.call(recorder)
    recorder.clear()
    call()
    of_steps = counts(workload)
    for counted in ("calls", "operations", "bytes"):
        assert {op: pytest.approx(n) for op, n in getattr(recorder, counted).items()} == getattr(of_steps, counted)


def test_counts_of_a_backward_pass_exclude_its_forward_pass():
    calls, *_ = counts(WORKLOADS["tiny"]["mlp-backward"])
    assert calls == {"linear_backward": 3, "silu_backward": 2, "concat_backward": 1}


def test_counts_of_an_mlps_forward_pass_agree_with_hand_counts():
    network, batch = WORKLOADS["tiny"]["mlp-forward"].network, WORKLOADS["tiny"]["mlp-forward"].batch
    i, width, o = network.entries + network.embedding, network.width, network.entries
    products = 2 * batch * (i * width + width * width + width * o)  # a multiplication and an addition, the bias with the first
    counted = expected_results(WORKLOADS["tiny"]["mlp-forward"]).operations
    assert counted["linear"] == products
    assert counted["silu"] == 4 * batch * 2 * width
    assert counted["concat"] == 0


def test_calls_are_counted_by_their_own_shapes():
    x, w, b = np.ones((2, 5, 4, 3)), np.ones((3, 3, 3, 2)), np.ones(2)
    y = ops.conv2d(x, w, b, 2)
    assert operations("conv2d", (x, w, b, 2, None), y) == y.size * (2 * 9 * 3 + 1)
    arrays = [np.ones((2, 3)), np.ones(4)]
    assert operations("global_norm", (arrays,), ops.global_norm(arrays)) == 2 * 10
    assert operations("adam_step_", (x, x, x, x, 1, 0.1, 0.9, 0.999, 1e-8), None) == OPS["adam_step_"].flops(*[x.shape] * 4)


def test_scaling_compares_neither_weights_nor_gradients_of_few_entries():
    workload = WORKLOADS["scaling-tiny"]["batch-2"]
    found = workload.results(ops)
    assert found.keys() == {"losses", "gradients"} and min(array.size for array in found["gradients"].values()) >= 64


def test_a_step_with_classes_drops_a_tenth_of_the_labels():
    workload = replace(WORKLOADS["full"]["unet32-step-classes"], batch=1024)
    null, (indices, _, _, labels) = null_label(workload.network), workload.draws(1)
    kept, own = labels != null, workload.labels(workload.examples)[indices]
    assert np.array_equal(labels[kept], own[kept]) and set(own) == set(range(null))
    assert abs((~kept).mean() - 0.1) <= 6 * (0.1 * 0.9 / 1024) ** 0.5


def test_a_step_with_classes_trains_on_the_labels_that_peers_get():
    workload = WORKLOADS["tiny"]["unet32-step-classes"]
    state, labels = next(workload.states(ops, np.float64, 1)), workload.draws(1)[3]
    assert set(np.flatnonzero(state.m["class_embedding.table"].any(axis=1))) == set(labels) != {0}


def test_the_coefficients_for_peers_give_the_samples_of_the_guided_solver():
    workload, (single, exact, *_) = WORKLOADS["tiny"]["unet32-guided"], expected_results(WORKLOADS["tiny"]["unet32-guided"])
    params, x, x0 = workload.parameters(np.float64), workload.prior(np.float64), 0
    network = lambda x, c, labels: workload.network.forward(params, x, np.full(len(x), c), labels=labels)[0]
    own, null = workload.labels(len(x)), np.full(len(x), null_label(workload.network))
    for scale, condition, a, b, slope, c, d in workload.coefficients():
        x0_before, (conditional, unconditional) = x0, (network(scale * x, condition, labels) for labels in (own, null))
        x0 = a * x + b * guide(conditional, unconditional, workload.guidance)
        x = c * x + d * (x0 + slope * (x0 - x0_before))
    assert len(set(own)) > 1 and len(workload.coefficients()) == workload.steps > 1
    assert disagreement({"samples": {"x": x}}, single, exact).ratio <= 1


@pytest.mark.parametrize("name", ["unet32-pigdm", "unet32-ddrm"])
def test_the_coefficients_and_steps_for_peers_give_the_restored_samples(name):
    workload, (single, exact, *_) = WORKLOADS["tiny"][name], expected_results(WORKLOADS["tiny"][name])
    network, params, x = workload.network, workload.parameters(np.float64), workload.prior(np.float64)

    def mean_and_pullback(x, scale, condition, a, b):
        y, saved = network.forward(params, scale * x, np.full(len(x), condition))
        return a * x + b * y, lambda v: a * v + scale * network.backward(params, b * v, saved)[0]

    function = {"unet32-pigdm": mean_and_pullback, "unet32-ddrm": lambda *args: mean_and_pullback(*args)[0]}[name]
    means = lambda x: x.reshape(len(x), 4, 2, 4, 2, 1).mean(axis=(2, 4))
    repeated = lambda y: y.repeat(2, axis=1).repeat(2, axis=2)
    assert len(workload.coefficients()) == len(workload.noises()) == workload.steps > 1
    for noise, row in zip(workload.noises(), workload.coefficients()):
        x = STEPS[type(workload).__name__](function, means, repeated, x, noise, workload.measurement, row)
    assert disagreement({"samples": {"x": x.astype(np.float32)}}, single, exact).ratio <= 1
