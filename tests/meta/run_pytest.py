"""Run pytest in a fork of one process that has finished the slow imports (fork_runner.py)."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path


@functools.cache
def fork_server(simulated):
    """The process that forks test runs, started on first use; it ends with this one.  ``simulated``: with Numba's CUDA simulator."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | ({"NUMBA_ENABLE_CUDASIM": "1"} if simulated else {})
    command = [sys.executable, str(Path(__file__).with_name("fork_runner.py"))]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def is_simulated(test):
    """True for tests of the GPU port, which run in the simulator."""
    return "accelerated.gpu" in test or "test_gpu.py" in test


def run(folder, output, *arguments, write_bytecode=False):
    """(exit code, output) of pytest in ``folder``; the tests import the packages of ``folder``.  ``output`` is the file for its output.

    Temporary files go beside it: pytest's own folder for them is cleaned by all forks at once, which then trip over one another.
    """
    arguments = [f"--basetemp={output}.tmp", "-n", "0", "-p", "no:cacheprovider", "-x", "-q", "--tb=native", *arguments]
    process = fork_server(any(map(is_simulated, arguments)))
    process.stdin.write(json.dumps([str(folder), str(output), write_bytecode, arguments]) + "\n")
    return int(process.stdout.readline()), Path(output).read_text()
