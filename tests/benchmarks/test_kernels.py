"""``benchmarks kernels``: it finds faults that only machine code shows."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from numba import cuda

from accelerated.gpu.kernel import KERNELS, Kernel, device_function
from accelerated.signatures import DTYPES
from benchmarks import kernels
from benchmarks.kernels import CompiledKernel, float64_instructions, main, table

NEEDS = pytest.mark.skipif(kernels.unavailable_reason() is not None, reason=kernels.unavailable_reason() or "")
FINE = CompiledKernel("conv_gather", "float32", "sm_90", 32, 1024, 0, 256, ())


def test_occupancy_is_bounded_by_registers_shared_memory_and_threads():
    assert FINE.occupancy == 1
    assert CompiledKernel("k", "float32", "sm_90", 64, 0, 0, 256, ()).occupancy == 0.5  # 64 of 32: half the threads
    assert CompiledKernel("k", "float32", "sm_90", 33, 0, 0, 256, ()).occupancy == 0.75  # a warp gets 1280 registers
    assert CompiledKernel("k", "float32", "sm_80", 32, 81 * 1024, 0, 256, ()).occupancy == 0.25  # two blocks share 164 KB
    assert CompiledKernel("k", "float32", "sm_90", 16, 0, 0, 32, ()).occupancy == 0.5  # 32 blocks of a warp


def test_spills_and_mistaken_float64_are_listed_as_faults():
    spilled, mixed = (
        CompiledKernel("k", "float32", "sm_80", 255, 0, 24, 256, ()),
        CompiledKernel("m", "float32", "sm_80", 20, 0, 0, 256, ("mul.f64",)),
    )
    lines = table([FINE, spilled, mixed])
    assert "k float32 sm_80: it spills 24 bytes per thread" in lines
    assert "m float32 sm_80: it uses float64: mul.f64" in lines
    assert "1 spill, 1 use float64 by mistake" in lines[-1] and not FINE.faults


def test_registers_named_f64_are_not_instructions():
    ptx = "\tmov.f32 \t%f64, 0f3F800000;\n\t@%p1 mul.rn.f64 \t%fd1, %fd2, %fd3;\n\tcvt.f64.f32 \t%fd1, %f1;\n"
    assert float64_instructions(ptx) == {"mul.rn.f64", "cvt.f64.f32"}


def doubled(x, y):
    i = cuda.grid(1)
    y[i] = x[i] * 2.0


@NEEDS
def test_a_float64_constant_in_a_float32_kernel_is_found():
    kernel = Kernel(doubled, ["r*", "w*"], 0, ())
    try:
        found = kernels.compile_kernel(kernel, np.dtype(np.float32), "sm_90", (9, 0), 256).float64
    finally:
        KERNELS.remove(kernel)
    assert any(fault.endswith(": float64") for fault in found)


@device_function
def twice(x):
    return x * 2.0


def doubled_elsewhere(x, y):
    i = cuda.grid(1)
    y[i] = twice(x[i])


@NEEDS
def test_a_float64_constant_in_a_function_called_by_kernels_is_found(monkeypatch):
    here = SimpleNamespace(compute_capability=(9, 0))
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: here)
    cuda.compile_ptx(doubled_elsewhere, (DTYPES[np.dtype(np.float32)][:],) * 2, cc=(9, 0))
    (row,) = kernels.float64_calls(twice, "sm_90")
    assert row.kernel.startswith("twice") and "float64" in row.faults[0]


SIZES = {"u64": 8, "f64": 8, "f32": 4, "u8": 1}  # of PTX's types


@NEEDS
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_launch_passes_each_parameter_with_the_size_that_ptx_declares(dtype):
    def nothing(x, sample, number, double, whole, flag, y):
        return

    kernel = Kernel(nothing, "r* rI1 s d i b w*".split(), 0, ())
    KERNELS.remove(kernel)
    taken = re.findall(r"\.param \.(\w+)", kernel.ptx(dtype, (9, 0))[0])
    given = kernel.parameters(dtype, (np.zeros(3, dtype), np.zeros(3, np.int64), 1, 1, 1, 1, np.zeros(3, dtype)))
    assert [SIZES[kind] for kind in taken] == [8 if isinstance(one, np.ndarray) else np.asarray(one).itemsize for one in given]


@NEEDS
def test_every_kernel_compiles_without_a_fault(capsys):
    assert main(["--arch", "sm_90"]) == 0
    assert "0 spill, 0 use float64 by mistake" in capsys.readouterr().out


@pytest.mark.skipif(kernels.unavailable_reason() is None, reason="all is installed")
def test_a_missing_compiler_is_reported_in_one_line(capsys):
    assert main([]) == 2
    assert "pip install 'numba-cuda[cu13]'" in capsys.readouterr().err
