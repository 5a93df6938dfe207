"""Start jobs by mpiexec."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 240  # seconds; no job of these tests takes so long


def start(folder, count, commands, *fault, program=(), **options):
    """A process of mpiexec in ``folder`` with ``count`` processes, or of a single process without mpiexec if that is None.

    ``commands``: as in job.py, each a text; ``program``: the command line instead.
    """
    path = folder / "commands.json"
    path.write_text(json.dumps([command.split() for command in commands]))
    program = [*program] or [sys.executable, "-m", "tests.processes.job", str(path), *map(str, fault)]
    launcher = [] if count is None else ["mpiexec", "-n", str(count)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*launcher, *program], cwd=folder, env=environment, start_new_session=True, **pipes, **options)


def finish(process):
    """(exit code, output, errors) of a job."""
    try:
        output, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        raise AssertionError(f"the job does not end: {process.communicate()}") from None
    assert not members(process.pid), "the job has left processes behind"
    return process.returncode, output, errors


def mpiexec(folder, count, *commands, fault=(), **options):
    return finish(start(folder, count, commands, *fault, **options))


def members(session):
    """The ids of the processes of a session, but zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            name, _, rest = (entry / "stat").read_text().rpartition(")")
        except (OSError, ValueError):
            continue
        state, _, _, own = rest.split()[:4]
        if int(own) == session and state != "Z":
            found.append(int(entry.name))
    return found


def ranks(session):
    """Rank -> process id of the Python processes of a job."""
    found = {}
    for pid in members(session):
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found |= {int(entry[9:]): pid for entry in entries if entry.startswith(b"PMI_RANK=")}
    return found


def wait_until(true, process):
    limit = time.monotonic() + LIMIT
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)
