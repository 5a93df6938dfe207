"""Compile all kernels before their first call, in one process for each processor.  The files are divided among the processes."""

import importlib
import os
import subprocess
import sys
import time

import numba
import numpy as np

from accelerated.cpu import kernel
from accelerated.cpu.kernel import KERNELS, SOURCES

NOT_FOR_NETWORKS = ("fokker_planck", "mixture")  # files whose kernels no network calls


def compile_all(dtype=np.float32, threads=None, networks_only=False):
    """Compile the kernels that this machine's cache lacks for a dtype and a number of threads (the port's own by default).

    With ``networks_only``, the kernels that networks use.
    """
    dtype = np.dtype(dtype)
    parallel = (threads or kernel.threads()) > 1
    begin = time.perf_counter()
    wanted = [
        (one, of_dtype) for one in KERNELS if not networks_only or one.file not in NOT_FOR_NETWORKS for of_dtype in dtypes(one, dtype)
    ]
    missing = lambda: [(one, of_dtype) for one, of_dtype in wanted if not one.stamp_file(of_dtype, parallel).exists()]
    files = {one.file for one, _ in missing()}
    if not files:
        return
    shares = balanced(files, min(numba.config.NUMBA_NUM_THREADS, len(files)))
    print(f"compiling the kernels, once on this machine, {len(shares)} at a time ..", file=sys.stderr, flush=True)
    command = [sys.executable, "-c", f"from {__name__} import main; main()", "parallel" if parallel else "serial", dtype.name]
    one_thread = os.environ | {"NUMBA_NUM_THREADS": "1"}
    processes = [subprocess.Popen([*command, *share], env=one_thread, stderr=subprocess.DEVNULL) for share in shares]
    try:
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
    for one, of_dtype in missing():  # a process has failed: compile here, where an error is raised
        one.compile(*one.key(of_dtype, parallel))
    print(f".. which took {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)


def dtypes(one, dtype):
    """The dtypes that a kernel is needed in: random numbers also in float64, for data and times; densities on a grid only in float64."""
    double = np.dtype(np.float64)
    return {"random": {dtype, double}, "fokker_planck": {double}}.get(one.file, {dtype})


def balanced(files, count):
    """The names of files in ``count`` lists that take about equally long to compile: longest file first, to the shortest list.

    The size of a file stands for its compile time.
    """
    shares: list = [(0, ()) for _ in range(count)]
    for size, name in sorted(((SOURCES / f"{name}.py").stat().st_size, name) for name in files)[::-1]:
        shares.sort()
        shares[0] = shares[0][0] + size, (*shares[0][1], name)
    return [names for _, names in shares]


def main():
    """The program of one process.  Its command line: "parallel" or "serial", the dtype, the files."""
    kind, dtype, *files = sys.argv[1:]
    kernel.silence_progress()
    for name in files:
        importlib.import_module(f"accelerated.cpu.{name}")
    for one in KERNELS:
        for of_dtype in dtypes(one, np.dtype(dtype)) if one.file in files else ():
            one.compile(*one.key(of_dtype, kind == "parallel"))
