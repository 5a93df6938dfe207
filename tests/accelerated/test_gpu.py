"""The GPU port beyond the contract: what it says without a device, and in the simulator launches, blocks and where arrays lie."""

import ast
import importlib
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerated import gpu
from accelerated.__main__ import PROGRAM
from accelerated.gpu import device, kernel
from reference import cases, schedules
from reference.__main__ import main
from reference.budgets import accept
from reference.calls import outputs
from reference.cases import Numbers
from reference.contract import OPS
from reference.denoiser import Denoiser
from reference.networks import MLP
from reference.placement import place
from reference.samplers.ancestral import ancestral
from tests.ports import SIMULATED
from tests.reference.test_placement import states
from tests.strategies import arguments

SOURCES = sorted(Path(gpu.__file__).parent.glob("*.py"))
simulated = pytest.mark.skipif(not SIMULATED, reason="for the simulator, which counts: NUMBA_ENABLE_CUDASIM=1")
works = pytest.mark.skipif(gpu.missing() is not None, reason="for a device, or the simulator: NUMBA_ENABLE_CUDASIM=1")
without = pytest.mark.skipif(gpu.missing() is None, reason="the port works here")


def test_every_op_of_the_contract_is_there_by_name():
    assert all(callable(getattr(gpu, name, None)) for name in OPS)


@without
def test_without_a_device_an_op_says_in_a_sentence_what_is_missing():
    with pytest.raises(ValueError, match=r"accelerated\.gpu can't work here: .*(CuPy|numba-cuda|driver|device)"):
        gpu.silu(np.ones(3))


@without
def test_without_a_device_the_command_line_refuses_in_one_line(capsys, tmp_path):
    assert main(["demo", "--port", "gpu", "--out", str(tmp_path / "demo")], PROGRAM) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "accelerated.gpu can't work here" in said and not (tmp_path / "demo").exists()


def test_importing_the_port_needs_neither_cupy_nor_a_driver():
    code = "import sys; sys.modules['cupy'] = None; import accelerated.gpu as gpu; print(gpu.missing() or 'works')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_no_kernel_narrows_an_index():
    """Numba adds and multiplies whole numbers in 64 bits, unless somebody asks for fewer."""
    for path in SOURCES:
        narrow = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert not {"int32", "int16", "intc"} & set(narrow), path.name


def test_a_block_has_a_power_of_two_threads():
    with pytest.raises(ValueError, match="a power of two"):
        gpu.set_block(96)


@contextmanager
def block_of(threads):
    before = kernel.block()
    gpu.set_block(threads)
    try:
        yield
    finally:
        gpu.set_block(before)


def check_with_backward(name, args):
    """The op and its backward at a random gradient, within their budgets."""
    for called, of in ((name, args), (f"{name}_backward", cases.with_gradient(name, NUMBERS, args))):
        accept(called, outputs(called, getattr(gpu, called), of), of)


NUMBERS = Numbers(0, 1.0, 0.0, np.float32)


@works
@pytest.mark.parametrize("threads", [1, 4, 16])
@pytest.mark.parametrize("name, sizes", [("silu", (37,)), ("softmax", (3, 11)), ("linear", (9, 3, 5))])
def test_rows_longer_and_shorter_than_a_block_are_right(name, sizes, threads):
    with block_of(threads):
        check_with_backward(name, getattr(cases, name)(NUMBERS, *sizes))


# sizes that take another way than small ones do, with the size from which on made small


def file_of(name):
    """The module, where the package has an op of its name."""
    return importlib.import_module(f"accelerated.gpu.{name}")


@works
@pytest.mark.parametrize("add", [None, "per channel", "per pixel"])
@pytest.mark.parametrize("i, o", [(2, 3), (35, 2)])  # more channels than a warp has threads
def test_a_convolution_whose_patches_are_made_in_parts(i, o, add, monkeypatch):
    monkeypatch.setattr(file_of("conv"), "PATCHES", 1)  # a sample at a time
    check_with_backward("conv2d", cases.conv2d(NUMBERS, 3, 2, 2, i, o, 3, 1, add))


@works
def test_attention_whose_scores_are_made_in_parts(monkeypatch):
    monkeypatch.setattr(file_of("attention"), "SCORES", 1)  # a head of a sample at a time
    check_with_backward("attention", cases.attention(NUMBERS, 2, 3, 5, 2, 2))


@works
def test_sums_of_rows_in_parts(monkeypatch):
    monkeypatch.setattr(file_of("linear"), "PART", 2)
    check_with_backward("linear", cases.linear(NUMBERS, 11, 2, 3))
    check_with_backward("group_norm", cases.group_norm(NUMBERS, 9, (1,), 2, 2, 1e-5))


