"""Whole training runs at a tiny size: all implementations end with the same loss, and one above the target exits with 1."""

from benchmarks import train_to_loss
from benchmarks.__main__ import main
from benchmarks.workloads import TRAIN_TO_LOSS


def test_ports_end_with_the_same_loss(capsys):
    assert main(["train-to-loss", "--size", "tiny", "--impl", "reference.ops", "accelerated.cpu"]) == 0
    losses = [float(line.rpartition("loss ")[2]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(losses) == 2 and abs(losses[0] - losses[1]) < 1e-3


def test_a_run_above_the_target_loss_exits_1(monkeypatch, capsys):
    monkeypatch.setitem(train_to_loss.TARGET_LOSS, "tiny", 0.0)
    assert main(["train-to-loss", "--size", "tiny", "--impl", "reference.ops"]) == 1
    assert "above the target" in capsys.readouterr().out


def test_a_port_that_fails_exits_2_with_its_name(capsys):
    assert main(["train-to-loss", "--size", "tiny", "--impl", "no_such_file.py"]) == 2
    assert "no_such_file.py" in capsys.readouterr().err


def test_a_port_that_lacks_ops_is_not_run(tmp_path, capsys):
    (tmp_path / "port.py").write_text("from reference.ops import linear\n")
    assert main(["train-to-loss", "--size", "tiny", "--impl", str(tmp_path / "port.py")]) == 0
    assert "not run: it lacks " in capsys.readouterr().out


def test_training_begins_with_the_usual_initial_weights():
    workload = TRAIN_TO_LOSS["tiny"]
    assert not any(p.any() for name, p in workload.parameters().items() if name.startswith("conv_out"))
