"""Many samples in an .npz or .npy file: batch by batch, in bounded memory, with the bytes of samples drawn at once."""

import json
import threading
import tracemalloc
from itertools import chain

import numpy as np
import pytest

from reference import ops
from reference.commands import sample
from reference.runs import parts, sampling
from reference.runs.files import exclusive_lock
from reference.runs.run import open_run
from reference.runs.sampling import batch_starts, draw
from tests.command_runs import TINY, run, sampled
from tests.fake_mpi import together

pytestmark = pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")

N = 23
DDIM = {"sampler": "ddim", "steps": 3, "eta": 0.0, "seed": 0}
HOW = ("--sampler", "ddim", "--steps", 3, "--samples", N)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    for kind in sampling.BATCH:
        monkeypatch.setitem(sampling.BATCH, kind, 5)


@pytest.fixture(scope="module")
def classes_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "classes"
    assert run("train", "ddpm", "--classes", "--channels", 8, 8, "--batch", 2, "--steps", 2, "--out", folder) == 0
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """The first sample of each batch that is drawn."""
    found, own = [], sampling.draw_batches

    def draw_batches(started, port, n, firsts, *rest, **how):
        found.extend(firsts)
        return own(started, port, n, firsts, *rest, **how)

    monkeypatch.setattr("reference.commands.stream.draw_batches", draw_batches)
    return found


def at_once(path, folder, **how):
    """``path`` as NumPy writes all its arrays at once."""
    how = how or DDIM
    started = open_run(folder)
    x, _ = draw(started, ops, N, **how)
    arrays = sample.with_origin(started, ops, x, how)
    if path.suffix == ".npy":
        np.save(path, arrays["x"])
    else:
        settings = sample.settings_of(path.with_name(f"many{path.suffix}"))
        np.savez(path, **arrays, settings=np.array(json.dumps(settings)))
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_file_has_the_bytes_of_samples_drawn_at_once(points_run, tmp_path, suffix, drawn):
    path = tmp_path / f"many{suffix}"
    assert run("sample", points_run, *HOW, "--out", path) == 0
    assert drawn == [0, 5, 10, 15, 20] and list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == at_once(tmp_path / f"once{suffix}", points_run)


def test_labels_are_written_batch_by_batch(classes_run, tmp_path):
    path = tmp_path / "many.npz"
    assert run("sample", classes_run, *HOW, "--label", "all", "--out", path) == 0
    assert path.read_bytes() == at_once(tmp_path / "once.npz", classes_run, **DDIM, label="all", guidance=1.0)
    np.testing.assert_array_equal(sampled(path)["labels"], np.arange(N) % 10)


def test_points_in_the_units_of_their_file_are_written_batch_by_batch(far_points, tmp_path):
    folder, path = tmp_path / "run", tmp_path / "many.npz"
    assert run("sample", folder, *HOW, "--out", path) == 0
    assert path.read_bytes() == at_once(tmp_path / "once.npz", folder)
    assert sampled(path)["x"].dtype == np.float64


def test_degraded_and_clean_data_are_written_batch_by_batch(tmp_path):
    folder, path = tmp_path / "run", tmp_path / "many.npz"
    assert run("train", "indi", "--data", "mixture1d", "--steps", 2, *TINY, "--out", folder) == 0
    assert run("sample", folder, "--steps", 3, "--samples", N, "--out", path) == 0
    settings = sample.settings_of(path)
    how = {name: settings[name] for name in settings if name not in ("run", "weights", "samples")}
    assert path.read_bytes() == at_once(tmp_path / "once.npz", folder, **how)
    assert set(sampled(path)) == {"x", "degraded", "clean"}


class Killed(BaseException):
    """Ends a command as a kill does: no handler of the program catches it."""


def stop_after(monkeypatch, batches):
    """Let the writing of a further batch end the command."""
    written, write = [], parts.write

    def kill(folder, batch, arrays):
        if len(written) == batches:
            raise Killed
        written.append(write(folder, batch, arrays))

    monkeypatch.setattr(parts, "write", kill)


def stopped(monkeypatch, folder, path, batches=3):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_after(patched, batches)
        run("sample", folder, *HOW, "--out", path)
    return parts.folder_of(path)


def test_a_stopped_command_is_completed_by_the_batches_that_are_missing(points_run, tmp_path, monkeypatch, drawn, capsys):
    path = tmp_path / "many.npz"
    kept = stopped(monkeypatch, points_run, path)
    (kept / "0000000005.npz").unlink()
    (kept / "0000000015.npz.tmp").write_bytes(b"torn")
    drawn.clear()
    assert run("sample", points_run, *HOW, "--out", path) == 0
    assert drawn == [5, 15, 20] and not kept.exists()
    assert f"{kept} holds 2 of 5 batches of a command that was stopped, which are kept\n" in capsys.readouterr().out
    assert path.read_bytes() == at_once(tmp_path / "once.npz", points_run)


def test_a_command_that_was_stopped_before_its_end_draws_nothing_again(points_run, tmp_path, monkeypatch, drawn):
    path = tmp_path / "many.npz"
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(parts, "join", lambda *arguments: (_ for _ in ()).throw(Killed))
        run("sample", points_run, *HOW, "--out", path)
    drawn.clear()
    assert run("sample", points_run, *HOW, "--out", path) == 0 and drawn == []
    assert path.read_bytes() == at_once(tmp_path / "once.npz", points_run)


