"""The conformance tests report planted faults with the name of the op; a port may lack some ops, but not all."""

import re
from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.conformance import large_sizes
from reference.conformance.call import call_op, shapes
from reference.conformance.contract import OPS
from tests.meta import run_pytest
from tests.meta.faulty_ops import FAULTS, FAULTS_AT_LARGE_SIZES

ROOT = Path(__file__).parents[2]


def conformance(tmp_path, port, *arguments):
    """(exit code, output) of the conformance tests on a port file outside of the repository."""
    path = tmp_path / "port.py"
    path.write_text(port)
    return run_pytest.run(ROOT, tmp_path / "pytest.out", "tests/conformance", "--port", str(path), *arguments)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_reported_with_the_name_of_its_op(fault, tmp_path):
    op, _ = FAULTS[fault]
    port = f"from reference.ops import *\nfrom tests.meta.faulty_ops import FAULTS\nglobals().update([FAULTS[{fault!r}]])\n"
    code, output = conformance(tmp_path, port, "-k", f"test_ops or {op}")
    assert code == pytest.ExitCode.TESTS_FAILED and sum(line.startswith("FAILED") for line in output.splitlines()) == 1, output
    lines = lines_on_the_port(output)
    blamed = lines["numbers"].partition("; wrong: ")[2] or lines["calling rules"].partition("; broken: ")[2]
    assert {*re.findall(r"\w+", blamed)} & {*OPS} == {op}, output


def lines_on_the_port(output):
    """The last three lines of a run, by their first words."""
    return dict(line.split(": ", 1) for line in output.splitlines() if re.match("(numbers|calling rules|missing): ", line))


@pytest.mark.parametrize(
    "tests, first", [("test_ops and conv2d", "unequal_sides"), ("results_are and conv2d and not backward and float32", "results_are")]
)
def test_a_stride_2_edge_fault_is_reported_on_an_image_with_an_interior(tests, first, tmp_path):
    port = "from reference.ops import *\nfrom tests.meta.faulty_ops import FAULTS\nglobals().update([FAULTS['stride 2 edge']])\n"
    _, output = conformance(tmp_path, port, "-k", tests)
    found = re.search(r"AssertionError: conv2d: y\[.*?; x float\d+\[\d+,(\d+),(\d+),.*stride 2", output)
    assert found and min(map(int, found.groups())) >= 3, output
    assert re.search(f"^FAILED .*{first}", output, re.MULTILINE), output


@pytest.mark.parametrize("fault", FAULTS_AT_LARGE_SIZES)
def test_a_fault_at_large_sizes_is_reported_with_the_name_of_its_op(fault):
    name, function = FAULTS_AT_LARGE_SIZES[fault]
    port = SimpleNamespace(**{"name": "faulty", name: function})
    with pytest.raises(AssertionError, match=f"^{name}: .* times its tolerance"):
        for number in large_sizes.cases(name):
            large_sizes.results_at_large_sizes_are_within_tolerance(port, name, number, np.float32)


def test_a_fault_that_occurs_only_in_a_network_call_is_caught():
    """The op is right at every size of the table and wrong at one size of the U-Net for 28x28 pixels."""
    y_of = lambda x, *args, **kwargs: ops.conv2d(x, *args, **kwargs) + (x.shape[1:] == (14, 14, 64))
    port = SimpleNamespace(name="faulty", conv2d=y_of)
    for number in large_sizes.cases("conv2d"):
        large_sizes.results_at_large_sizes_are_within_tolerance(port, "conv2d", number, np.float32)
    with pytest.raises(AssertionError, match=r"^conv2d: "):
        large_sizes.op_calls_of_networks_at_default_sizes_are_within_tolerance(port, "conv2d", np.float32)


def test_listed_network_ops_equal_the_ops_that_networks_call():
    assert set(large_sizes.network_calls()) == set(large_sizes.CALLED)


def test_a_fault_beyond_two_to_the_24_entries_is_caught():
    def silu(x):
        y = ops.silu(x)
        y[2**24 :] = 0
        return y

    with pytest.raises(AssertionError, match=r"^silu: y.* times its tolerance"):
        large_sizes.repeated_samples_beyond_2_to_the_24_entries_repeat_the_results(SimpleNamespace(silu=silu), "silu")


