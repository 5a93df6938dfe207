"""``figures``: which files it writes, and one sentence and exit code 2 for whatever is wrong."""

import pytest

from reference.plotting import description_of
from tests.reference.test_command_line import files, run


def refusal(capsys, *words):
    """What a command says that must be refused: one line."""
    assert run("figures", *words) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_each_figure_goes_into_a_file_of_its_own_that_says_what_it_is(tmp_path, capsys):
    folder = tmp_path / "deep" / "figures"
    assert run("figures", "3.5", "2.10", "2.10", "--quick", "--out", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["figure-2.10.png", "figure-3.5.png"]
    said = capsys.readouterr().out
    assert all(f"wrote {folder / name}" in said for name in ("figure-2.10.png", "figure-3.5.png"))
    assert description_of(folder / "figure-3.5.png") == '{"tutorial figure": "3.5", "quick": true}'


def test_the_animation_is_a_gif(tmp_path):
    assert run("figures", "reverse", "--quick", "--out", tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["reverse.gif"]
    assert description_of(tmp_path / "reverse.gif") == '{"tutorial figure": "reverse", "quick": true}'


def test_all_are_all(monkeypatch, tmp_path):
    from reference.commands import figures

    monkeypatch.setattr(figures, "_drawn", lambda name, quick: name.encode())
    assert run("figures", "all", "2.5", "--out", tmp_path) == 0
    assert {path.stem.removeprefix("figure-") for path in tmp_path.iterdir()} == set(figures.NAMES)
    assert len(figures.NAMES) == 19


def test_the_same_command_may_be_given_again_and_draws_the_same_bytes(tmp_path):
    words = "figures", "2.10", "--quick", "--out", tmp_path
    assert run(*words) == 0
    before = files(tmp_path)
    assert run(*words) == 0
    assert files(tmp_path) == before


def test_nothing_else_is_overwritten_and_then_nothing_is_drawn(tmp_path, capsys):
    assert run("figures", "2.10", "--out", tmp_path) == 0
    (tmp_path / "figure-3.5.png").write_text("mine")
    (tmp_path / "reverse.gif").symlink_to(tmp_path / "nowhere")
    before = files(tmp_path)
    capsys.readouterr()
    for words in (("2.10", "--quick"), ("3.5", "4.1"), ("reverse", "4.1")):
        said = refusal(capsys, *words, "--out", tmp_path)
        assert "exists already, and was not made by the same command: name another --out, or remove it first" in said
    assert files(tmp_path) == before


def test_a_picture_of_something_else_is_not_overwritten(tmp_path, capsys):
    from PIL import Image

    for name in ("figure-2.10.png", "reverse.gif"):
        Image.new("L", (4, 4)).save(tmp_path / name)
        assert f"{name} exists already" in refusal(capsys, name.removeprefix("figure-")[:-4], "--out", tmp_path)


@pytest.mark.parametrize("name", ["2.6", "3", "ALL", "", "figure-2.5"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name, tmp_path, capsys):
    said = refusal(capsys, "2.5", name, "--out", tmp_path / "new")
    assert "NAME must be all or one of 2.5, 2.7, 2.10" in said and said.endswith(f"reverse, got {name!r}\n")
    assert not (tmp_path / "new").exists()


def test_names_and_a_folder_must_be_given(tmp_path, capsys):
    assert "NAME" in refusal(capsys, "--out", tmp_path)
    assert "--out" in refusal(capsys, "2.5")
    assert "out must not be empty" in refusal(capsys, "2.5", "--out", "")
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'} can't be written" in refusal(capsys, "2.5", "--out", tmp_path / "file")