@pytest.mark.parametrize("other", [("--seed", 1), ("--samples", N - 1), ("--steps", 4)])
def test_batches_of_other_settings_are_refused_and_kept(points_run, tmp_path, monkeypatch, capsys, other):
    path = tmp_path / "many.npz"
    kept = stopped(monkeypatch, points_run, path)
    before = sorted(kept.iterdir())
    assert run("sample", points_run, *HOW, *other, "--out", path) == 2
    assert f"{kept} holds samples of other settings, of a command that was stopped" in capsys.readouterr().err
    assert sorted(kept.iterdir()) == before and not path.exists()


def test_batches_of_another_port_or_size_are_refused(points_run, tmp_path, monkeypatch, capsys):
    path = tmp_path / "many.npz"
    kept = stopped(monkeypatch, points_run, path)
    made = json.loads((kept / "settings.json").read_text())
    assert made["port"] == "reference.ops" and made["samples a batch"] == 5
    for name in ("port", "samples a batch"):
        (kept / "settings.json").write_text(json.dumps(made | {name: "another"}))
        assert run("sample", points_run, *HOW, "--out", path) == 2
        assert f"{kept} holds samples of other settings" in capsys.readouterr().err


def test_a_file_that_another_process_draws_is_refused(points_run, tmp_path, monkeypatch, capsys):
    path = tmp_path / "many.npz"
    kept = stopped(monkeypatch, points_run, path)
    with exclusive_lock(kept):
        assert run("sample", points_run, *HOW, "--out", path) == 2
    assert f"another process is drawing into {kept}\n" in capsys.readouterr().err
    assert run("sample", points_run, *HOW, "--out", path) == 0


@pytest.mark.parametrize(
    "name, message",
    [("0000000005.npz", "0000000005.npz can't be read: "), ("settings.json", "many.npz.parts holds samples of other settings, ")],
)
@pytest.mark.parametrize("content", [b"damaged", b"", b"PK"])
def test_a_damaged_batch_is_refused_in_one_sentence(points_run, tmp_path, monkeypatch, capsys, name, message, content):
    path = tmp_path / "many.npz"
    (stopped(monkeypatch, points_run, path) / name).write_bytes(content)
    assert run("sample", points_run, *HOW, "--out", path) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"python -m reference: {tmp_path}") and message in last and not path.exists()


def test_samples_that_are_not_finite_are_refused_and_leave_no_file(points_run, tmp_path, monkeypatch, capsys):
    path, own = tmp_path / "many.npz", sampling.final_sample
    monkeypatch.setattr(sampling, "final_sample", lambda states: np.full_like(own(states), np.nan))
    assert run("sample", points_run, *HOW, "--out", path) == 2
    assert "not finite" in capsys.readouterr().err and not path.exists()


def peak(folder, path, n):
    """The largest memory in bytes while n samples are drawn."""
    tracemalloc.start()
    assert run("sample", folder, "--sampler", "ddim", "--steps", 2, "--samples", n, "--out", path) == 0
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_the_memory_does_not_grow_with_the_number_of_samples(points_run, tmp_path, monkeypatch):
    """200,000 points more take 800,000 bytes; the list of their batches is allowed 100 bytes a batch."""
    monkeypatch.setitem(sampling.BATCH, "points", 5000)
    peak(points_run, tmp_path / "first.npy", 10_000)
    few, many = (peak(points_run, tmp_path / f"{n}.npy", n) for n in (20_000, 220_000))
    assert np.load(tmp_path / "220000.npy", mmap_mode="r").shape == (220_000, 1)
    assert many - few < 400_000


# several processes


@pytest.mark.parametrize("count", [2, 3, 4])
def test_processes_draw_each_batch_once(points_run, count, monkeypatch):
    """None is dropped, none is drawn twice, and they share the batches."""
    found = {}

    def draw_batches(started, port, n, firsts, *rest, **how):
        found.setdefault(threading.get_ident(), list(firsts))
        return own(started, port, n, firsts, *rest, **how)

    own = sampling.draw_batches
    monkeypatch.setattr(sampling, "draw_batches", draw_batches)
    started = open_run(points_run)
    how = DDIM | {"clip": "none"}
    x, evaluations = draw(started, ops, N, **how)
    assert len(np.unique(x)) == N
    found.clear()
    drawn, *others = together(count, lambda team: draw(started, ops, N, team=team, **how))
    assert drawn[0].tobytes() == x.tobytes() and drawn[1] == evaluations and others == [(None, None)] * (count - 1)
    assert sorted(chain(*found.values())) == list(batch_starts(started, N))
    assert max(map(len, found.values())) - min(map(len, found.values())) <= 1


def test_a_last_batch_of_one_sample_is_drawn(points_run):
    x, _ = draw(open_run(points_run), ops, 6, **DDIM)
    assert len(x) == 6


def test_the_words_are_those_of_samples_drawn_at_once(points_run, tmp_path, capsys):
    """Those of a picture; also the warning of predictions outside of the data, and the network's evaluations."""
    printed = []
    for name in ("many.npz", "once.csv"):
        assert run("sample", points_run, *HOW, "--out", tmp_path / name) == 0
        out, err = capsys.readouterr()
        printed.append((out.splitlines()[-1].partition(": ")[2], err))
    assert printed[0] == printed[1] and "3 network evaluations" in printed[0][0] and "outside of the range" in printed[0][1]
