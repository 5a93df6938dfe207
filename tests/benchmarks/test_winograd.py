"""What Winograd's convolution costs in training: the program that measures it."""

import re

import numpy as np
import pytest

from benchmarks import winograd
from reference import ops
from tests.example_networks import numbers


def test_the_direct_port_convolves_directly_and_all_else_is_the_same():
    x, w, b = (numbers(0, *shape).astype(np.float32) for shape in ((2, 5, 5, 16), (3, 3, 16, 16), (16,)))
    exact = ops.conv2d(*(a.astype(np.float64) for a in (x, w, b)))
    error = {name: np.abs(port.conv2d(x, w, b) - exact).max() for name, port in winograd.PORTS.items()}
    assert 0 < error["direct"] < error["winograd"] < 1e-4
    assert winograd.DIRECT.linear is winograd.PORTS["winograd"].linear


def test_losses_of_each_seed_are_printed_with_the_verdict(capsys):
    assert winograd.main(["--seeds", "2", "--steps", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    losses = {
        line.split()[0]: [float(number) for number in re.findall(r"\d\.\d{5}", line)[:2]]
        for line in lines
        if line.split()[0] in winograd.PORTS
    }
    assert np.allclose(losses["winograd"], losses["direct"], atol=1e-3) and abs(np.subtract(*losses["direct"])) > 1e-4
    assert lines[-1].startswith("apart for one seed: at most")


def test_one_seed_has_no_spread(capsys):
    with pytest.raises(SystemExit, match="2"):
        winograd.main(["--seeds", "1"])
    assert "--seeds must be at least 2" in capsys.readouterr().err
