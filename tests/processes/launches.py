"""Start jobs by mpiexec."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "DIFFUSION_TEST_JOB"  # a variable of all processes of a job
SECONDS_TO_END = 10  # for the processes of a job whose mpiexec has ended
LIMIT = 240  # seconds; no job of these tests takes so long


def start(folder, count, commands, *fault, program=()):
    """A process of mpiexec in ``folder`` with ``count`` processes, or of a single process without mpiexec if that is None.

    ``commands``: as in job.py, each a text; ``program``: the command line instead.
    """
    path = folder / "commands.json"
    path.write_text(json.dumps([command.split() for command in commands]))
    program = [*program] or [sys.executable, "-m", "tests.processes.job", str(path), *map(str, fault)]
    launcher = [] if count is None else ["mpiexec", "-n", str(count)]
    mark = str(uuid.uuid4())
    environment = os.environ | {"PYTHONPATH": str(ROOT), MARK: mark}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    job = subprocess.Popen([*launcher, *program], cwd=folder, env=environment, **pipes)
    job.mark = mark
    return job


def finish(job):
    """(exit code, output, errors) of a job."""
    try:
        output, errors = job.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        for pid in members(job):
            os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"the job does not end: {job.communicate()}") from None
    limit = time.monotonic() + SECONDS_TO_END
    while left := members(job):
        assert time.monotonic() < limit, f"the job has left processes behind: {list(left)}"
        time.sleep(0.1)
    return job.returncode, output, errors


def mpiexec(folder, count, *commands, fault=(), **options):
    return finish(start(folder, count, commands, *fault, **options))


def members(job):
    """Process id -> environment, by name, of the job's processes that live: mpiexec, its helpers and the ranks."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            entries = dict(item.split("=", 1) for item in entry.read_text(errors="replace").split("\0") if "=" in item)
        except OSError:  # it has ended, or belongs to another user
            continue
        if entries.get(MARK) == job.mark:
            found[int(entry.parent.name)] = entries
    return found


def ranks(job):
    """Rank -> process id of the job's Python processes."""
    return {int(entries["PMI_RANK"]): pid for pid, entries in members(job).items() if "PMI_RANK" in entries}


def wait_until(true, job):
    limit = time.monotonic() + LIMIT
    while not true():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)
