"""A run that is killed repeatedly ends with the bits of an uninterrupted run."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np

from reference.diffusion import training
from reference.runs import checkpoint
from reference.runs.run import open_run

OPTIONS = "train ddpm --data mixture1d --width 8 --depth 1 --batch 4 --steps 10000000 --save-every 3 --resume --out".split()


def start(folder, stderr=None):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "reference", *OPTIONS, str(folder)], stdout=subprocess.DEVNULL, stderr=stderr, env=environment
    )


def reached(folder):
    return open_run(folder, need_checkpoint=False).state.step if (folder / "config.json").exists() else 0


def wait_for_step(folder, step, process):
    limit = time.monotonic() + 60
    while reached(folder) < step:
        assert process.poll() is None and time.monotonic() < limit, f"no step {step} within a minute"
        time.sleep(0.02)


def test_a_run_killed_twenty_times_equals_an_uninterrupted_run(tmp_path):
    moments = np.random.default_rng(0).uniform(0, 0.4, 20)
    for number, moment in enumerate(moments):
        process = start(tmp_path)
        if number % 4:  # one run of four is killed during its start, the others while they train and save
            wait_for_step(tmp_path, reached(tmp_path) + 1, process)
        time.sleep(moment)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process = start(tmp_path, subprocess.PIPE)
    wait_for_step(tmp_path, reached(tmp_path) + 1, process)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130 and b"stopping after this step; once more stops at once\n" in message

    run = open_run(tmp_path)
    data, whole = run.data, training.init_state(run.model.network, run.settings.seed)
    losses = [s.loss for s in training.train(run.model, data.train, data.train_labels, run.settings, whole, run.state.step)]
    for part in ("params", "ema", "m", "v"):
        for name, array in getattr(whole, part).items():
            np.testing.assert_array_equal(getattr(run.state, part)[name], array)
    entries = checkpoint.read_log(tmp_path)
    assert [entry["step"] for entry in entries] == list(range(1, run.state.step + 1))
    assert json.loads(json.dumps([entry["loss"] for entry in entries])) == losses
