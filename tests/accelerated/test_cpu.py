"""The CPU port, apart from its results: how kernels are compiled and cached, threads, memory."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import njit

import accelerated.cpu
from accelerated.__main__ import PROGRAM
from accelerated.cpu import kernel, memory, precompile
from accelerated.cpu.activation import _silu
from reference.commands.cli import main
from reference.conformance.contract import OPS
from reference.data.metrics import mode_shares
from reference.diffusion.mixtures import ring
from tests.example_networks import numbers

ROOT = Path(__file__).parents[2]


def python(program, **environment):
    """The standard output and standard error of a program in a new process."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_port_exports_every_op_of_the_contract():
    names: dict = {}
    exec("from accelerated.cpu import *", names)
    assert not {*OPS} - {*names}


# compilation


def test_a_kernel_is_compiled_once_per_dtype_for_any_layout():
    for dtype in (np.float32, np.float64):
        x = numbers(0, 6, 4).astype(dtype)
        read_only = x.copy()
        read_only.setflags(write=False)
        for array in (x, x.T, x[::2], x[::-1], read_only, x[0, 0]):
            accelerated.cpu.silu(np.asarray(array))
    assert sorted(dtype.name for dtype, _ in _silu.compiled) == ["float32", "float64"]
    assert all(len(compiled.signatures) == 1 for compiled in _silu.compiled.values())


SILU = "import numpy as np, accelerated.cpu; print(accelerated.cpu.silu(np.ones(3))[0])"


