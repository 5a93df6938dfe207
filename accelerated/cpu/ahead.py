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

LAWS = ("fokker_planck", "mixture")  # files of which a network has no use


def compile_all(dtype=np.float32, threads=None, laws=True):
    """Compile what this machine lacks for a dtype and a number of threads, the port's own unless given; without ``laws`` for networks."""
    dtype, parallel, begin = np.dtype(dtype), (threads or kernel.threads()) > 1, time.perf_counter()
    wanted = [(one, kind) for one in KERNELS if laws or one.file not in LAWS for kind in dtypes(one, dtype)]
    lacking = lambda: [(one, kind) for one, kind in wanted if not one.mark(kind, parallel).exists()]
    files = {one.file for one, _ in lacking()}
    if not files:
        return
    shares = shared(files, min(numba.config.NUMBA_NUM_THREADS, len(files)))
    print(f"compiling the kernels, once on this machine, {len(shares)} at a time ..", file=sys.stderr, flush=True)
    words = [sys.executable, "-c", f"from {__name__} import main; main()", "parallel" if parallel else "serial", dtype.name]
    alone = os.environ | {"NUMBA_NUM_THREADS": "1"}
    processes = [subprocess.Popen([*words, *share], env=alone, stderr=subprocess.DEVNULL) for share in shares]
    try:
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
    for one, kind in lacking():  # a process has failed: here it succeeds, or says why not
        one.compile(*one.key(kind, parallel))
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
