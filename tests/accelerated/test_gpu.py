"""The GPU port beyond the contract: its errors without a device, and in the simulator launches, blocks, graphs and copies of arrays."""

import ast
import importlib
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerated import gpu
from accelerated.__main__ import PROGRAM
from accelerated.computations import STUDENTS, TRAINING_RUNS
from accelerated.gpu import device, kernel, models
from accelerated.gpu.graphs import CapturedCalls, State, replayed
from accelerated.gpu.models import with_schedule_on_device
from accelerated.gpu.product import blas_layout, gemm
from accelerated.gpu.simulator import launch
from reference import ops
from reference.commands.cli import main
from reference.commands.sampler_options import parse_sampler_options
from reference.conformance import op_inputs
from reference.conformance.call import call_op
from reference.conformance.contract import OPS
from reference.conformance.op_inputs import RandomArrays, random_parameters
from reference.conformance.tolerances import assert_within_tolerance
from reference.diffusion import schedules
from reference.diffusion.denoiser import Denoiser
from reference.networks import MLP
from reference.runs.devices import to_device
from reference.runs.sampling import draw
from reference.samplers.ancestral import ancestral
from tests.ports import SIMULATED
from tests.reference.test_devices import run_of, states
from tests.strategies import arguments

SOURCES = sorted(Path(gpu.__file__).parent.glob("*.py"))
needs_simulator = pytest.mark.skipif(not SIMULATED, reason="needs the simulator: NUMBA_ENABLE_CUDASIM=1")
needs_device = pytest.mark.skipif(gpu.missing() is not None, reason="needs a device or the simulator: NUMBA_ENABLE_CUDASIM=1")
needs_no_device = pytest.mark.skipif(gpu.missing() is None, reason="there is a device, or the simulator")


def test_every_op_of_the_contract_is_there_by_name():
    assert all(callable(getattr(gpu, name, None)) for name in OPS)


@needs_no_device
def test_an_op_without_a_device_names_the_missing_part():
    with pytest.raises(ValueError, match=r"accelerated\.gpu can't work here: .*(CuPy|numba-cuda|driver|device)"):
        gpu.silu(np.ones(3))


@needs_no_device
def test_the_command_line_without_a_device_fails_in_one_line(capsys, tmp_path):
    assert main(["demo", "--port", "gpu", "--out", str(tmp_path / "demo")], PROGRAM) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "accelerated.gpu can't work here" in error and not (tmp_path / "demo").exists()


def test_importing_the_port_needs_neither_cupy_nor_a_driver():
    code = "import sys; sys.modules['cupy'] = None; import accelerated.gpu as gpu; print(gpu.missing() or 'works')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.skipif(SIMULATED, reason="the simulator is on")
def test_importing_the_port_does_not_import_the_simulator():
    code = "import sys, accelerated.gpu; sys.exit(any(name.startswith('accelerated.gpu.simulator') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_kernel_narrows_an_index():
    """Numba adds and multiplies whole numbers in 64 bits, unless a narrower type is named."""
    for path in SOURCES:
        narrow = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert not {"int32", "int16", "intc"} & set(narrow), path.name


def test_a_block_has_a_power_of_two_threads():
    with pytest.raises(ValueError, match="a power of two"):
        gpu.set_block_size(96)


@contextmanager
def block_of(threads):
    before = kernel.block_size()
    gpu.set_block_size(threads)
    try:
        yield
    finally:
        gpu.set_block_size(before)


def check_with_backward(name, args):
    """Check that the op, and its backward at a random gradient, are within their tolerances."""
    calls = {name: args}
    if OPS[name].gradients:
        calls[f"{name}_backward"] = op_inputs.with_upstream_gradient(name, NUMBERS, args)
    for called, of in calls.items():
        assert_within_tolerance(called, call_op(called, getattr(gpu, called), of), of)


NUMBERS = RandomArrays(0, 1.0, 0.0, np.float32)


