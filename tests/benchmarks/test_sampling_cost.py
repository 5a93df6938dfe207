"""The study sampling-cost: its counts, and the hours of a report; no test asserts a measured time."""

import json
from itertools import count
from math import prod

import pytest

from benchmarks import sampling_cost
from benchmarks.__main__ import main
from benchmarks.counts import counts
from benchmarks.sampling_cost import DDPM_32, DDPM_256
from benchmarks.workloads.networks import Forward
from reference import ops
from tests.command_runs import run


def test_the_study_counts_evaluations_and_writes_every_value(tmp_path, monkeypatch, capsys):
    """With a small run in place of the package's model.  EDM's Heun steps evaluate twice, but the last one once."""
    assert (
        run("train", "ddpm", "--classes", "--prediction", "v", "--channels", 8, 8, "--batch", 2, "--steps", 1, "--out", tmp_path / "run")
        == 0
    )
    monkeypatch.setattr(sampling_cost, "MODEL", str(tmp_path / "run"))
    command = ["studies", "sampling-cost", "--size", "tiny", "--port", "reference.ops", "--json", str(tmp_path / "cost.json")]
    capsys.readouterr()
    assert main(command) == 0
    report = json.loads((tmp_path / "cost.json").read_text())
    assert {name: entry["evaluations"] for name, entry in report["samplers"].items()} == {
        "edm": 3,
        "student of 4": 4,
        "student of 2": 2,
        "student of 1": 1,
    }
    for entries, seconds in (("samplers", "seconds an image"), ("networks", "seconds an evaluation")):
        assert all(len(entry[seconds]) == 2 and min(entry[seconds]) > 0 for entry in report[entries].values())
    assert capsys.readouterr().out == "\n".join(sampling_cost.lines(report)) + "\n"
    ticks = count(0, 10)
    monkeypatch.setitem(sampling_cost.CLOCKS, "processor", lambda: next(ticks))
    assert main([*command[:-1], str(tmp_path / "processor.json"), "--clock", "processor"]) == 0
    report = json.loads((tmp_path / "processor.json").read_text())
    assert report["clock"] == "processor" and report["samplers"]["edm"]["seconds an image"] == [10 / report["batch"]] * 2
    assert main(command) == 2 and "exists already" in capsys.readouterr().err


def test_hours_are_seconds_of_an_image_times_images_and_the_ratio_of_work():
    """0.072 seconds an image are an hour for 50,000 images.  The large network has 4 times the work, and takes .36 s an evaluation."""
    network = lambda size, work, *seconds: {"size": [size, size], "parameters": 1, "operations": work, "seconds an evaluation": seconds}
    networks = {
        "own": network(32, 10**9, 0.01),
        "own, large": network(256, 4 * 10**9, 0.1, 0.36, 0.4),
        "DDPM's": network(32, 10**9, 0.072),
        "DDPM's, large": network(256, 7 * 10**9, 0.72),
    }
    samplers = {"ddim": {"evaluations": 50, "seconds an image": [0.072, 0.05, 0.2]}}
    lines = sampling_cost.lines({"clock": "wall", "batch": 8, "networks": networks, "samplers": samplers})
    row = {line[:13].strip(): line.split() for line in lines}
    assert row["ddim"] == ["ddim", "50", "1.44", "72", "[61,", "136]", "1", "4", "250"]
    assert row["DDPM's, large"][-2:] == ["720]", "1e+04"] and "has the ratio 7.0;" in lines[-1]


@pytest.mark.parametrize("network, parameters", [(DDPM_32, 35_746_307), (DDPM_256, 113_673_219)], ids=["32", "256"])
def test_the_published_networks_have_their_parameters_and_attention_at_16x16(network, parameters):
    """google/ddpm-cifar10-32 and google/ddpm-celebahq-256; Ho et al. (2020), appendix B: 35.7 and 114 million."""
    assert sum(prod(shape) for shape in network.shapes().values()) == parameters
    assert [network.size[0] // 2**level for level in network.attention_levels] == [16]


def test_the_operations_are_those_of_the_workload_with_one_image():
    network = sampling_cost.networks("tiny", DDPM_32)["DDPM's, large"]
    assert sampling_cost.operations(network, ops) == sum(counts(Forward(network, 1)).operations.values())


def test_a_file_is_only_for_the_study_that_has_values(tmp_path, capsys):
    assert main(["studies", "fused-ops", "--json", str(tmp_path / "cost.json")]) == 2
    assert "--json is for sampling-cost" in capsys.readouterr().err and not [*tmp_path.iterdir()]
