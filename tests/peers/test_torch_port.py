"""A port in PyTorch passes the tests of every op that it has, and of all networks: it shares no code with the reference."""

from pathlib import Path

import pytest

from tests.meta import run_pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")


def test_a_port_in_pytorch_passes(tmp_path):
    root = Path(__file__).parents[2]
    code, output = run_pytest.run(root, tmp_path / "pytest.out", "tests/conformance", "--port", "tests/peers/torch_port.py")
    assert code == pytest.ExitCode.OK and "failed" not in output, output
