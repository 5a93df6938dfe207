"""How this process was started: alone, or as one of several by mpiexec.  It imports no NumPy."""

import functools
import os

# The variables by which launchers tell a process its rank and the number of processes: MPICH, Intel
# MPI, Microsoft MPI and Slurm's PMI; Open MPI; PMIx of Slurm.
LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),
)

SHARDS = 8  # of a batch, for new training by processes of mpiexec


@functools.cache
def launched():
    """(rank, count) by the variables of a launcher; None for a process that was started alone."""
    for rank, count in LAUNCHERS:
        if rank in os.environ:
            return int(os.environ[rank]), int(os.environ.get(count, 1))
    return None


def use_one_blas_thread():
    """Let NumPy's BLAS, before it is loaded, compute with one thread in a process of mpiexec: as
    many threads as processors would compete, and the bits of its sums depend on their number.
    """
    if launched():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
