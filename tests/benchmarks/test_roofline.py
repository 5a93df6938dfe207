"""The roofline: counts by hand, the device's rates, and the launches of the GPU port."""

import json

import numpy as np
import pytest

from benchmarks.counts import bytes_moved, counts
from benchmarks.roofline import DEVICES, Device, main
from benchmarks.workloads import WORKLOADS

DEVICE = Device("a device", 100.0, 10.0, 5.0)


def test_least_seconds_follow_from_operations_and_from_bytes():
    assert DEVICE.seconds(20, 50, np.float32) == (2.0, 0.5)
    assert DEVICE.seconds(20, 50, np.float64) == (4.0, 0.5)
    assert all(device.float64 < device.float32 for device in DEVICES.values())


def test_bytes_count_each_given_array_read_and_written_once():
    x, w, b = np.ones((4, 3), np.float32), np.ones((3, 2), np.float32), np.ones(2, np.float32)
    assert bytes_moved("linear", (x, w, b), x @ w) == 4 * (12 + 6 + 2 + 8)
    assert bytes_moved("linear", (x, w, None), x @ w) == 4 * (12 + 6 + 8)
    assert bytes_moved("ema_step_", (x, x, 0.5), None) == 4 * 3 * 12  # the average is read and written
    assert bytes_moved("global_norm", ([x, w],), np.float32(1)) == 4 * (12 + 6 + 1)


def test_counts_of_a_step_are_the_sums_over_its_layers():
    calls, operations, bytes_moved, _ = counts(WORKLOADS["tiny"]["mlp-step"])
    assert (calls["linear"], calls["linear_backward"], calls["adam_step_"]) == (3, 3, 1)
    assert operations["linear"] == 2 * 32 * (10 * 16 + 16 * 16 + 16 * 2)  # inputs 2 + 8, two hidden layers of 16
    assert bytes_moved["silu"] == 2 * 2 * 4 * 32 * 16


def test_the_table_is_printed_for_a_device(capsys):
    assert main(["--device", "h100", "--size", "tiny", "--filter", "mlp-forward"]) == 0
    printed = capsys.readouterr().out
    assert "NVIDIA H100 SXM: 3350 GB/s" in printed and "linear" in printed and "launches of the GPU port" in printed


def test_an_unknown_workload_is_refused_in_one_line(capsys):
    assert main(["--filter", "nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name, expected", [("mlp-forward", 1 + 1 + 3 * 2 + 2), ("matmul", 2)])
def test_launches_count_kernels_and_matrix_products(name, expected, capsys):
    """An embedding, a concatenation, three layers with a bias each, two SiLUs; a product and its bias."""
    assert main(["--launches", "--size", "tiny", "--filter", name]) == 0
    assert json.loads(capsys.readouterr().out) == {name: expected}
