"""The harness: ports with planted faults are caught by the name of the op; a port may lack ops, but not all of them."""

from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.calls import outputs, shapes
from reference.contract import OPS
from tests.conformance import test_sizes
from tests.meta import pytest_runs
from tests.meta.faults import FAULTS, FAULTS_OF_SIZE

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


@pytest.mark.parametrize("fault", FAULTS_OF_SIZE)
def test_a_planted_fault_of_large_sizes_is_caught_by_the_name_of_its_op(fault):
    name, function = FAULTS_OF_SIZE[fault]
    port = SimpleNamespace(**{"name": "faulty", name: function})
    with pytest.raises(AssertionError, match=f"^{name}: .* times its budget"):
        for number in range(len(test_sizes.SIZES[name.removesuffix("_backward")])):
            test_sizes.test_it_is_within_budget_at_large_sizes(port, name, number, np.float32)


def test_a_fault_that_only_the_call_of_a_network_shows_is_caught():
    """Right at every size of the table, wrong at that of a U-Net of 28x28 pixels."""
    y_of = lambda x, *args, **kwargs: ops.conv2d(x, *args, **kwargs) + (x.shape[1:] == (14, 14, 64))
    port = SimpleNamespace(name="faulty", conv2d=y_of)
    for number in range(len(test_sizes.SIZES["conv2d"])):
        test_sizes.test_it_is_within_budget_at_large_sizes(port, "conv2d", number, np.float32)
    with pytest.raises(AssertionError, match=r"^conv2d: "):
        test_sizes.test_every_call_of_a_network_is_within_budget_at_its_default_sizes(port, "conv2d", np.float32)


def test_a_fault_beyond_two_to_the_24_entries_is_caught():
    def silu(x):
        y = ops.silu(x)
        y[2**24 :] = 0
        return y

    with pytest.raises(AssertionError, match=r"^silu: y is off by"):
        test_sizes.test_samples_repeated_beyond_two_to_the_24_have_the_results_of_each(SimpleNamespace(silu=silu), "silu")


@pytest.mark.parametrize("name", OPS)
def test_every_axis_of_every_op_is_beyond_16_bits_or_has_a_reason(name):
    forward, longest = name.removesuffix("_backward"), {}
    for number in range(len(test_sizes.SIZES[forward])):
        args = test_sizes.arguments(name, number, np.float32)
        if name == "global_norm":
            found = {"...": max(array.shape for array in args[0])}
        else:
            found = OPS[name].sizes(*shapes(name, args, outputs(name, getattr(ops, name), args)))
        for axis, size in found.items():
            longest[axis] = max(longest.get(axis, 0), prod(size) if isinstance(size, tuple) else size)
    assert longest
    for axis, size in longest.items():
        assert size > test_sizes.SHORTER.get(f"{axis} of {forward}", (65_536,))[0] - 1, f"{axis} has {size} places"


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
