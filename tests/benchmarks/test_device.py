"""``--port gpu`` in the simulator: every op is validated before it is timed, and a wrong one is not timed."""

import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.roofline import DEVICES
from tests.ports import SIMULATED

pytestmark = pytest.mark.skipif(not SIMULATED, reason="for the simulator: NUMBA_ENABLE_CUDASIM=1")


def test_all_of_port_gpu_runs_at_tiny_sizes(tmp_path, capsys):
    out = tmp_path / "out.json"
    assert main(["--port", "gpu", "--quick", "--filter", "mlp-forward", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert {"conv2d_backward", "attention", "adam_step_", "mixture_score", "fokker_planck_step"} <= report["ops"].keys()
    assert all(entry["valid"] and entry["median"] > 0 and entry["roofline"] > 0 for entry in report["ops"].values())
    assert all(report["workloads"][name]["implementations"]["accelerated.gpu"]["valid"] for name in ("matmul", "mlp-forward"))
    assert "conv2d_backward" in capsys.readouterr().out and "reference.ops" not in report["skipped"]


def test_an_op_that_disagrees_is_not_timed(monkeypatch):
    from accelerated import gpu
    from benchmarks.device import time_op

    right = gpu.silu
    monkeypatch.setattr(gpu, "silu", lambda x: right(x) * 2)
    entry = time_op("silu", (np.ones((2, 3), np.float32),), DEVICES["h100"])
    assert not entry["valid"] and "silu" in entry["not_timed"] and "median" not in entry
