"""``python -m benchmarks kernels``: compile every kernel of the GPU port to machine code for several devices; no device is needed.

Each kernel is compiled for every dtype that it is used with: by Numba to PTX, by nvJitLink to machine code.  The linker's log gives
registers, shared memory and spills.  Occupancy is the share of a multiprocessor's threads that fit.  A kernel is at fault if it spills, or
if a float32 kernel computes in float64, in Numba's inferred types or in an instruction: both make it slow without any message.  Only the
random generator's kernels may use float64: they compute logarithms and angles in it on purpose.

    pip install 'numba-cuda[cu13]'      needs no device, driver or toolkit
"""

import importlib
import multiprocessing
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from reference.commands.cli import Parser

# bytes of shared memory of a multiprocessor (NVIDIA's tuning guides); all have 65,536 registers, 2,048 threads and 32 blocks
SHARED_MEMORY = {"sm_80": 164 * 1024, "sm_90": 228 * 1024, "sm_100": 228 * 1024}
REGISTERS, THREADS, BLOCKS, RESERVED_SHARED_MEMORY = 65536, 2048, 32, 1024
FLOAT64_KERNELS = ("normal", "drawn")  # parts of the names of kernels that may compute in float64


@dataclass(frozen=True)
class CompiledKernel:
    kernel: str
    dtype: str
    arch: str
    registers: int
    shared: int  # bytes per block
    spilled: int  # bytes per thread
    threads: int  # per block
    float64: tuple  # variables and instructions in float64 of a float32 kernel

    @property
    def occupancy(self):
        warps = self.threads / 32
        by_registers = REGISTERS // (-(-self.registers * 32 // 256) * 256 * -(-self.threads // 32))  # a warp gets multiples of 256
        by_shared = SHARED_MEMORY[self.arch] // (self.shared + RESERVED_SHARED_MEMORY)
        return min(BLOCKS, THREADS // self.threads, by_registers, by_shared) * warps / (THREADS / 32)

    @property
    def faults(self):
        spills = [f"it spills {self.spilled} bytes per thread"] if self.spilled else []
        return spills + ([f"it uses float64: {', '.join(self.float64)}"] if self.float64 else [])


def main(arguments=None):
    """The exit code: 0, 1 if a kernel has a fault, 2 where kernels can't be compiled."""
    parser = Parser(
        prog="python -m benchmarks kernels",
        allow_abbrev=False,
        description="Registers, shared memory, spills and float64 of the GPU port's kernels, compiled without a GPU.",
    )
    parser.add_argument(
        "--arch", nargs="+", choices=SHARED_MEMORY, default=list(SHARED_MEMORY), help="architectures to compile for (default: all)"
    )
    options = parser.parse_args(arguments)
    if reason := unavailable_reason():
        print(f"{parser.prog}: {reason}", file=sys.stderr)
        return 2
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:  # one device per process
        rows = [row for rows in pool.map(compile_for, options.arch) for row in rows]
    print("\n".join(table(rows)))
    return int(any(row.faults for row in rows))


def unavailable_reason():
    """Why kernels can't be compiled here, in a sentence; None if they can."""
    try:
        importlib.import_module("numba_cuda")
        importlib.import_module("cuda.bindings.nvjitlink")
        pathfinder = importlib.import_module("cuda.pathfinder")
        for library in ("nvrtc", "nvvm", "nvJitLink"):
            pathfinder.load_nvidia_dynamic_lib(library)
        return None
    except (ImportError, RuntimeError) as error:
        return f"kernels can't be compiled here: {str(error).splitlines()[0]}; pip install 'numba-cuda[cu13]'"


def compile_for(arch):
    """A row for every kernel in each of its dtypes, and for every function that computes in float64."""
    from numba.cuda import dispatcher

    from accelerated.gpu import kernel

    capability = int(arch[3:-1]), int(arch[-1])
    # functions that kernels call are compiled for the current device; there is none
    vars(dispatcher)["get_current_device"] = lambda: SimpleNamespace(compute_capability=capability)
    importlib.import_module("accelerated.gpu")
    rows = [compile_kernel(one, dtype, arch, capability, kernel.block_size()) for one in kernel.KERNELS for dtype in one.dtypes]
    return rows + [mixed for function in kernel.DEVICE_FUNCTIONS for mixed in float64_calls(function, arch)]


def float64_calls(function, arch):
    """A row for each float32 signature of a device function that computes in float64; it has this fault only."""
    name, rows = function.py_func.__name__, []
    for arguments, result in () if any(word in name for word in FLOAT64_KERNELS) else function.overloads.items():
        of_float32 = "float32" in str(arguments) and "float64" not in str(arguments)
        if of_float32 and (found := float64_of(result)):
            rows.append(CompiledKernel(f"{name}, called by kernels", "float32", arch, 1, 0, 0, 32, tuple(sorted(found))))
    return rows


def compile_kernel(kernel, dtype, arch, capability, threads):
    from accelerated.gpu.kernel import link

    ptx, _ = kernel.ptx(dtype, capability)
    _, log = link(ptx, arch)
    registers, shared = (int(re.findall(pattern, log)[0]) for pattern in (r"used (\d+) registers", r"(\d+) bytes smem"))
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", log)))
    mixed: set = set()
    if dtype == np.float32 and not any(word in kernel.name for word in FLOAT64_KERNELS):
        mixed = float64_instructions(ptx) | float64_variables(kernel.function, kernel.types(dtype), capability)
    shared += kernel.shared * threads * dtype.itemsize
    return CompiledKernel(kernel.name, dtype.name, arch, registers, shared, spilled, threads, tuple(sorted(mixed)))


def float64_instructions(ptx):
    """Float64 instructions such as ``mul.f64``; registers named f64 are no instructions."""
    return set(re.findall(r"^\s*(?:@!?%\w+\s+)?([a-z][\w.]*\.f64[\w.]*)", ptx, re.MULTILINE))


def float64_variables(function, types, capability):
    """Variables and intermediate results that Numba infers as float64, as ``x: float64``; the instructions may not show them.

    A constant is not counted, but a float64 result computed with it is.
    """
    compiler: Any = importlib.import_module("numba.cuda.compiler")
    void: Any = importlib.import_module("numba.cuda.types").void
    return float64_of(compiler.compile_cuda(function, void, types, cc=capability))


def float64_of(result):
    """The same for a compilation result of Numba."""
    found = result.type_annotation.typemap.items()
    return {f"{name}: float64" for name, kind in found if str(kind) == "float64" and not name.startswith(("arg.", "$const"))}


def table(rows):
    """Lines: one for each kernel and dtype, with columns for each device."""
    arches = list(dict.fromkeys(row.arch for row in rows))
    lines = [f"{'kernel':34} {'dtype':8}" + "".join(f"{arch:>37}" for arch in arches)]
    lines.append(" " * 43 + "".join("   registers  shared spilled occupancy" for _ in arches))
    by_kernel: dict = {}
    for row in rows:
        by_kernel.setdefault((row.kernel, row.dtype), []).append(row)
    for (name, dtype), of_kernel in by_kernel.items():
        cells = [f"{row.registers:>11} {row.shared:>7} {row.spilled:>8} {row.occupancy:>7.0%}" for row in of_kernel]
        lines.append(f"{name:34} {dtype:8}" + "".join(f"{cell:>37}" for cell in cells))
    faults = [f"{row.kernel} {row.dtype} {row.arch}: {fault}" for row in rows for fault in row.faults]
    spills = sum(row.spilled > 0 for row in rows)
    stray = sum(bool(row.float64) for row in rows)
    return [
        *lines,
        "",
        *faults,
        f"{len(rows)} compilations of {len(by_kernel)} kernels and dtypes: {spills} spill, {stray} use float64 by mistake",
    ]
