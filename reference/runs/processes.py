"""Processes that work on one run together: mpiexec starts them, and MPI (mpi4py) connects them.

Each process executes the same command.  Rank 0 alone prints and writes files; the others read what
it has written, so they need the same folder.  Without mpiexec there is one process, and mpi4py is
not imported.
"""

import contextlib
import functools
import importlib.util
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import reference
from reference.runs.launch import launched

SECONDS_TO_AGREE = 3.0  # in which all processes that meet the same error have met it
INSTALL = "pip install 'diffusion-from-scratch[mpi]', or from a checkout '.[mpi]'"


@functools.cache
def processes():
    """The ``Processes`` that this one belongs to.  The first call waits for all of them.

    ValueError where mpiexec started several processes that can't be connected.
    """
    if launched() is None:
        return Processes()
    rank, count = launched()
    errors = _silence() if rank else sys.stderr
    if importlib.util.find_spec("mpi4py") is None:
        raise ValueError(f"mpiexec needs the package mpi4py: {INSTALL}")
    from mpi4py import MPI

    team = Processes(MPI.COMM_WORLD, MPI.COMM_WORLD.Dup(), errors)
    if team.count != count:
        found = f"the MPI library of mpi4py finds {team.count}"
        raise ValueError(
            f"mpiexec started {count} processes, and {found}: use the mpiexec of that library"
        )
    sys.excepthook = team.fail
    return team


def _silence():
    """Discard the output of this process from now on.  Returns its standard error."""
    errors = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    return errors


def _processors():
    """The processors on which this process may run, where the system tells; else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _probe(folder):
    """A new empty file in the folder, or in the nearest parent that exists."""
    parent = next(path for path in (folder, *folder.parents) if path.is_dir())
    probe = parent / f".of-process-{os.getpid()}.tmp"
    try:
        probe.write_bytes(b"")
    except OSError as error:
        raise ValueError(f"{parent} can't be written: {error.strerror}") from None
    return probe


@dataclass(frozen=True)
class Processes:
    """Process ``rank`` of ``count``.  Every method but ``complain`` and ``fail`` must be called by
    all of them, in the same order.

    ``comm``: the MPI communicator, None for a process alone; ``agreement``: another one, for
    errors; ``errors``: where this process prints its errors.
    """

    comm: Any = None
    agreement: Any = None
    errors: Any = None

    @property
    def rank(self):
        return self.comm.rank if self.comm else 0

    @property
    def count(self):
        return self.comm.size if self.comm else 1

    @functools.cached_property
    def local(self):
        """(rank, count) among the processes of this machine."""
        if self.count == 1:
            return 0, 1
        from mpi4py import MPI

        here = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        found = here.rank, here.size
        here.Free()
        return found

    def processors(self):
        """How many processors each process of this machine can have, at least 1: launchers bind
        processes to processors of their own, or let all of them run on the same ones.
        """
        own = platform.node(), _processors()
        found = self.comm.allgather(own) if self.count > 1 else [own]
        here = [processors for node, processors in found if node == own[0]]
        return max(1, len(set().union(*here)) // len(here))

    def sum(self, array):
        """The sum of the arrays of all processes, by recursive doubling: neighbours add first, then
        pairs of neighbours, and so on, each time the lower rank's operand first.  All processes get
        the same bits.  The count must be a power of two.
        """
        distance = 1
        while distance < self.count:
            other = self.rank ^ distance
            received = np.empty_like(array)
            self.comm.Sendrecv(array, other, recvbuf=received, source=other)
            array = array + received if self.rank < other else received + array
            distance *= 2
        return array

    def any(self, flag):
        """Is the flag of any process true?"""
        return any(self.comm.allgather(bool(flag))) if self.count > 1 else flag

    def gather(self, value):
        """On rank 0 the values of all processes, in the order of their ranks; elsewhere None."""
        return self.comm.gather(value) if self.count > 1 else [value]

    def first(self, function: Callable):
        """On rank 0 the result of ``function()``; elsewhere None, once rank 0 has it.  Where it
        raises, all processes raise its exception.
        """
        result, error = None, None
        if self.rank == 0:
            try:
                result = function()
            except Exception as raised:
                error = raised
        if self.count > 1:
            error = self.comm.bcast(error)
        if error:
            raise error
        return result

    def shared(self, function: Callable):
        """As ``first``, but all processes have the result."""
        result = self.first(function)
        return self.comm.bcast(result) if self.count > 1 else result

    def check_equal(self, what, value):
        """ValueError unless all processes have the same value."""
        values = self.comm.allgather(value) if self.count > 1 else [value]
        for rank, other in enumerate(values):
            if other != values[0]:
                raise ValueError(
                    f"{what} must be the same in all processes: {values[0]} in rank 0, {other} in"
                    f" rank {rank}"
                )

    def check_shared(self, folder):
        """ValueError unless all processes have the same ``folder``, or if there is none the same
        nearest parent of it: every process looks for a file that rank 0 writes there.
        """
        if self.count == 1:
            return
        self.comm.Barrier()  # if another process has met an error, no file is written
        probe = self.shared(lambda: _probe(Path(folder)))
        found = self.comm.allgather((platform.node(), probe.exists()))
        self.first(probe.unlink)
        for host, exists in found:
            if not exists:
                raise ValueError(
                    f"{folder} is not shared: {host} does not find a file that rank 0 has written"
                    f" to {probe.parent} on {found[0][0]}"
                )

    def complain(self, line, code):
        """Print an error's line, once for all processes that meet it.  Returns the exit code.

        If not all processes meet it, it ends them all.
        """
        if self.count == 1:
            print(line, file=sys.stderr)
            return code
        if not self._all_agree():
            self._end(line, code)
        if self.rank == 0:
            print(line, file=self.errors, flush=True)
        return code

    def _all_agree(self):
        """Do all processes call this within ``SECONDS_TO_AGREE``?"""
        request, end = self.agreement.Ibarrier(), time.monotonic() + SECONDS_TO_AGREE
        while not (met := request.Test()) and time.monotonic() < end:
            time.sleep(0.01)
        return met

    def _end(self, line, code):
        print(f"rank {self.rank}: {line}", file=self.errors, flush=True)
        sys.stdout.flush()
        _silence()  # MPI's own words
        self.comm.Abort(code)
        os._exit(code)  # Abort may return before the launcher ends this process

    def fail(self, kind, error, trace):
        """As ``sys.excepthook``: print an exception, once for all processes that have it, and end
        all processes.
        """
        if self._all_agree() and self.rank:
            return  # rank 0 prints it and ends this process
        self._end("".join(traceback.format_exception(kind, error, trace)), 1)


PROCESS = Processes()  # one that was started alone


def versions():
    """The versions that must be the same in all processes, also of packages not yet imported."""
    found = {"python": platform.python_version(), "project": reference.__version__}
    devices = "numba-cuda", "cupy-cuda12x", "cupy-cuda13x"
    for name in ("numpy", "scipy", "numba", "mpi4py", *devices):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