@needs_device
@pytest.mark.parametrize("threads", [1, 4, 16])
@pytest.mark.parametrize("name, sizes", [("silu", (37,)), ("softmax", (3, 11)), ("linear", (9, 3, 5))])
def test_rows_longer_and_shorter_than_a_block(name, sizes, threads):
    with block_of(threads):
        check_with_backward(name, getattr(op_inputs, name)(NUMBERS, *sizes))


# branches for large sizes, with their limit made small


def file_of(name):
    """The module ``name``; as an attribute of the package the name may be an op."""
    return importlib.import_module(f"accelerated.gpu.{name}")


@needs_device
@pytest.mark.parametrize("add", [None, "per channel", "per pixel"])
@pytest.mark.parametrize("i, o", [(2, 3), (35, 2)])  # more channels than a warp has threads
def test_convolution_with_patches_in_parts(i, o, add, monkeypatch):
    monkeypatch.setattr(file_of("conv"), "MAX_PATCH_BYTES", 1)  # a sample at a time
    check_with_backward("conv2d", op_inputs.conv2d(NUMBERS, 3, 2, 2, i, o, 3, 1, add))


@needs_device
def test_attention_with_scores_in_parts(monkeypatch):
    monkeypatch.setattr(file_of("attention"), "MAX_SCORE_BYTES", 1)  # a head of a sample at a time
    for masked in (False, True):
        check_with_backward("attention", op_inputs.attention(NUMBERS, 2, 3, 5, 2, 2, masked))


@needs_device
def test_a_sample_without_a_key_is_refused_in_a_mask_on_the_host_and_nan_in_one_on_the_device():
    q, k, v, heads, mask = op_inputs.attention(NUMBERS, 2, 1, 2, 1, 2, True)
    mask[1] = False
    with pytest.raises(ValueError, match="sample 1 has none"):
        gpu.attention(q, k, v, heads, mask)
    y, _ = gpu.attention(*map(gpu.to_device, (q, k, v)), heads, gpu.to_device(mask))
    y = gpu.to_host(y)
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()


@needs_device
def test_column_sums_in_parts(monkeypatch):
    monkeypatch.setattr(file_of("linear"), "MAX_ROWS_PER_BLOCK", 2)
    check_with_backward("linear", op_inputs.linear(NUMBERS, 11, 2, 3))
    check_with_backward("group_norm", op_inputs.group_norm(NUMBERS, 9, (1,), 2, 2, 1e-5))


@needs_device
@pytest.mark.parametrize("periodic", [False, True])
def test_a_line_of_cells_solved_by_many_blocks(periodic):
    with block_of(2):  # from 32 cells on
        args = op_inputs.fokker_planck_step(NUMBERS, 131, 0.1, 0.1, periodic)
        assert_within_tolerance("fokker_planck_step", call_op("fokker_planck_step", gpu.fokker_planck_step, args), args)


@needs_device
@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
def test_a_mixture_in_three_dimensions(name):
    args = op_inputs.mixture_log_density(NUMBERS, 5, 9, 3, False)
    assert_within_tolerance(name, call_op(name, getattr(gpu, name), args), args)


@needs_device
def test_in_place_ops_write_to_device_arrays_that_are_not_contiguous():
    average, p = np.arange(12.0).reshape(3, 4), np.ones((4, 3))
    there = gpu.to_device(average)
    gpu.ema_step_(there.T, gpu.to_device(p), 0.75)
    assert np.array_equal(there.get(), 0.75 * average + 0.25)


@needs_device
def test_device_labels_out_of_range_give_nan():
    table, labels = np.arange(6.0).reshape(3, 2), np.array([1, 7, -1])
    rows = gpu.embedding(gpu.to_device(labels), gpu.to_device(table)).get()
    assert np.array_equal(rows[0], table[1]) and np.isnan(rows[1:]).all()
    with pytest.raises(ValueError, match="labels"):
        gpu.embedding(labels, table)


