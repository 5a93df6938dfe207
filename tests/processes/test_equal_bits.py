"""Training and sampling with 1, 2 and 4 processes of mpiexec, and with one without it: the same files and words, byte for byte."""

import functools
import re

import pytest

from tests.command_runs import files
from tests.processes.launches import ROOT, mpiexec

pytestmark = pytest.mark.processes

OPTIONS = "--batch 8 --steps 20 --shards 4 --save-every 7"
POINTS = f"--data mixture1d --width 8 --depth 1 {OPTIONS}"
TRAINED = {
    "vae": f"accelerated train vae {POINTS}",
    "ddpm": f"accelerated train ddpm --classes --label-dropout 0.5 --channels 8 8 --timesteps 30 --prediction v {OPTIONS}",
    "smld": f"accelerated train smld {POINTS} --levels 4",
    "sde": f"accelerated train sde {POINTS}",
    "flow": f"accelerated train flow {POINTS}",
    "indi": f"accelerated train indi {POINTS}",
    "classifier": f"accelerated train classifier --channels 8 8 {OPTIONS}",
    "consistency": f"accelerated train consistency {POINTS}",
    "v": f"reference train ddpm --prediction v {POINTS}",
    "arrays": f"accelerated train sde {POINTS} --port {ROOT}/tests/device_port.py",
    "progressive": "accelerated distill v --steps 2 --teacher-steps 8 --updates 10 --batch 8 --shards 4 --save-every 7",
    "consistency student": "accelerated distill v --method consistency --updates 20 --batch 8 --shards 4",
    "reflow": "accelerated distill flow --method reflow --updates 20 --pairs 700 --teacher-steps 2 --batch 8 --shards 4",
}
DRAWN = {
    "points.npz": "accelerated sample sde --sampler ode-heun --steps 3 --samples 1000",
    "points.npy": "accelerated sample sde --sampler ode-heun --steps 3 --samples 1000",
    "points.png": "accelerated sample sde --sampler ode-heun --steps 3 --samples 1000",
    "points.csv": "reference sample v --steps 3 --samples 1000",
    "restored.npz": "accelerated sample indi --steps 3 --samples 1000",
    "images.npz": "accelerated sample ddpm --label all --guidance 2 --steps 3 --samples 11",
    "images.png": "accelerated sample ddpm --label all --steps 3 --samples 20",
    "images.gif": "accelerated sample ddpm --label 3 --steps 3 --samples 7",
    "arrays.npz": f"accelerated sample arrays --sampler ode-heun --steps 3 --samples 1000 --port {ROOT}/tests/device_port.py",
}
PRINTED = {
    "evaluation": "accelerated evaluate consistency --steps 3 --samples 1000",
    "evaluation of images": "accelerated evaluate ddpm --label all --steps 3 --samples 20",
}
MADE = {name: f"{words} --out {name.replace(' ', '-')}" for name, words in (TRAINED | DRAWN).items()} | PRINTED


def outputs(folder, count):
    """name -> (what its command prints, the files that it writes, path -> bytes)."""
    code, printed, errors = mpiexec(folder, count, *MADE.values())
    assert code == 0 and printed.count("exit code 0\n") == len(MADE), printed + errors
    printed = re.sub(r"^.* \d+ of \d+  .*\d s\n", "", printed, flags=re.MULTILINE)  # how fast the work goes
    found = {str(path.relative_to(folder)): content for path, content in files(folder).items()}
    of = lambda name: {path: content for path, content in found.items() if path.partition("/")[0] == name.replace(" ", "-")}
    return {name: (text, of(name)) for name, text in zip(MADE, printed.split("exit code 0\n"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """count -> ``outputs``, of None without mpiexec."""
    return functools.cache(lambda count: outputs(tmp_path_factory.mktemp("made"), count))


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_processes_makes_the_same_bytes(made, name, count):
    words, found = made(None)[name]
    assert (found or name in PRINTED) and words and made(count)[name] == (words, found)


def test_two_processes_train_on_a_simulated_device_with_the_bits_of_one(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    words = "accelerated train ddpm --port gpu --data mixture1d --width 4 --depth 1 --batch 2 --shards 2 --steps 1 --out run"
    found = []
    for count in (None, 2):
        (tmp_path / str(count)).mkdir()
        code, _, errors = mpiexec(tmp_path / str(count), count, words)
        assert code == 0, errors
        found.append(list(files(tmp_path / str(count) / "run").values()))
    assert found[0] and found[0] == found[1]
