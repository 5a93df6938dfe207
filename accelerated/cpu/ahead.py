"""Every kernel compiled ahead of its first call, in a process for each processor: they share the files' kernels among them."""

import importlib
import os
import subprocess
import sys
import time

import numba
import numpy as np

from accelerated.cpu import kernel
from accelerated.cpu.kernel import HERE, KERNELS


def compile_all(dtype=np.float32, threads=None):
    """Compile what this machine lacks for a dtype and a number of threads, the port's own unless given.  RuntimeError if that fails."""
    dtype, parallel, begin = np.dtype(dtype), (threads or kernel.threads()) > 1, time.perf_counter()
    lacking = {one.file for one in KERNELS if not all(one.mark(kind, parallel).exists() for kind in dtypes(one, dtype))}
    if not lacking:
        return
    shares = shared(lacking, min(numba.config.NUMBA_NUM_THREADS, len(lacking)))
    print(f"compiling the kernels, once on this machine, {len(shares)} at a time ..", file=sys.stderr, flush=True)
    words = [sys.executable, "-c", f"from {__name__} import main; main()", "parallel" if parallel else "serial", dtype.name]
    alone = os.environ | {"NUMBA_NUM_THREADS": "1"}
    processes = [subprocess.Popen([*words, *share], env=alone, stderr=subprocess.PIPE, text=True) for share in shares]
    try:
        said = [process.communicate()[1].splitlines() for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, lines in zip(processes, said):
        if process.returncode:
            raise RuntimeError(f"kernels could not be compiled: {lines[-1] if lines else f'code {process.returncode}'}")
    print(f".. which took {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)


def dtypes(one, dtype):
    """In which a kernel is wanted: examples and times are drawn in float64, too, and densities on a grid are in nothing else."""
    double = np.dtype(np.float64)
    return {"random": {dtype, double}, "fokker_planck": {double}}.get(one.file, {dtype})


def shared(files, count):
    """So many lists of names of files, which take about as long as each other: their sizes stand for that, the largest comes first."""
    shares: list = [(0, ()) for _ in range(count)]
    for size, name in sorted(((HERE / f"{name}.py").stat().st_size, name) for name in files)[::-1]:
        shares.sort()
        shares[0] = shares[0][0] + size, (*shares[0][1], name)
    return [names for _, names in shares]


def main():
    """One of the processes: kind, dtype and files are the words of its command line."""
    kind, dtype, *files = sys.argv[1:]
    kernel.quiet()
    for name in files:
        importlib.import_module(f"accelerated.cpu.{name}")
    for one in KERNELS:
        for wanted in dtypes(one, np.dtype(dtype)) if one.file in files else ():
            one.compile(*one.key(wanted, kind == "parallel"))
