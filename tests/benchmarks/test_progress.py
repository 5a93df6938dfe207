"""Progress of a long program, on a terminal and elsewhere."""

import io

import pytest

from benchmarks.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream, bar", [(Terminal, True), (io.StringIO, False)])
def test_lines_are_printed_and_only_a_terminal_has_a_bar(stream, bar, monkeypatch, capsys):
    error = stream()
    monkeypatch.setattr("sys.stderr", error)
    with Progress(1) as log:
        log.start("first")
        log("a line")
        log.start("second")
    shown = error.getvalue()
    assert capsys.readouterr().out.split()[2:] == ["a", "line"]
    assert ("first" in shown and "second" in shown and "50 %" in shown) == bar and bool(shown) == bar