@needs_device
def test_device_labels_out_of_range_give_a_loss_and_gradients_of_nan():
    logits, labels, d = np.arange(6.0).reshape(3, 2), np.array([1, 7, -1]), np.ones(3)
    per_sample = gpu.cross_entropy(gpu.to_device(logits), gpu.to_device(labels))[1].get()
    dlogits = gpu.cross_entropy_backward(*map(gpu.to_device, (d, logits, labels))).get()
    assert np.isfinite(per_sample[0]) and np.isfinite(dlogits[0]).all()
    assert np.isnan(per_sample[1:]).all() and np.isnan(dlogits[1:]).all()
    with pytest.raises(ValueError, match="labels"):
        gpu.cross_entropy(logits, labels)
    with pytest.raises(ValueError, match="labels"):
        gpu.cross_entropy_backward(d, logits, labels)


@needs_device
@pytest.mark.parametrize("threads", [1, 4, 32])
@pytest.mark.parametrize("name", OPS)
@settings(max_examples=2)
@given(data=st.data())
def test_every_op_is_within_tolerance_for_any_block(name, threads, data):
    args = data.draw(arguments(name, np.float32))
    with block_of(threads):
        assert_within_tolerance(name, call_op(name, getattr(gpu, name), args), args)


@needs_device
def test_the_norm_of_many_entries_is_within_tolerance():
    """Each thread adds many entries in sequence; NumPy adds pairs, and rounds less."""
    args = ([np.random.default_rng(1).standard_normal(50_000).astype(np.float32)],)
    assert_within_tolerance("global_norm", call_op("global_norm", gpu.global_norm, args), args)


@needs_simulator
@pytest.mark.parametrize("name", ["ddpm of points", "sliced score matching", "vae"])
def test_a_training_step_copies_nothing_to_the_host(name):
    running = states(name, gpu)
    next(running)
    before, launched = device.xp.copies, launch.launches
    state = next(running)
    assert device.xp.copies == before and launch.launches > launched and device.is_device_array(state.loss)


@needs_simulator
def test_a_sampling_step_copies_nothing_to_the_host():
    network, schedule = MLP(width=4, depth=1, embedding=4), schedules.linear(10)
    params = to_device(network.init(0), gpu)
    x, sample = gpu.to_device(np.ones((2, 2), np.float32)), gpu.to_device(np.arange(2))
    steps = ancestral(Denoiser(network, schedule).noise_predictor(params, ops=gpu), schedule, schedule.timesteps(3), x, 1, sample, ops=gpu)
    next(steps)
    before = device.xp.copies
    _, x, _ = next(steps)
    assert device.xp.copies == before and device.is_device_array(x)


@needs_device
def test_the_command_line_trains_resumes_and_samples_on_the_port(tmp_path):
    words = ["--data", "mixture2d", "--width", "8", "--depth", "1", "--batch", "4", "--port", "gpu", "--out", str(tmp_path / "run")]
    assert main(["train", "sde", *words, "--steps", "2"], PROGRAM) == 0
    assert main(["train", "sde", *words, "--steps", "3", "--resume"], PROGRAM) == 0
    out = tmp_path / "samples.npz"
    assert main(["sample", str(tmp_path / "run"), "--steps", "2", "--samples", "3", "--port", "gpu", "--out", str(out)], PROGRAM) == 0
    with np.load(out) as archive:
        assert archive["x"].shape == (3, 2) and np.isfinite(archive["x"]).all()


@needs_device
def test_results_are_where_the_arguments_are():
    x = np.linspace(-2, 2, 5)
    assert isinstance(gpu.silu(x), np.ndarray) and device.is_device_array(gpu.silu(gpu.to_device(x)))
    out = gpu.to_device(np.zeros(5))
    assert gpu.silu(gpu.to_device(x), out=out) is out and np.array_equal(out.get(), gpu.silu(x))


