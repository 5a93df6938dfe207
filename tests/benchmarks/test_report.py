"""Tables, plots and comparisons of synthetic results; no test asserts a measured time."""

import json

import numpy as np
import pytest
from matplotlib.text import Text

from benchmarks.__main__ import add_ratios, main
from benchmarks.compare import changes, interval
from benchmarks.measure import REFERENCE, statistics
from benchmarks.report import NEW_NAMES, bars_figure, label_points, markdown, read_report
from reference import plotting
from tests.readable_figures import assert_readable

PORT = "accelerated.cpu"


def measurement(scale=1.0, seed=0, **times):
    """A report of one workload with seconds by implementation; ``scale`` multiplies the port's seconds."""
    rng, entries = np.random.default_rng(seed), {}
    for i, seconds in ({REFERENCE: 4.0, PORT: 1.0 * scale, "pytorch": 2.0} | times).items():
        turns = (seconds * rng.normal(1, 0.02, (8, 5))).tolist()
        entries[i] = {"turns": turns, "memory": 1e6, "import": 0.5, "first": 3.0} | statistics(turns)
    work = {"operations": {"linear": 4e9}, "bytes": {"linear": 1e9}, "implementations": entries, "warnings": ["pytorch: wide"]}
    refused = {"reference.ops": entries[REFERENCE], "jax": {"not_timed": "it disagrees with the reference: y"}}
    other = {"operations": {"silu": 1e9}, "bytes": {"silu": 1e9}, "implementations": refused, "warnings": []}
    machine = {"processor": "one", "threads": 2, "time": "2026-11-26T00:00:00", "versions": {"numpy": "2"}}
    shell = {"format": 2, "machine": machine, "skipped": {"jax": "skipped"}, "copy_bandwidth": 1e10}
    return add_ratios(shell | {"workloads": {"matmul": work, "other": other}})


def test_the_table_has_times_ratios_and_untimed_implementations():
    lines = markdown(measurement())
    row, *_ = [line for line in lines if line.startswith("| matmul")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[0] == "matmul" and cells[2].startswith("**") and float(cells[2].rpartition(", ")[2][:-1]) == pytest.approx(2, rel=0.05)
    assert cells[3].startswith("2") and "x" not in cells[3]  # a peer has no ratio to peers
    assert "- other: jax is not timed: it disagrees with the reference: y" in lines
    assert "| matmul | accelerated.cpu | 4.0 | 100% | 1.0 | 10% | 1 | 0.50 | 3.00 |" in lines
    assert "- jax: skipped" in lines and "- matmul: pytorch: wide" in lines


def test_a_report_is_written_from_a_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(measurement()))
    assert main(["report", str(tmp_path / "a.json"), "--out", str(tmp_path / "new" / "folder")]) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert made.keys() == {"table.md", "bars.png", "roofline.png"}
    assert all(content.startswith(b"\x89PNG") for name, content in made.items() if name.endswith("png"))


def test_bars_begin_at_the_fastest_and_the_plot_has_title_and_labels():
    figure = bars_figure(measurement())
    assert_readable(figure)
    (axes,) = figure.axes
    assert figure.get_suptitle() == "Time of each workload, one, 2 threads"
    assert {bar.get_x() for bar in axes.patches} == {1.0} and axes.get_xlim()[0] == 0.8
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1x", "2x", "5x"]
    assert sorted(bar.get_width() for bar in axes.patches) == pytest.approx([0, 0, 1, 3], abs=0.1)


def test_labels_in_a_plot_overlap_neither_points_nor_each_other():
    figure = plotting.new_figure(5, 4)
    axes, points = figure.subplots(), {f"workload {n}": [(1 + n / 100, 2.0), (1 + n / 100, 1.0)] for n in range(8)}
    axes.plot(np.linspace(0, 2, 100), np.full(100, 2.4))
    for places in points.values():
        axes.plot(*zip(*places), "o")
    axes.set_ylim(0, 5)
    figure.draw_without_rendering()
    label_points(axes, points)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to its point
    assert [text.get_text() for text in axes.texts] == list(points)
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
    plotted = [axes.transData.transform(place) for line in axes.lines for place in line.get_xydata()]
    assert not any(box.contains(*place) for box in boxes for place in plotted)


def without(*keys):
    """A report without one field, as JSON."""
    report = part = measurement()
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    return json.dumps(report)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "it is not JSON"),
        ("import json\n", "it is not JSON"),
        ("[]", "it must be an object of format 1 or 2"),
        ("{}", "it must be an object of format 1 or 2"),
        ('{"format": 3, "workloads": {"a": 1}}', "it must be an object of format 1 or 2"),
        ('{"format": 1, "workloads": {"a": 1}}', "is not a results file"),
        ('{"format": 1, "workloads": [1]}', "is not a results file"),
        (without("machine"), "'machine'"),
        (without("copy_bandwidth"), "it has no copy_bandwidth"),
        (without("machine", "versions"), "it has no versions"),
        (without("workloads", "other", "warnings"), "it has no warnings"),
        (without("workloads", "other", "implementations"), "'implementations'"),
        (without("workloads", "matmul", "implementations", PORT, "turns"), "it has no turns"),
    ],
)
def test_invalid_results_files_are_refused_in_one_line(content, message, tmp_path, capsys):
    (tmp_path / "a.json").write_text(content)
    for words in (["report", str(tmp_path / "a.json"), "--out", str(tmp_path)], ["compare", *2 * [str(tmp_path / "a.json")]]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert message in err and "a.json is not a results file" in err and err.count("\n") == 1 and "Error" not in err, err
    assert main(["report", str(tmp_path / "none.json"), "--out", str(tmp_path)]) == 2


def test_results_files_of_format_1_are_read_with_the_new_names(tmp_path):
    old = {new: name for name, new in NEW_NAMES.items()}
    rename = lambda part: {old.get(name, name): rename(inner) for name, inner in part.items()} if isinstance(part, dict) else part
    (tmp_path / "old.json").write_text(json.dumps(rename(measurement()) | {"format": 1}))
    assert "product" in json.loads((tmp_path / "old.json").read_text())["workloads"]
    assert read_report(tmp_path / "old.json") == measurement() | {"format": 1}


def test_noise_is_no_change_and_a_fifth_is():
    verdicts = lambda after: {i: verdict for name, i, *_, verdict in changes(measurement(), after) if name == "matmul"}
    assert set(verdicts(measurement(seed=1)).values()) == {"the same"}
    assert verdicts(measurement(1.2, seed=2)) == {REFERENCE: "the same", PORT: "slower", "pytorch": "the same"}
    assert verdicts(measurement(0.8, seed=3))[PORT] == "faster"


def test_a_change_within_the_noise_of_its_turns_is_no_change():
    """One turn of six is slow in one of the reports: the median over turns ignores it."""
    calm, disturbed = [[1.0, 1.01]] * 6, [[1.0, 1.01]] * 5 + [[3.0, 3.1]]
    ratio, low, high = interval(calm, disturbed)
    assert ratio == 1 and low <= 1 <= high


def test_compare_exits_1_if_an_implementation_became_slower(tmp_path, capsys):
    for name, report in (("a", measurement()), ("b", measurement(1.5, seed=1))):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 1
    assert "slower" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "b.json"), str(tmp_path / "a.json")]) == 0
