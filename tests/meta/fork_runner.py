"""Runs pytest in forks of one process that has finished the slow imports, so that a mutant costs little more than its test.

Each input line is JSON: [folder, output file, arguments].  Each output line is pytest's exit code, negative for a signal.
"""

import gc
import json
import os
import signal
import sys

import hypothesis.extra.numpy  # noqa: F401
import numba.cuda  # noqa: F401
import numpy  # noqa: F401
import pytest
import scipy.ndimage
import scipy.optimize
import scipy.stats  # noqa: F401

LIMIT = 120  # seconds; a mutant may cause an endless loop


def run(folder, output, arguments):
    signal.alarm(LIMIT)
    os.chdir(folder)
    sys.path[0] = os.environ["PYTHONPATH"] = folder  # replaces this file's folder; also for processes that a test starts
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    code = pytest.main(["-W", "ignore::pytest.PytestAssertRewriteWarning", *arguments])  # Hypothesis is already imported
    sys.stdout.flush()
    os._exit(int(code))


if __name__ == "__main__":
    gc.freeze()  # excludes imported objects from pytest's two garbage collections, which saves a third of a second
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
