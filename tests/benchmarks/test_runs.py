"""Whole training runs at a tiny size: all end with the same network, and one that misses the quality says so."""

from benchmarks import runs
from benchmarks.__main__ import main
from benchmarks.workloads import RUNS


def test_ports_end_with_the_same_loss(capsys):
    assert main(["runs", "--size", "tiny", "--implementations", "reference.ops", "accelerated.cpu"]) == 0
    losses = [float(line.rpartition("loss ")[2]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(losses) == 2 and abs(losses[0] - losses[1]) < 1e-3


def test_a_run_that_is_not_good_enough_exits_1(monkeypatch, capsys):
    monkeypatch.setitem(runs.QUALITY, "tiny", 0.0)
    assert main(["runs", "--size", "tiny", "--implementations", "reference.ops"]) == 1
    assert "not good enough" in capsys.readouterr().out


def test_a_port_that_fails_is_said(capsys):
    assert main(["runs", "--size", "tiny", "--implementations", "no_such_file.py"]) == 2
    assert "no_such_file.py" in capsys.readouterr().err


def test_a_run_is_not_made_with_ops_that_are_not_the_ports(tmp_path, capsys):
    (tmp_path / "port.py").write_text("from reference.ops import linear\n")
    assert main(["runs", "--size", "tiny", "--implementations", str(tmp_path / "port.py")]) == 0
    assert "not run: it lacks " in capsys.readouterr().out


def test_training_begins_as_it_does_elsewhere():
    workload = RUNS["tiny"]
    assert not any(p.any() for name, p in workload.parameters().items() if name.startswith("conv_out"))