@works
@pytest.mark.parametrize("periodic", [False, True])
def test_a_line_of_cells_on_which_many_blocks_work(periodic):
    with block_of(2):  # from 32 cells on
        args = cases.fokker_planck_step(NUMBERS, 131, 0.1, 0.1, periodic)
        accept("fokker_planck_step", outputs("fokker_planck_step", gpu.fokker_planck_step, args), args)


@works
@pytest.mark.parametrize("name", ["mixture_log_density", "mixture_score"])
def test_a_mixture_in_space(name):
    args = cases.mixture_log_density(NUMBERS, 5, 9, 3, False)
    accept(name, outputs(name, getattr(gpu, name), args), args)


@works
def test_targets_on_the_device_that_are_not_contiguous_are_written():
    average, p = np.arange(12.0).reshape(3, 4), np.ones((4, 3))
    there = gpu.to_device(average)
    gpu.ema_step_(there.T, gpu.to_device(p), 0.75)
    assert np.array_equal(there.get(), 0.75 * average + 0.25)


@works
def test_labels_of_the_device_that_are_out_of_range_read_nothing_else():
    table, labels = np.arange(6.0).reshape(3, 2), np.array([1, 7, -1])
    rows = gpu.embedding(gpu.to_device(labels), gpu.to_device(table)).get()
    assert np.array_equal(rows[0], table[1]) and np.isnan(rows[1:]).all()
    with pytest.raises(ValueError, match="labels"):
        gpu.embedding(labels, table)


@works
@pytest.mark.parametrize("threads", [1, 4, 32])
@pytest.mark.parametrize("name", OPS)
@settings(max_examples=2)
@given(data=st.data())
def test_every_op_is_within_budget_for_any_block(name, threads, data):
    args = data.draw(arguments(name, np.float32))
    with block_of(threads):
        accept(name, outputs(name, getattr(gpu, name), args), args)


@works
def test_the_norm_of_many_entries_is_within_budget():
    """Each thread adds up many of them: NumPy adds pairs, and rounds less."""
    args = ([np.random.default_rng(1).standard_normal(50_000).astype(np.float32)],)
    accept("global_norm", outputs("global_norm", gpu.global_norm, args), args)


@simulated
@pytest.mark.parametrize("name", ["ddpm of points", "sliced score matching", "vae"])
def test_a_training_step_leaves_the_host_alone(name):
    running = states(name, gpu)
    next(running)
    before, launched = device.xp.copies, kernel.launches
    state = next(running)
    assert device.xp.copies == before and kernel.launches > launched and device.is_device(state.loss)


@simulated
def test_a_sampling_step_leaves_the_host_alone():
    network, schedule = MLP(width=4, depth=1, embedding=4), schedules.linear(10)
    params = place(network.init(0), gpu)
    x, sample = gpu.to_device(np.ones((2, 2), np.float32)), gpu.to_device(np.arange(2))
    steps = ancestral(Denoiser(network, schedule).noise_of(params, ops=gpu), schedule, schedule.grid(3), x, 1, sample, ops=gpu)
    next(steps)
    before = device.xp.copies
    _, x, _ = next(steps)
    assert device.xp.copies == before and device.is_device(x)


@works
def test_the_command_line_trains_resumes_and_samples_on_the_port(tmp_path):
    words = ["--data", "mixture2d", "--width", "8", "--depth", "1", "--batch", "4", "--port", "gpu", "--out", str(tmp_path / "run")]
    assert main(["train", "sde", *words, "--steps", "2"], PROGRAM) == 0
    assert main(["train", "sde", *words, "--steps", "3", "--resume"], PROGRAM) == 0
    out = tmp_path / "samples.npz"
    assert main(["sample", str(tmp_path / "run"), "--steps", "2", "--n", "3", "--port", "gpu", "--out", str(out)], PROGRAM) == 0
    with np.load(out) as archive:
        assert archive["x"].shape == (3, 2) and np.isfinite(archive["x"]).all()


@works
def test_arrays_of_the_device_stay_there_and_those_of_the_host_come_back():
    x = np.linspace(-2, 2, 5)
    assert isinstance(gpu.silu(x), np.ndarray) and device.is_device(gpu.silu(gpu.to_device(x)))
    out = gpu.to_device(np.zeros(5))
    assert gpu.silu(gpu.to_device(x), out=out) is out and np.array_equal(out.get(), gpu.silu(x))
