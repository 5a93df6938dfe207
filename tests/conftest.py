"""Runs before NumPy is imported: one BLAS thread a worker, Hypothesis profiles, and the ports under test."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from hypothesis import Phase, settings  # noqa: E402

settings.register_profile("ci", max_examples=20, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("mutants", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate))
settings.register_profile("thorough", max_examples=500, deadline=None, print_blob=True)
settings.register_profile("simulator", max_examples=3, derandomize=True, deadline=None, print_blob=True)
settings.load_profile("simulator" if os.environ.get("NUMBA_ENABLE_CUDASIM") else "ci")


def pytest_addoption(parser):
    parser.addoption("--port", action="append", metavar="MODULE_OR_FILE.py", help="test this port of the ops instead of the shipped ones")


def pytest_configure(config):
    from tests.ports import port_of

    for source in config.getoption("port") or ():
        port_of(source)  # what is no port is refused before anything runs
