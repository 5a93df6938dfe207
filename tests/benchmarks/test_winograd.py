"""What Winograd's convolution costs in training: the program that measures it."""

import re

import numpy as np
import pytest

from benchmarks import winograd
from reference.conformance.tolerances import mismatches, worst
from tests.example_networks import numbers


def test_the_direct_port_convolves_directly_and_all_else_is_the_same():
    x, w, b = (numbers(0, *shape).astype(np.float32) for shape in ((2, 5, 5, 16), (3, 3, 16, 16), (16,)))
    arguments = x, w, b, 1, None
    error = {name: worst(mismatches("conv2d", (port.conv2d(*arguments),), arguments)).ratio for name, port in winograd.PORTS.items()}
    assert 0 < error["direct"] < error["winograd"] < 1
    assert winograd.DIRECT.linear is winograd.PORTS["winograd"].linear


def test_losses_of_each_seed_are_printed_with_the_verdict(capsys):
    assert winograd.main(["--seeds", "2", "--steps", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    losses = {
        line.split()[0]: [float(number) for number in re.findall(r"\d\.\d{5}", line)[:2]]
        for line in lines
        if line.split()[0] in winograd.PORTS
    }
    apart, seeds_apart = (np.abs(np.subtract(*pair)) for pair in (losses.values(), zip(*losses.values())))
    assert 0 < seeds_apart.min() and apart.max() < seeds_apart.min()
    assert lines[-1].startswith("apart for one seed: at most")


def test_one_seed_has_no_spread(capsys):
    with pytest.raises(SystemExit, match="2"):
        winograd.main(["--seeds", "1"])
    assert "--seeds must be at least 2" in capsys.readouterr().err
