"""The GPU port beyond the contract: what it says without a device, and in the simulator launches, blocks and where arrays lie."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerated import gpu
from accelerated.__main__ import PROGRAM
from accelerated.gpu import device, kernel
from reference import ops
from reference.__main__ import main
from reference.budgets import accept
from reference.calls import outputs
from reference.contract import OPS
from reference.denoiser import Denoiser
from reference.networks import MLP
from reference.placement import place
from reference.samplers.ancestral import ancestral
from reference.schedules import linear
from tests.ports import SIMULATED
from tests.reference.test_placement import states
from tests.strategies import arguments

SOURCES = sorted(Path(gpu.__file__).parent.glob("*.py"))
simulated = pytest.mark.skipif(not SIMULATED, reason="for the simulator: NUMBA_ENABLE_CUDASIM=1")
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


@simulated
@pytest.mark.parametrize("threads", [1, 4, 16])
@pytest.mark.parametrize("name", ["silu", "softmax", "softmax_backward", "linear_backward"])
def test_results_are_right_for_any_block(name, threads):
    rng = np.random.default_rng(0)
    arrays = {"silu": [(37,)], "softmax": [(3, 11)], "softmax_backward": 2 * [(3, 11)], "linear_backward": [(9, 3), (9, 5), (5, 3)]}[name]
    args = [rng.standard_normal(shape) for shape in arrays]
    before = kernel.block()
    gpu.set_block(threads)
    try:
        got = getattr(gpu, name)(*args)
    finally:
        gpu.set_block(before)
    exact = getattr(ops, name)(*args)
    for one, other in zip(*(results if isinstance(results, tuple) else (results,) for results in (got, exact)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


@simulated
@pytest.mark.parametrize("threads", [1, 4, 32])
@pytest.mark.parametrize("name", OPS)
@settings(max_examples=2)
@given(data=st.data())
def test_every_op_is_within_budget_for_any_block(name, threads, data):
    args = data.draw(arguments(name, np.float32))
    before = kernel.block()
    gpu.set_block(threads)
    try:
        accept(name, outputs(name, getattr(gpu, name), args), args)
    finally:
        gpu.set_block(before)


@simulated
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
    network, schedule = MLP(width=4, depth=1, embedding=4), linear(10)
    params = place(network.init(0), gpu)
    x, sample = gpu.to_device(np.ones((2, 2), np.float32)), gpu.to_device(np.arange(2))
    steps = ancestral(Denoiser(network, schedule).noise_of(params, ops=gpu), schedule, schedule.grid(3), x, 1, sample, ops=gpu)
    next(steps)
    before = device.xp.copies
    _, x, _ = next(steps)
    assert device.xp.copies == before and device.is_device(x)


@simulated
def test_the_command_line_trains_resumes_and_samples_on_the_port(tmp_path):
    words = ["--data", "mixture2d", "--width", "8", "--depth", "1", "--batch", "4", "--port", "gpu", "--out", str(tmp_path / "run")]
    assert main(["train", "sde", *words, "--steps", "2"], PROGRAM) == 0
    assert main(["train", "sde", *words, "--steps", "3", "--resume"], PROGRAM) == 0
    out = tmp_path / "samples.npz"
    assert main(["sample", str(tmp_path / "run"), "--steps", "2", "--n", "3", "--port", "gpu", "--out", str(out)], PROGRAM) == 0
    with np.load(out) as archive:
        assert archive["x"].shape == (3, 2) and np.isfinite(archive["x"]).all()


@simulated
def test_arrays_of_the_device_stay_there_and_those_of_the_host_come_back():
    x = np.linspace(-2, 2, 5)
    assert isinstance(gpu.silu(x), np.ndarray) and device.is_device(gpu.silu(gpu.to_device(x)))
    out = gpu.to_device(np.zeros(5))
    assert gpu.silu(gpu.to_device(x), out=out) is out and np.array_equal(gpu.to_host(out), gpu.silu(x))
