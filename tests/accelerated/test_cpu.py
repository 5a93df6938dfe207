"""The CPU port beside its results: how kernels compile and are kept, threads, memory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import accelerated.cpu
from accelerated.__main__ import PROGRAM
from accelerated.cpu import ahead, kernel, memory
from accelerated.cpu.activation import _silu
from reference.__main__ import main
from reference.conformance.contract import OPS
from reference.data.metrics import mode_shares
from reference.diffusion.mixtures import ring
from tests.example_networks import numbers

ROOT = Path(__file__).parents[2]


def python(program, **environment):
    """What a new process says on standard output and error."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_every_op_of_the_contract_is_there_by_name():
    names: dict = {}
    exec("from accelerated.cpu import *", names)
    assert not {*OPS} - {*names}


# compilation


def test_a_kernel_is_compiled_once_a_dtype_whatever_the_layout_of_the_arguments():
    for dtype in (np.float32, np.float64):
        x = numbers(0, 6, 4).astype(dtype)
        read_only = x.copy()
        read_only.setflags(write=False)
        for array in (x, x.T, x[::2], x[::-1], read_only, x[0, 0]):
            accelerated.cpu.silu(np.asarray(array))
    assert sorted(dtype.name for dtype, _ in _silu.compiled) == ["float32", "float64"]
    assert all(len(compiled.signatures) == 1 for compiled in _silu.compiled.values())


SILU = "import numpy as np, accelerated.cpu; print(accelerated.cpu.silu(np.ones(3))[0])"


