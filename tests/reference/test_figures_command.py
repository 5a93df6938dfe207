"""The command ``figures``: its files, and one line with exit code 2 for errors."""

import pytest

from reference.plotting import read_description
from reference.tutorial.figures import ANIMATIONS, FIGURES
from tests.command_runs import files, run
from tests.ports import recording_port


def refusal(capsys, *words):
    """The one-line message of a refused command."""
    assert run("figures", *words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    return printed.err


def test_each_figure_is_a_separate_file_with_a_description(tmp_path, capsys):
    folder = tmp_path / "deep" / "figures"
    assert run("figures", "3.5", "2.10", "2.10", "--quick", "--out", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["figure-2.10.png", "figure-3.5.png"]
    printed = capsys.readouterr().out
    assert all(f"wrote {folder / name}" in printed for name in ("figure-2.10.png", "figure-3.5.png"))
    assert read_description(folder / "figure-3.5.png") == '{"tutorial figure": "3.5", "quick": true}'


def test_the_animation_is_a_gif(tmp_path):
    assert run("figures", "reverse", "--quick", "--out", tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["reverse.gif"]
    assert read_description(tmp_path / "reverse.gif") == '{"tutorial figure": "reverse", "quick": true}'


@pytest.mark.parametrize("name", ["2.5", "2.11", "3.2", "3.6", "3.7", "4.3", "4.4", "4.6", "5.1", "reverse"])
def test_a_figure_computes_on_its_port(name):
    port = recording_port()
    (FIGURES | ANIMATIONS)[name](True, port)
    assert port.called & {"normal", "reverse_step", "uniform"}


def test_figures_all_draws_every_figure(monkeypatch, tmp_path):
    from reference.commands import figures

    monkeypatch.setattr(figures, "_drawn", lambda name, quick, ops: name.encode())
    assert run("figures", "all", "2.5", "--out", tmp_path) == 0
    assert {path.stem.removeprefix("figure-") for path in tmp_path.iterdir()} == set(figures.NAMES)
    assert len(figures.NAMES) == 19


def test_repeating_the_figures_command_gives_the_same_bytes(tmp_path):
    words = "figures", "2.10", "--quick", "--out", tmp_path
    assert run(*words) == 0
    before = files(tmp_path)
    assert run(*words) == 0
    assert files(tmp_path) == before


def test_an_existing_other_file_is_kept_and_no_figure_is_drawn(tmp_path, capsys):
    assert run("figures", "2.10", "--out", tmp_path) == 0
    (tmp_path / "figure-3.5.png").write_text("mine")
    (tmp_path / "reverse.gif").symlink_to(tmp_path / "nowhere")
    before = files(tmp_path)
    capsys.readouterr()
    for words in (("2.10", "--quick"), ("3.5", "4.1"), ("reverse", "4.1")):
        message = refusal(capsys, *words, "--out", tmp_path)
        assert "exists already, and was not made by the same command: name another --out, or remove it first" in message
    assert files(tmp_path) == before


def test_an_image_of_something_else_is_not_overwritten(tmp_path, capsys):
    from PIL import Image

    for name in ("figure-2.10.png", "reverse.gif"):
        Image.new("L", (4, 4)).save(tmp_path / name)
        assert f"{name} exists already" in refusal(capsys, name.removeprefix("figure-")[:-4], "--out", tmp_path)


@pytest.mark.parametrize("name", ["2.6", "3", "ALL", "", "figure-2.5"])
def test_an_unknown_figure_is_refused_with_the_known_names(name, tmp_path, capsys):
    message = refusal(capsys, "2.5", name, "--out", tmp_path / "new")
    assert f"invalid choice: {name!r} (choose from 'all', '2.5', '2.7', '2.10'" in message
    assert not (tmp_path / "new").exists()


def test_figures_requires_names_and_a_folder(tmp_path, capsys):
    assert "NAME" in refusal(capsys, "--out", tmp_path)
    assert "--out" in refusal(capsys, "2.5")
    assert "out must not be empty" in refusal(capsys, "2.5", "--out", "")
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'} can't be written" in refusal(capsys, "2.5", "--out", tmp_path / "file")
