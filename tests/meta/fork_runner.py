"""Runs pytest in forks of one process that has finished the slow imports, so that a mutant costs little more than its test.

Each input line is JSON: [folder, output file, whether to write bytecode, arguments].  Each output line is pytest's exit code, negative for
a signal.
"""

import contextlib
import gc
import io
import json
import os
import signal
import sys

import hypothesis.extra.numpy  # noqa: F401
import matplotlib.backends.backend_agg  # noqa: F401
import numba.cuda  # noqa: F401
import pytest
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.stats  # noqa: F401
import sklearn.datasets  # noqa: F401
import tqdm  # noqa: F401

LIMIT = 120  # seconds; a mutant may cause an endless loop


def run(folder, output, write_bytecode, arguments):
    signal.alarm(LIMIT)
    sys.dont_write_bytecode = not write_bytecode
    os.chdir(folder)
    sys.path[0] = os.environ["PYTHONPATH"] = folder  # replaces this file's folder; also for processes that a test starts
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    code = pytest.main(["-W", "ignore::pytest.PytestAssertRewriteWarning", *arguments])  # Hypothesis is already imported
    sys.stdout.flush()
    os._exit(int(code))


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--version"])  # imports pytest's own plugins
    gc.freeze()  # excludes imported objects from pytest's two garbage collections, which saves a third of a second
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
