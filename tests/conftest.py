"""Runs before NumPy is imported: one BLAS thread a worker, Hypothesis profiles, and the ports under test."""

import importlib.util
import os
import shutil

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, Phase, settings  # noqa: E402

# no deadline and no limit for drawing, which would depend on the load of the machine
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", untimed, max_examples=20, derandomize=True)
settings.register_profile("mutants", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate))
settings.register_profile("thorough", untimed, max_examples=500)
settings.register_profile("few", untimed, max_examples=3, derandomize=True)
settings.load_profile("few" if os.environ.get("NUMBA_ENABLE_CUDASIM") else "ci")


def pytest_addoption(parser):
    parser.addoption("--port", action="append", metavar="MODULE_OR_FILE.py", help="test this port of the ops instead of the shipped ones")


def pytest_configure(config):
    from tests.ports import port_of

    for source in config.getoption("port") or ():
        port_of(source)  # an invalid port is refused before any test runs


def pytest_runtest_setup(item):
    if item.get_closest_marker("fashion_mnist") and not os.environ.get("DIFFUSION_DATA_DIR"):
        pytest.skip("needs Fashion-MNIST in the folder that DIFFUSION_DATA_DIR names")
    if item.get_closest_marker("processes") and not (importlib.util.find_spec("mpi4py") and shutil.which("mpiexec")):
        pytest.skip("needs mpi4py and mpiexec: pip install -e '.[mpi]'")