def column_by_column(ta, tb, m, n, k, alpha, a, lda, next_a, b, ldb, next_b, beta, c, ldc, next_c, count):
    """The definition of BLAS's gemm on arrays in the order of memory: c = alpha op(a) op(b) + beta c for each matrix."""
    at = lambda x, row, column, ld, step, j, across: x[j * step + (row * ld + column if across else column * ld + row)]
    for j, row, column in np.ndindex(count, m, n):
        terms = [at(a, row, e, lda, next_a, j, ta) * at(b, e, column, ldb, next_b, j, tb) for e in range(k)]
        c[j * next_c + column * ldc + row] = alpha * sum(terms) + beta * c[j * next_c + column * ldc + row]


@pytest.mark.parametrize("count", [None, 3])
@pytest.mark.parametrize("b_across", [0, 1])
@pytest.mark.parametrize("a_across", [0, 1])
def test_gemm_calls_cublas_for_the_product(a_across, b_across, count):
    rng, stack = np.random.default_rng(1), () if count is None else (count,)
    for m, k, n in [(2, 3, 4), (1, 3, 2), (3, 1, 2), (3, 2, 1), (1, 1, 1)]:
        draw = lambda rows, columns, across: rng.standard_normal((*stack, *((columns, rows) if across else (rows, columns))))
        a, b, out = draw(m, k, a_across), draw(k, n, b_across), draw(m, n, 0)
        seen_a, seen_b = a.swapaxes(-1, -2) if a_across else a, b.swapaxes(-1, -2) if b_across else b
        expected = seen_a @ seen_b + out
        (one, *of_a), (other, *of_b), (_, _, *of_out) = map(blas_layout, (seen_a, seen_b, out))
        assert one is seen_a and other is seen_b
        in_memory = lambda x: (x if x.base is None else x.base).ravel()
        column_by_column(*gemm(one, other, out, of_a, of_b, of_out, 1.0, 1.0, in_memory))
        assert np.abs(out - expected).max() <= 1e-15 * 4 * np.abs(expected).max() + 1e-15  # at most four terms, in either order


# graphs


@pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")  # the network is untrained
@needs_device
@pytest.mark.parametrize("method, sampler", [("sde", "ddim"), ("sde", "ode-heun"), ("indi", "indi")])
def test_evaluations_of_captured_networks_are_counted(method, sampler, tmp_path):
    run = run_of(tmp_path, method)
    how = parse_sampler_options(run, SimpleNamespace(sampler=sampler, seed=3, steps=4))
    assert draw(run, gpu, 2, **how)[1] == draw(run, ops, 2, **how)[1] >= 4


def results_and_runs(function, *calls):
    """(results of the calls on the host, how often Python ran the function)."""
    ran = []

    def counted(*args):
        ran.append(None)
        return function(*args)

    captured = replayed(counted)
    return [gpu.to_host(captured(*args)) for args in calls], len(ran)


@needs_device
def test_a_graph_is_replayed_with_new_inputs():
    xs = [gpu.to_device(np.arange(5.0) + k) for k in range(5)]
    results, ran = results_and_runs(lambda x, none: gpu.silu(x) * 2, *[(x, None) for x in xs])
    assert all(np.array_equal(result, gpu.to_host(gpu.silu(x) * 2)) for result, x in zip(results, xs))
    assert SIMULATED or ran == 2


@needs_device
def test_the_states_of_captured_calls():
    x = gpu.to_device(np.ones(3))
    for function, end in ((gpu.silu, State.CAPTURED), (lambda x: x * float(x.sum()), State.EAGER)):
        calls = CapturedCalls(function, (x,))
        states = [calls.state, *[(calls(x), calls.state)[1] for _ in range(3)]]
        assert states == [State.NEW, State.CALLED, end, end]


