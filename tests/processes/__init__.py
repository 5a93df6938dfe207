"""Jobs of mpiexec (pytest -m processes)."""