@pytest.mark.parametrize("name", OPS)
def test_every_axis_exceeds_16_bits_or_states_a_reason(name):
    forward, longest = name.removesuffix("_backward"), {}
    for number in large_sizes.cases(name):
        args = large_sizes.large_arguments(name, number, np.float32)
        if name == "global_norm":
            found = {"...": max(array.shape for array in args[0])}
        else:
            found = OPS[name].sizes(*shapes(name, args, call_op(name, getattr(ops, name), args)))
        for axis, size in found.items():
            longest[axis] = max(longest.get(axis, 0), prod(size) if isinstance(size, tuple) else size)
    assert longest
    for axis, size in longest.items():
        assert size > large_sizes.SHORTER.get(f"{axis} of {forward}", (65_536,))[0] - 1, f"{axis} has {size} places"


def test_a_network_failure_names_the_faulty_op(tmp_path):
    port = "from reference.ops import *\nfrom tests.meta.faulty_ops import FAULTS\nglobals().update([FAULTS['wrong eps']])\n"
    code, output = conformance(tmp_path, port, "-k", "network and plain and float32")
    assert code == pytest.ExitCode.TESTS_FAILED and "AssertionError: group_norm: " in output, output


def test_tests_of_missing_ops_are_deselected_and_the_ops_listed_in_one_line(tmp_path):
    code, output = conformance(tmp_path, "from reference.ops import silu, linear\n", "-k", "test_ops or test_calls or points")
    lines = lines_on_the_port(output)
    assert code == pytest.ExitCode.OK and "skipped" not in output and " deselected" in output, output
    assert re.match(r"2 of 2 ops and (\d+) of \1 whole computations that were tried agree with the reference$", lines["numbers"]), output
    assert re.match(r"(\d\d) of \1 that were tried are kept$", lines["calling rules"]), output
    counted, names = lines["missing"].split(": ")
    assert counted == f"{len(OPS) - 2} of {len(OPS)} ops" and set(names.split(", ")) == {*OPS} - {"silu", "linear"}


def test_broken_calling_rules_are_reported_with_their_ops(tmp_path):
    port = "from reference import ops\ndef silu(x):\n    return ops.silu(x)\ndef softmax(x):\n    return ops.softmax(x)\n"
    code, output = conformance(tmp_path, port, "--maxfail=9", "-k", "test_results_are or test_out_is_filled")
    lines = lines_on_the_port(output)
    assert code == pytest.ExitCode.TESTS_FAILED and lines["calling rules"].endswith("; broken: out is filled and returned (silu, softmax)")
    assert lines["numbers"].startswith("2 of 2 ops ") and "wrong" not in lines["numbers"], output


def test_warnings_fail_a_test_if_they_come_from_this_project(tmp_path):
    port = "import warnings\nfrom reference import ops\nwarnings.warn('begun')\n"
    port += "def silu(x, out=None):\n    {}\n    return ops.silu(x, out=out)\n"
    run = lambda line: conformance(tmp_path, port.format(line), "-k", "results_are or layout or test_dtype_in")[0]
    assert run("warnings.warn('slow')") == pytest.ExitCode.OK
    assert run("warnings.warn_explicit('slow', UserWarning, 'ops.py', 1, 'reference.ops.activation')") == pytest.ExitCode.TESTS_FAILED


def test_a_device_port_that_lacks_ops_is_tested_without_networks(tmp_path):
    port = "from reference.ops import silu\ndef to_device(array):\n    return array\n"
    code, output = conformance(tmp_path, port, "-k", "test_results_are or test_networks or test_training or test_samplers")
    assert code == pytest.ExitCode.OK and lines_on_the_port(output)["numbers"].startswith("1 of 1 ops that were tried"), output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--port", "tests.meta.faulty_ops"), "tests.meta.faulty_ops is not a port: it exports none of the contract"),
        (("--port", "no_such_module"), "No module named 'no_such_module'"),
        (("--port", "no_such_file.py"), "there is no such file"),
    ],
)
def test_a_file_that_is_not_a_port_is_an_error_in_one_line(arguments, message, tmp_path):
    code, output = run_pytest.run(ROOT, tmp_path / "pytest.out", "tests/conformance", *arguments)
    assert code == pytest.ExitCode.USAGE_ERROR and [line for line in output.splitlines() if message in line], output


def test_a_port_in_plain_scipy_passes(tmp_path):
    code, output = run_pytest.run(ROOT, tmp_path / "pytest.out", "tests/conformance", "--port", "tests/conformance/scipy_port.py")
    assert code == pytest.ExitCode.OK and "failed" not in output, output
