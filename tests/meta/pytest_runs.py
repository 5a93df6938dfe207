"""pytest in a fork of one process that has the slow imports behind it."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path


@functools.cache
def forks(simulated):
    """The process that runs tests, started when first needed; it ends with this one.  ``simulated``: with Numba's CUDA simulator."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | ({"NUMBA_ENABLE_CUDASIM": "1"} if simulated else {})
    command = [sys.executable, str(Path(__file__).with_name("forked.py"))]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def is_simulated(test):
    """Is a test one of the GPU port?"""
    return "accelerated.gpu" in test or "test_gpu.py" in test


def run(folder, output, *arguments):
    """(exit code, output) of pytest in ``folder``, whose packages are what the tests import; ``output`` is a file for what it prints."""
    arguments = ["-n", "0", "-p", "no:cacheprovider", "-x", "-q", "--tb=native", *arguments]
    process = forks(any(map(is_simulated, arguments)))
    process.stdin.write(json.dumps([str(folder), str(output), arguments]) + "\n")
    return int(process.stdout.readline()), Path(output).read_text()
