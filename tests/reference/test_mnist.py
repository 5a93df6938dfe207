"""MNIST and Fashion-MNIST: where their files are looked for, broken files, and downloads from a server on loopback."""

import gzip
import os
import re
import signal
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from reference.data import datasets, mnist
from reference.data.datasets import load_dataset
from reference.data.download import cache_folder
from tests.command_runs import run
from tests.mnist_files import ARRAYS, CONTENTS, FILES, OTHER, ZIPPED, cut_short, held_back, idx, serving, small_sets, write


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Small data sets, and no file of theirs on the machine or on the network."""
    monkeypatch.delenv(mnist.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mnist, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(mnist, "SOURCES", small_sets())


@pytest.fixture
def server(monkeypatch):
    """A server, the only mirror, without a file yet."""
    with serving() as server:
        monkeypatch.setattr(mnist, "SOURCES", small_sets([server.mirror]))
        yield server


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def assert_whole(data):
    """The small Fashion-MNIST, value by value."""
    for x, y, part in ((data.train, data.train_labels, "train"), (data.held_out, data.held_out_labels, "t10k")):
        images = ARRAYS[f"{part}-images-idx3-ubyte"]
        assert x.dtype == np.float32 and x.shape == (len(images), 32, 32, 1)
        np.testing.assert_array_equal(np.rint((x[:, 2:-2, 2:-2, 0].astype(np.float64) + 1) * 127.5), images)
        border = np.ones((32, 32), bool)
        border[2:-2, 2:-2] = False
        assert (x[:, border] == -1).all()
        np.testing.assert_array_equal(y, ARRAYS[f"{part}-labels-idx1-ubyte"])
    assert data.bin_width == 2 / 255 and data.class_names[8] == "bag" and len(data.class_names) == 10


@pytest.mark.parametrize("end, pack", [("", bytes), (".gz", gzip.compress)], ids=["plain", "gzipped"])
@pytest.mark.parametrize("dot", [False, True], ids=["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
def test_files_of_a_folder_are_read_padded_and_split(tmp_path, dot, end, pack):
    spelt = lambda file: file.replace("-idx", ".idx") if dot else file
    write(tmp_path / "files", {spelt(file) + end: pack(content) for file, content in CONTENTS.items()})
    assert_whole(load_dataset("fashion-mnist", data_dir=tmp_path / "files"))


def test_a_folder_may_hold_a_folder_for_each_data_set(tmp_path):
    write(tmp_path / "both" / "fashion-mnist", CONTENTS)
    write(tmp_path / "both" / "mnist", OTHER)
    assert_whole(load_dataset("fashion-mnist", data_dir=tmp_path / "both"))
    digits = load_dataset("mnist", data_dir=tmp_path / "both")
    assert digits.class_names == tuple("0123456789") and not np.array_equal(
        digits.train, load_dataset("fashion-mnist", 0, None, tmp_path / "both").train
    )


def test_data_dir_comes_before_the_environment_the_system_and_the_cache(tmp_path, monkeypatch):
    given, named, system, cache = (
        tmp_path / "given",
        tmp_path / "named",
        tmp_path / "system" / "fashion-mnist",
        cache_folder("fashion-mnist"),
    )
    read_from = lambda **how: load_dataset("fashion-mnist", **how).notes[-1]
    for folder, files in ((cache, ZIPPED), (system, ZIPPED), (named, CONTENTS), (given, CONTENTS)):
        write(folder, files)
        if folder is named:
            monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(named))
        assert read_from(**({"data_dir": given} if folder is given else {})) == f"files in {folder}"


def test_the_cache_lies_below_an_absolute_xdg_cache_home_else_below_home(tmp_path, monkeypatch):
    assert cache_folder("mnist") == tmp_path / "cache" / "diffusion-from-scratch" / "mnist"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder("mnist") == tmp_path / "home" / ".cache" / "diffusion-from-scratch" / "mnist"


def _broken():
    images, labels = FILES[:2]
    signed = struct.pack(">HBB", 0, 0x09, 3) + CONTENTS[images][4:]
    yield "truncated", {images: CONTENTS[images][:-9]}, rf"{images} is truncated or wrong"
    yield "cut in the header", {labels: CONTENTS[labels][:6]}, rf"{labels} is truncated: its header ends"
    yield "empty", {images: b""}, rf"{images} is not an IDX file$"
    yield "a zip cut short", {images: ZIPPED[images + ".gz"][:-20]}, rf"{images} can't be read: Compressed file ended"
    yield (
        "one bit of a label",
        {labels: CONTENTS[labels][:-1] + b"\x0b"},
        rf"{labels} must hold {labels} of fashion-mnist, got contents of SHA-256",
    )
    yield "signed bytes", {images: signed}, rf"{images} must hold unsigned bytes, got int8"
    yield "fewer images", {images: idx(ARRAYS[images][:-1])}, rf"{images} must hold"
    yield "of mnist", OTHER, rf"{images} must hold {images} of fashion-mnist, got {images} of mnist"
    yield "renamed", {images: CONTENTS[FILES[2]]}, rf"{images} must hold {images} of fashion-mnist, got {FILES[2]} of fashion-mnist"
    yield "labels for images", {images: CONTENTS[labels]}, rf"{images} must hold {images} of fashion-mnist, got {labels} of fashion-mnist"
    yield "missing", {FILES[3]: None}, rf"must hold the files of fashion-mnist, but it has no {FILES[3]}, plain or gzipped"


@pytest.mark.parametrize("changed, message", [pytest.param(c, m, id=name) for name, c, m in _broken()])
def test_a_folder_with_a_broken_file_is_refused_naming_the_file(tmp_path, changed, message, capsys):
    contents = {file: content for file, content in (CONTENTS | changed).items() if content is not None}
    assert run("info", "--data", "fashion-mnist", "--data-dir", write(tmp_path / "files", contents)) == 2
    refused = capsys.readouterr().err
    assert len(refused.splitlines()) == 1 and re.search(message, refused)


def test_a_folder_that_does_not_exist_is_refused_by_who_names_it(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"data-dir must be a folder with the files of mnist, got .*gone"):
        load_dataset("mnist", data_dir=tmp_path / "gone")
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"DIFFUSION_DATA_DIR must be a folder with the files of mnist, got .*gone"):
        load_dataset("mnist")


@pytest.mark.parametrize("name", ["digits", "mixture2d", "file.npy"])
def test_a_data_dir_for_other_data_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"data-dir goes with fashion-mnist or mnist, not with {name}"):
        load_dataset(name, data_dir=tmp_path)


def test_a_download_fills_the_cache_once(tmp_path, server):
    server.answers = {f"/{file}": content for file, content in ZIPPED.items()}
    assert datasets.needs_download("fashion-mnist") and not datasets.needs_download("digits")
    assert_whole(load_dataset("fashion-mnist"))
    assert files_of(tmp_path / "cache") == sorted(f"diffusion-from-scratch/fashion-mnist/{file}" for file in ZIPPED)
    assert len(server.asked) == 4 and not datasets.needs_download("fashion-mnist")
    server.answers = {}
    assert_whole(load_dataset("fashion-mnist"))
    assert len(server.asked) == 4


BAD_ANSWERS = {
    "another file": (gzip.compress(OTHER[FILES[2]]), f"the file must hold {FILES[2]} of fashion-mnist, got {FILES[2]} of mnist"),
    "a page": (b"<html>", "the file is not an IDX file"),
    "ends early": (cut_short(ZIPPED[FILES[2] + ".gz"]), "IncompleteRead"),
    "a zip cut short": (ZIPPED[FILES[2] + ".gz"][:-20], "the file can't be read: Compressed file ended"),
    "status 404": (None, "404 Client Error: Not Found"),
}


@pytest.mark.parametrize("answer, message", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_leaves_no_file_and_the_next_try_starts_again(tmp_path, server, answer, message, capsys):
    good = {f"/{file}": content for file, content in ZIPPED.items()}
    server.answers = good | {f"/{FILES[2]}.gz": answer}
    assert run("info", "--data", "fashion-mnist") == 2
    refused = capsys.readouterr().err.splitlines()[-1]
    assert f"{server.mirror}{FILES[2]}.gz: {message}" in refused and str(tmp_path) not in refused
    assert files_of(tmp_path / "cache") == [f"diffusion-from-scratch/fashion-mnist/{file}.gz" for file in FILES[:2]]
    server.answers = good
    assert_whole(load_dataset("fashion-mnist"))
    assert len(server.asked) == 3 + 2


@pytest.mark.parametrize("answer", [answer for answer, _ in BAD_ANSWERS.values()], ids=BAD_ANSWERS)
def test_the_next_mirror_is_asked_after_a_bad_answer(server, monkeypatch, answer):
    server.answers = {f"/good/{file}": content for file, content in ZIPPED.items()}
    server.answers |= {f"/bad/{file}": content for file, content in ZIPPED.items()} | {f"/bad/{FILES[2]}.gz": answer}
    monkeypatch.setattr(mnist, "SOURCES", small_sets([server.mirror + "bad/", server.mirror + "good/"]))
    assert_whole(load_dataset("fashion-mnist"))
    assert [path for path in server.asked if path.startswith("/good")] == [f"/good/{FILES[2]}.gz"]


def closed_port():
    with serving() as server:
        return server.mirror


def test_without_a_network_the_refusal_names_every_mirror_and_the_cause(tmp_path, monkeypatch, capsys):
    mirrors = [closed_port(), closed_port()]
    monkeypatch.setattr(mnist, "SOURCES", small_sets(mirrors))
    assert run("info", "--data", "fashion-mnist") == 2
    refused = capsys.readouterr().err.splitlines()[-1]
    for mirror in mirrors:
        assert f"{mirror}{FILES[0]}.gz: Connection refused" in refused
    assert "name the folder of its files by --data-dir or DIFFUSION_DATA_DIR" in refused
    assert files_of(tmp_path / "cache") == []


def test_without_pooch_the_refusal_names_the_pip_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert run("info", "--data", "mnist") == 2
    assert "the package pooch is missing: pip install -e '.[data]'" in capsys.readouterr().err


def test_a_cache_that_can_not_be_written_is_refused_in_one_line(tmp_path, server, capsys):
    (tmp_path / "cache").write_bytes(b"")
    assert run("info", "--data", "fashion-mnist") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and server.asked == []


@pytest.mark.parametrize(
    "damaged", [b"", ZIPPED[FILES[0] + ".gz"][:-20], gzip.compress(OTHER[FILES[0]])], ids=["empty", "cut short", "of mnist"]
)
def test_a_damaged_file_in_the_cache_is_downloaded_again(server, damaged, capsys):
    server.answers = {f"/{file}": content for file, content in ZIPPED.items()}
    folder = write(cache_folder("fashion-mnist"), ZIPPED | {f"{FILES[0]}.gz": damaged})
    assert_whole(load_dataset("fashion-mnist"))
    assert server.asked == [f"/{FILES[0]}.gz"] and (folder / f"{FILES[0]}.gz").read_bytes() == ZIPPED[f"{FILES[0]}.gz"]
    assert "it is downloaded again" in capsys.readouterr().err


def test_two_downloads_at_the_same_time_do_not_disturb_each_other(tmp_path, server):
    begun, go, first = threading.Event(), threading.Event(), []
    server.answers = {f"/{file}": content for file, content in ZIPPED.items()}
    server.answers[f"/{FILES[0]}.gz"] = held_back(ZIPPED[f"{FILES[0]}.gz"], begun, go)
    thread = threading.Thread(target=lambda: first.append(load_dataset("fashion-mnist")))
    thread.start()
    assert begun.wait(60)
    server.answers[f"/{FILES[0]}.gz"] = ZIPPED[f"{FILES[0]}.gz"]
    assert_whole(load_dataset("fashion-mnist"))
    go.set()
    thread.join(60)
    assert_whole(first[0])
    assert files_of(tmp_path / "cache") == sorted(f"diffusion-from-scratch/fashion-mnist/{file}" for file in ZIPPED)


PROGRAM = """
import sys
from reference.commands.cli import main
from reference.data import mnist
from tests.mnist_files import small_sets
mnist.SOURCES = small_sets([sys.argv[1]])
raise SystemExit(main(["info", "--data", "fashion-mnist"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)], ids=["Ctrl-C", "kill"])
def test_a_download_that_is_stopped_starts_again(tmp_path, server, number, code):
    begun, go = threading.Event(), threading.Event()
    server.answers = {f"/{file}": content for file, content in ZIPPED.items()}
    server.answers[f"/{FILES[1]}.gz"] = held_back(ZIPPED[f"{FILES[1]}.gz"], begun, go)
    command = [sys.executable, "-c", PROGRAM, server.mirror]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ | {"DIFFUSION_DATA_DIR": ""}
    ) as process:
        assert begun.wait(60)
        process.send_signal(number)
        error = process.stderr.read().decode()
    go.set()
    assert process.returncode == code and (number != signal.SIGINT or error.splitlines()[-1].endswith(": interrupted"))
    folder = cache_folder("fashion-mnist")
    assert [path.name for path in folder.glob("[!.]*")] == [f"{FILES[0]}.gz"]
    assert number != signal.SIGINT or files_of(folder) == [f"{FILES[0]}.gz"]
    server.answers[f"/{FILES[1]}.gz"] = ZIPPED[f"{FILES[1]}.gz"]
    assert_whole(load_dataset("fashion-mnist"))