def test_the_first_process_reports_compiling_once_and_later_ones_dont(tmp_path):
    first, second = (python(SILU, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first[1].count("compiling kernels at first use") == 1 and second[1] == "" and first[0] == second[0]


PRECOMPILE = """
import accelerated.cpu, numpy as np
from accelerated.cpu import precompile
precompile.KERNELS[:] = [kernel for kernel in precompile.KERNELS if kernel.file in ("activation", "embedding")]
precompile.compile_all()
accelerated.cpu.silu(np.ones(3, np.float32)), accelerated.cpu.timestep_embedding(np.ones(3, np.float32), 4)
"""


def test_precompiled_kernels_are_not_compiled_again(tmp_path):
    first, second = (python(PRECOMPILE, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2") for _ in range(2))
    assert first[1].startswith("compiling the kernels, once on this machine, 2 at a time ..\n.. which took ") and first[1].count("\n") == 2
    assert second[1] == ""


def test_kernels_are_compiled_in_process_when_a_compile_worker_fails(tmp_path):
    broken = PRECOMPILE.replace(
        "precompile.compile_all()", f"import sys; sys.executable = {str(tmp_path / 'fails')!r}; precompile.compile_all()"
    )
    (tmp_path / "fails").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "fails").chmod(0o755)
    first, second = (python(program, NUMBA_CACHE_DIR=str(tmp_path / "kept"), NUMBA_NUM_THREADS="2") for program in (broken, PRECOMPILE))
    assert "compiling kernels at first use" in first[1] and ".. which took" in first[1] and second[1] == ""


def test_compiling_for_networks_skips_the_kernels_of_distributions(monkeypatch):
    monkeypatch.setattr(kernel.Kernel, "stamp_file", lambda self, dtype, parallel: Path("absent"))
    asked = []
    monkeypatch.setattr(precompile, "balanced", lambda files, count: asked.append(files) or [])
    monkeypatch.setattr(kernel.Kernel, "compile", lambda *_: None)
    precompile.compile_all(networks_only=True)
    assert asked == [{one.file for one in kernel.KERNELS} - {*precompile.NOT_FOR_NETWORKS}]
    precompile.compile_all()
    assert asked[1] == {one.file for one in kernel.KERNELS}


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_files_are_divided_evenly_among_processes(count):
    files = sorted({one.file for one in kernel.KERNELS})
    shares = precompile.balanced(files, min(count, len(files)))
    assert sorted(name for share in shares for name in share) == files and all(shares)
    sizes = [sum((kernel.SOURCES / f"{name}.py").stat().st_size for name in share) for share in shares]
    assert max(sizes) - min(sizes) <= max((kernel.SOURCES / f"{name}.py").stat().st_size for name in files)


def test_the_compile_command_refuses_ports_without_compile_all(capsys, monkeypatch):
    monkeypatch.setattr(accelerated.cpu, "compile_all", lambda: print("compiles"))
    assert main(["compile", "--port", "cpu"], PROGRAM) == 0 and "compiles\nevery kernel" in capsys.readouterr().out
    assert main(["compile", "--port", "reference.ops"], PROGRAM) == 2
    assert capsys.readouterr().err.endswith("it has no function compile_all\n")


def test_machine_code_of_other_sources_is_not_used(tmp_path, monkeypatch):
    before = kernel.cache_folder.__wrapped__()
    (tmp_path / "one.py").write_text("changed")
    monkeypatch.setattr(kernel, "SOURCES", tmp_path)
    assert kernel.cache_folder.__wrapped__().name != before.name


def test_the_least_recently_used_caches_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    old = [tmp_path / f"kernels-{n}" for n in range(2 * kernel.MAX_CACHES)]
    for age, path in enumerate(old):
        path.mkdir()
        os.utime(path, (age, age))
    used = kernel.cache_folder.__wrapped__()
    assert {*tmp_path.iterdir()} == {used, *old[-kernel.MAX_CACHES + 1 :]}


def test_a_cache_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    program = "from accelerated.cpu import kernel\ntry:\n    kernel.cache_folder()\nexcept OSError as error:\n    print(error)"
    printed, _ = python(program, NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert re.fullmatch("cannot write compiled kernels to .*file; set NUMBA_CACHE_DIR to a writable folder\n", printed)


# threads

BITS = """
import hashlib, numpy as np
from accelerated import cpu
from reference import ops
from reference.conformance.call import backward_arguments, call_op, differentiable_output
from reference.ops import Key
draw = lambda *shape: np.random.default_rng(0).standard_normal(shape).astype(np.float32)
image, sample = draw(5, 9, 10, 32), np.arange(600)
weights = lambda k, o: (draw(k, k, 32, o), draw(o))
calls = {
    "linear": [(draw(5000, 20), draw(20, 40), draw(40))],
    "conv2d": [(image, *weights(k, o), stride, None) for k, o, stride in ((3, 48, 1), (3, 3, 1), (3, 33, 2), (1, 7, 1))],
    "group_norm_silu": [(image, draw(32), draw(32), 8, 1e-5)],
    "attention": [(draw(6, 30, 16),) * 3 + (2,)],
    "softmax": [(draw(300, 50),)],
    "embedding": [(sample % 7, draw(7, 300))],
    "mse": [(image, 2 * image)],
    "gaussian_kl": [(image, image)],
    "cross_entropy": [(draw(600, 50), sample % 50)],
}
faces = draw(41, 50), draw(40, 51)
alone = {
    "global_norm": ([image, draw(70000)],),
    "add_noise": (draw(600, 20), 0.5, 0.5, Key(1, sample, 2, 3)),
    "mixture_score": (draw(5000, 2), np.float32([0.5, 0.5]), draw(2, 2), np.float32([1, 2])),
    "fokker_planck_step_2d": (abs(draw(40, 50)), *faces, *map(abs, faces), 0.1, 0.1, 0.1),
}
for name, drawn in calls.items():
    alone |= {(name, n): args for n, args in enumerate(drawn)}
    for n, args in enumerate(drawn if hasattr(ops, f"{name}_backward") else ()):
        dy = draw(*differentiable_output(name, call_op(name, getattr(ops, name), args)).shape)
        alone[f"{name}_backward", n] = backward_arguments(name, args, dy)
bits = []
for threads in (1, 2, 3):
    cpu.set_threads(threads)
    for name, args in alone.items():
        name = name[0] if isinstance(name, tuple) else name
        results = call_op(name, getattr(cpu, name), args)
        bits.append((name, hashlib.sha256(b"".join(r.tobytes() for r in results if r is not None)).hexdigest()))
third = len(bits) // 3
print([one[0] for one, *others in zip(bits[:third], bits[third : 2 * third], bits[2 * third :]) if any(one != other for other in others)])
"""


def test_results_are_the_same_bits_for_any_number_of_threads():
    assert python(BITS, NUMBA_NUM_THREADS="3")[0] == "[]\n"


def test_set_threads_sets_the_number_of_threads():
    program = "from accelerated import cpu; cpu.set_threads(2); print(cpu.threads(), cpu.environment()['threads'])"
    assert python(program, NUMBA_NUM_THREADS="3")[0] == "2 2\n"
    with pytest.raises(ValueError, match=r"threads must lie in 1 \.\. \d+, got 0"):
        accelerated.cpu.set_threads(0)


def test_a_process_spawned_after_a_parallel_kernel_works_and_nothing_forks():
    program = """if True:
        import multiprocessing, numpy as np, accelerated.cpu
        x = np.ones(2**20, np.float32)
        accelerated.cpu.silu(x)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print((pool.apply(accelerated.cpu.silu, (x,)) == accelerated.cpu.silu(x)).all())"""
    assert python(program, NUMBA_NUM_THREADS="2")[0] == "True\n"
    for path in (path for package in ("reference", "accelerated", "benchmarks") for path in (ROOT / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert "os.fork" not in text, path
        assert text.count("ProcessPoolExecutor(") == text.count('multiprocessing.get_context("spawn")'), path


def test_the_blas_thread_timeout_is_set_before_numpy_is_imported():
    program = """if True:
        import os, sys
        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name == "numpy":
                    print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
        sys.meta_path.insert(0, Watch())
        import accelerated.__main__"""
    assert python(program)[0].split() == ["20"]
    assert python(program, OPENBLAS_THREAD_TIMEOUT="5")[0].split() == ["5"]


def test_the_threads_option_is_for_shipped_ports_alone(capsys):
    assert main(["info", "--threads", "1"], PROGRAM) == 0
    assert re.search(r"^threads +1$", capsys.readouterr().out, re.MULTILINE)
    assert main(["info", "--threads", "1000"], PROGRAM) == 2 and "threads must lie in 1 .. " in capsys.readouterr().err
    assert main(["info", "--threads", "1", "--port", "reference.ops"], PROGRAM) == 2
    assert "--threads is an option of the built-in ports" in capsys.readouterr().err


# memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_and_scratch_begin_at_a_cache_line(dtype):
    address = njit(lambda array: array.ctypes.data)
    for entries in (2000, 2001, 5000, 7777):
        x = numbers(0, entries).astype(dtype)
        results = accelerated.cpu.silu(x), accelerated.cpu.silu_backward(x, x), accelerated.cpu.linear(x[:, None], x[None, :40])
        addresses = [array.ctypes.data for array in results if array.nbytes >= memory.MIN_ALIGNED_BYTES]
        addresses += [address(memory.aligned_scratch(entries, x.dtype)) for _ in range(3)]
        assert len(addresses) > 5 and all(one % memory.CACHE_LINE == 0 for one in addresses)
        assert len(memory.aligned_scratch(entries, x.dtype)) == entries


GROWTH = """
import os
from pathlib import Path
import numpy as np
from accelerated import cpu
from reference.networks import MLP
from reference.diffusion.training import init_state
from tests.example_networks import numbers

network, x, c = MLP(width=16, depth=2, embedding=4), numbers(0, 8, 2).astype(np.float32), np.full(8, 5, np.float32)
state, image = init_state(network, 0), numbers(1, 1, 5, 5, 16).astype(np.float32)
w = numbers(2, 3, 3, 16, 16).astype(np.float32)

def step(n):
    y, saved = network.forward(state.params, x, c, cpu)
    _, gradients = network.backward(state.params, y, saved, cpu)
    for name, p in state.params.items():
        cpu.adam_step_(p, gradients[name], state.m[name], state.v[name], n + 1, 1e-3)
    for stride in (1, 2) if n % 10 == 0 else ():
        cpu.conv2d_backward(cpu.conv2d(image, w, w[0, 0, 0], stride), image, w, stride)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

for n in range(1000):
    step(n)
before = resident()
for n in range(10_000):
    step(n)
print(resident() - before)
"""


@pytest.mark.parametrize("variable", [None, *sorted(memory.MALLOC_VARIABLES)])
def test_malloc_is_left_alone_if_the_user_has_set_it(variable, monkeypatch):
    settings = []
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *arguments: settings.append(arguments)))
    for name in memory.MALLOC_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "131072")
    memory.retain_freed_memory()
    assert len(settings) == (0 if variable else 2)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident memory of a process is read from /proc")
def test_memory_does_not_grow_over_ten_thousand_steps():
    """A leak is at least one cache line a call, so 10,000 calls of one op would leak 640 kB.

    In a new process: elsewhere a leak would fit into memory that was freed before.
    """
    assert int(python(GROWTH)[0]) < 640_000


# training


def test_the_defaults_for_points_learn_the_modes_of_mixture2d_in_a_third_of_their_steps(tmp_path):
    """The share of samples near each mode exceeds .054, the share for a ring without modes, by four standard errors."""
    n = 4000
    command = "train ddpm --data mixture2d --steps 7000 --save-every 7000 --out".split()
    assert main([*command, str(tmp_path / "run")], PROGRAM) == 0
    out = ["--samples", str(n), "--out", str(tmp_path / "s.npz")]
    assert main(["sample", str(tmp_path / "run"), "--sampler", "ddpm", "--steps", "250", *out], PROGRAM) == 0
    with np.load(tmp_path / "s.npz") as archive:
        shares = mode_shares(archive["x"], ring())
    assert shares.min() > 0.054 + 4 * (0.054 / n) ** 0.5