@needs_device
def test_outputs_are_copies_except_in_dictionaries():
    captured = replayed(lambda x: (x + 1, {"twice": x * 2}))
    one, two, three = (captured(gpu.to_device(np.full(3, k))) for k in (1.0, 2.0, 3.0))
    assert [float(result[0].sum()) for result in (one, two, three)] == [6, 9, 12]
    assert two[1]["twice"] is three[1]["twice"] and float(three[1]["twice"].sum()) == 18


@needs_device
def test_each_shape_and_each_object_has_its_own_graph():
    add = replayed(lambda held, x: held["w"] + x)
    held, other = ({"w": gpu.to_device(np.full(1, k))} for k in (1.0, 10.0))
    for weights, n, expected in [(held, 2, 1.0), (held, 3, 1.0), (other, 3, 10.0)] * 3:
        assert np.array_equal(gpu.to_host(add(weights, gpu.to_device(np.zeros(n)))), np.full(n, expected))
    held["w"][...] = 5.0
    assert np.array_equal(gpu.to_host(add(held, gpu.to_device(np.zeros(2)))), np.full(2, 5.0))


@needs_device
def test_a_function_that_copies_from_or_to_the_host_is_not_captured():
    x, numbers = gpu.to_device(np.zeros(3)), iter(range(100))
    takes = lambda x: x + gpu.to_device(np.full(3, float(next(numbers))))
    results, _ = results_and_runs(takes, *[(x,)] * 4)
    assert np.all(np.diff([result[0] for result in results]) > 0)
    tells, ran = results_and_runs(lambda x: x * float(x.sum()), *[(x + k,) for k in range(4)])
    assert [result[0] for result in tells] == [0, 3, 12, 27] and ran >= 4
    on_host, _ = results_and_runs(np.square, *[(np.full(2, k),) for k in range(4)])
    assert [result[0] for result in on_host] == [0, 1, 4, 9]


# In the simulator images take a minute each.  The progressive student stands for all students: its loss evaluates a teacher.
SLOW_THERE = ({name for name in TRAINING_RUNS if "images" in name} | {*STUDENTS, "consistency training"}) - {"progressive student"}


@needs_device
@pytest.mark.parametrize("name", [name for name in TRAINING_RUNS if not SIMULATED or name not in SLOW_THERE])
def test_training_with_and_without_graphs_has_the_same_bits(name, monkeypatch):
    def train():
        *_, state = states(name, gpu)
        return dict(state.params)

    recorded = train()
    monkeypatch.setattr(models, "replayed", lambda function: function)
    assert all(np.array_equal(recorded[key], array) for key, array in train().items())


@needs_device
def test_a_prepared_model_uses_the_parameters_of_each_call():
    model = Denoiser(MLP(width=4, depth=1, embedding=4), schedules.linear(10))
    prepared, t = gpu.prepare(model), np.array([1, 10])
    x = np.ones((2, 2), np.float32)
    there, times = gpu.to_device(x), gpu.to_device(t)
    weights = [random_parameters(model.network, seed) for seed in (1, 2)]
    on_device = [to_device({name: p.astype(np.float32) for name, p in params.items()}, gpu) for params in weights]
    for _ in range(3):
        for params in on_device:
            output, expected = (m.predictor(params, ops=gpu)(there, 5) for m in (prepared, model))
            assert np.array_equal(gpu.to_host(output), gpu.to_host(expected))
            loss, _, gradients = prepared.loss(params, there, times, there, ops=gpu)
            expected, _, of_each = with_schedule_on_device(model, gpu.to_device).loss(params, there, times, there, ops=gpu)
            assert float(loss) == float(expected)
            assert all(np.array_equal(gpu.to_host(g), gpu.to_host(of_each[name])) for name, g in gradients.items())
    on_device[0]["layers.0.w"][...] = 0.5
    output, expected = (m.predictor(on_device[0], ops=gpu)(there, 5) for m in (prepared, model))
    assert np.array_equal(gpu.to_host(output), gpu.to_host(expected))