def test_a_new_installation_says_once_that_it_compiles_and_later_processes_say_nothing(tmp_path):
    first, second = (python(SILU, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first[1].count("compiling the kernels") == 1 and second[1] == "" and first[0] == second[0]


AHEAD = """
import accelerated.cpu, numpy as np
from accelerated.cpu import ahead
ahead.KERNELS[:] = [kernel for kernel in ahead.KERNELS if kernel.file in ("activation", "embedding")]
ahead.compile_all()
accelerated.cpu.silu(np.ones(3, np.float32)), accelerated.cpu.timestep_embedding(np.ones(3, np.float32), 4)
"""


def test_what_is_compiled_ahead_is_compiled_once_and_then_nothing_is(tmp_path):
    first, second = (python(AHEAD, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2") for _ in range(2))
    assert first[1].startswith("compiling the kernels, once on this machine, 2 at a time ..\n.. which took ") and first[1].count("\n") == 2
    assert second[1] == ""


def test_what_a_process_fails_to_compile_ahead_is_compiled_here(tmp_path):
    broken = AHEAD.replace("ahead.compile_all()", f"import sys; sys.executable = {str(tmp_path / 'fails')!r}; ahead.compile_all()")
    (tmp_path / "fails").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "fails").chmod(0o755)
    first, second = (python(program, NUMBA_CACHE_DIR=str(tmp_path / "kept"), NUMBA_NUM_THREADS="2") for program in (broken, AHEAD))
    assert "compiling the kernels that are needed" in first[1] and ".. which took" in first[1] and second[1] == ""


def test_networks_have_no_use_for_the_kernels_of_laws(monkeypatch):
    monkeypatch.setattr(kernel.Kernel, "mark", lambda self, dtype, parallel: Path("absent"))
    asked = []
    monkeypatch.setattr(ahead, "shared", lambda files, count: asked.append(files) or [])
    monkeypatch.setattr(kernel.Kernel, "compile", lambda *_: None)
    ahead.compile_all(laws=False)
    assert asked == [{one.file for one in kernel.KERNELS} - {*ahead.LAWS}]
    ahead.compile_all()
    assert asked[1] == {one.file for one in kernel.KERNELS}


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_files_are_shared_among_processes_each_once_and_evenly(count):
    files = sorted({one.file for one in kernel.KERNELS})
    shares = ahead.shared(files, min(count, len(files)))
    assert sorted(name for share in shares for name in share) == files and all(shares)
    sizes = [sum((kernel.HERE / f"{name}.py").stat().st_size for name in share) for share in shares]
    assert max(sizes) - min(sizes) <= max((kernel.HERE / f"{name}.py").stat().st_size for name in files)


def test_compile_is_a_word_of_ports_that_can(capsys, monkeypatch):
    monkeypatch.setattr(accelerated.cpu, "compile_all", lambda: print("compiles"))
    assert main(["compile", "--port", "cpu"], PROGRAM) == 0 and "compiles\nevery kernel" in capsys.readouterr().out
    assert main(["compile", "--port", "reference.ops"], PROGRAM) == 2
    assert capsys.readouterr().err.endswith("reference.ops has nothing that could be compiled ahead\n")


def test_machine_code_of_other_sources_is_not_used(tmp_path, monkeypatch):
    before = kernel.folder.__wrapped__()
    (tmp_path / "one.py").write_text("changed")
    monkeypatch.setattr(kernel, "HERE", tmp_path)
    assert kernel.folder.__wrapped__().name != before.name


def test_folders_of_machine_code_that_nobody_used_lately_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    old = [tmp_path / f"kernels-{n}" for n in range(2 * kernel.KEPT)]
    for age, path in enumerate(old):
        path.mkdir()
        os.utime(path, (age, age))
    used = kernel.folder.__wrapped__()
    assert {*tmp_path.iterdir()} == {used, *old[-kernel.KEPT + 1 :]}


def test_a_folder_that_can_not_be_written_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    program = "from accelerated.cpu import kernel\ntry:\n    kernel.folder()\nexcept OSError as error:\n    print(error)"
    said, _ = python(program, NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert re.fullmatch("no folder can be written in which compiled kernels could be kept: .*file is none\n", said)


# threads

BITS = """
import hashlib, numpy as np
from accelerated import cpu
from reference import ops
from reference.conformance.call import backward_arguments, call_op
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
    for n, args in enumerate(drawn):
        dy = draw(*call_op(name, getattr(ops, name), args)[name == "mse"].shape)
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


def test_threads_are_those_that_were_asked_for():
    program = "from accelerated import cpu; cpu.set_threads(2); print(cpu.threads(), cpu.environment()['threads'])"
    assert python(program, NUMBA_NUM_THREADS="3")[0] == "2 2\n"
    with pytest.raises(ValueError, match=r"threads must lie in 1 \.\. \d+, got 0"):
        accelerated.cpu.set_threads(0)


def test_a_process_that_is_spawned_after_a_parallel_kernel_works_and_no_package_forks():
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


def test_blas_is_told_to_sleep_before_it_is_loaded():
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


def test_the_command_line_takes_threads_for_a_shipped_port_alone(capsys):
    assert main(["info", "--threads", "1"], PROGRAM) == 0
    assert re.search(r"^threads +1$", capsys.readouterr().out, re.MULTILINE)
    assert main(["info", "--threads", "1000"], PROGRAM) == 2 and "threads must lie in 1 .. " in capsys.readouterr().err
    assert main(["info", "--threads", "1", "--port", "reference.ops"], PROGRAM) == 2
    assert "--threads is an option of the shipped ports" in capsys.readouterr().err


# memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_ops_return_and_what_kernels_work_in_begins_at_a_cache_line(dtype):
    address = njit(lambda array: array.ctypes.data)
    for entries in (2000, 2001, 5000, 7777):
        x = numbers(0, entries).astype(dtype)
        results = accelerated.cpu.silu(x), accelerated.cpu.silu_backward(x, x), accelerated.cpu.linear(x[:, None], x[None, :40])
        places = [array.ctypes.data for array in results if array.nbytes >= memory.SMALL]
        places += [address(memory.scratch(entries, x.dtype)) for _ in range(3)]
        assert len(places) > 5 and all(place % memory.LINE == 0 for place in places)
        assert len(memory.scratch(entries, x.dtype)) == entries


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


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident memory of a process is read from /proc")
def test_memory_does_not_grow_over_ten_thousand_steps():
    """What one call may leave behind is at least a line of cache: 10,000 of them would be 640 kB for each op alone.

    In a process of its own: in one that has freed memory already, what is left behind would hide there.
    """
    assert int(python(GROWTH)[0]) < 640_000


# training


def test_the_defaults_for_points_part_the_modes_of_mixture2d_in_a_third_of_their_steps(tmp_path):
    """Each mode has more of the samples than one of a ring without modes would, .054, by four standard errors."""
    n = 4000
    command = "train ddpm --data mixture2d --steps 7000 --save-every 7000 --out".split()
    assert main([*command, str(tmp_path / "run")], PROGRAM) == 0
    out = ["--n", str(n), "--out", str(tmp_path / "s.npz")]
    assert main(["sample", str(tmp_path / "run"), "--sampler", "ddpm", "--steps", "250", *out], PROGRAM) == 0
    with np.load(tmp_path / "s.npz") as archive:
        shares = mode_shares(archive["x"], ring())
    assert shares.min() > 0.054 + 4 * (0.054 / n) ** 0.5
