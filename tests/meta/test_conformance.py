"""The harness: ports with planted faults are caught by the name of the op; a port may lack ops, but not all of them."""

from pathlib import Path

import pytest

from tests.meta import pytest_runs
from tests.meta.faults import FAULTS

ROOT = Path(__file__).parents[2]


def conformance(tmp_path, port, *arguments):
    """(exit code, output) of the conformance tests on a port file outside of the repository."""
    path = tmp_path / "port.py"
    path.write_text(port)
    return pytest_runs.run(ROOT, tmp_path / "pytest.out", "tests/conformance", "--port", str(path), *arguments)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_the_name_of_its_op(fault, tmp_path):
    op, _ = FAULTS[fault]
    port = f"from reference.ops import *\nfrom tests.meta.faults import FAULTS\nglobals().update([FAULTS[{fault!r}]])\n"
    code, output = conformance(tmp_path, port, "-k", f"test_ops or {op}")
    summary = [line for line in output.splitlines() if line.startswith("FAILED")]
    assert code == pytest.ExitCode.TESTS_FAILED and len(summary) == 1 and op in summary[0], output


def test_a_network_on_a_faulty_op_fails_by_the_name_of_the_op(tmp_path):
    port = "from reference.ops import *\nfrom tests.meta.faults import FAULTS\nglobals().update([FAULTS['wrong eps']])\n"
    code, output = conformance(tmp_path, port, "-k", "network and plain and float32")
    assert code == pytest.ExitCode.TESTS_FAILED and "AssertionError: group_norm: " in output, output


def test_ops_that_a_port_lacks_are_missing_and_no_failure(tmp_path):
    code, output = conformance(
        tmp_path, "from reference.ops import silu\n", "-rs", "-k", "(test_ops and silu) or (test_networks and points)"
    )
    assert code == pytest.ExitCode.OK and "missing in" in output and "passed" in output and "skipped" in output, output


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--port", "tests.meta.faults"), "port tests.meta.faults is none: it has no op of the contract"),
        (("--port", "no_such_module"), "No module named 'no_such_module'"),
        (("--port", "no_such_file.py"), "there is no such file"),
    ],
)
def test_what_is_no_port_is_an_error_in_one_line(arguments, said, tmp_path):
    code, output = pytest_runs.run(ROOT, tmp_path / "pytest.out", "tests/conformance", *arguments)
    assert code == pytest.ExitCode.USAGE_ERROR and [line for line in output.splitlines() if said in line], output


def test_a_port_in_plain_scipy_passes(tmp_path):
    code, output = pytest_runs.run(ROOT, tmp_path / "pytest.out", "tests/conformance", "--port", "tests/conformance/scipy_port.py")
    assert code == pytest.ExitCode.OK and "failed" not in output, output
