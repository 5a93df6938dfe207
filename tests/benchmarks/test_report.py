"""Tables, plots and comparisons of measurements that are made up: what is said, not how long anything took."""

import json

import numpy as np
import pytest
from matplotlib.text import Text

from benchmarks.__main__ import compare, main
from benchmarks.compare import changes, interval
from benchmarks.measure import REFERENCE, statistics
from benchmarks.report import bars_figure, label, markdown
from reference import plotting
from tests.readable_figures import assert_readable

PORT = "accelerated.cpu"


def measurement(scale=1.0, seed=0, **times):
    """A report of one workload: seconds by implementation, ``scale`` times that of the port."""
    rng, entries = np.random.default_rng(seed), {}
    for i, seconds in ({REFERENCE: 4.0, PORT: 1.0 * scale, "pytorch": 2.0} | times).items():
        turns = (seconds * rng.normal(1, 0.02, (8, 5))).tolist()
        entries[i] = {"turns": turns, "memory": 1e6, "import": 0.5, "first": 3.0} | statistics(turns)
    work = {"operations": {"linear": 4e9}, "bytes": {"linear": 1e9}, "implementations": entries, "doubts": ["pytorch: doubtful"]}
    refused = {"reference.ops": entries[REFERENCE], "jax": {"not_run": "it disagrees with the reference: y"}}
    other = {"operations": {"silu": 1e9}, "bytes": {"silu": 1e9}, "implementations": refused, "doubts": []}
    machine = {"processor": "one", "threads": 2, "time": "2026-11-26T00:00:00", "versions": {"numpy": "2"}}
    shell = {"format": 1, "machine": machine, "left_out": {"jax": "left out"}, "copy_bandwidth": 1e10}
    return compare(shell | {"workloads": {"product": work, "other": other}})


def test_the_table_has_times_ratios_and_what_was_not_timed():
    lines = markdown(measurement())
    row, *_ = [line for line in lines if line.startswith("| product")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[0] == "product" and cells[2].startswith("**") and float(cells[2].rpartition(", ")[2][:-1]) == pytest.approx(2, rel=0.05)
    assert cells[3].startswith("2") and "x" not in cells[3]  # a peer has no ratio to peers
    assert "- other: jax is not timed: it disagrees with the reference: y" in lines
    assert "| product | accelerated.cpu | 4.0 | 100% | 1.0 | 10% | 1 | 0.50 | 3.00 |" in lines
    assert "- jax: left out" in lines and "- product: pytorch: doubtful" in lines


def test_a_report_is_written_from_a_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(measurement()))
    assert main(["report", str(tmp_path / "a.json"), "--out", str(tmp_path / "new" / "folder")]) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert made.keys() == {"table.md", "bars.png", "roofline.png"}
    assert all(content.startswith(b"\x89PNG") for name, content in made.items() if name.endswith("png"))


def test_a_plot_of_times_begins_at_the_fastest_and_names_what_it_shows():
    figure = bars_figure(measurement())
    assert_readable(figure)
    (axes,) = figure.axes
    assert figure.get_suptitle() == "Time of each workload, one, 2 threads"
    assert {bar.get_x() for bar in axes.patches} == {1.0} and axes.get_xlim()[0] == 0.8
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1x", "2x", "5x"]
    assert sorted(bar.get_width() for bar in axes.patches) == pytest.approx([0, 0, 1, 3], abs=0.1)


def test_names_in_a_plot_stand_clear_of_what_is_plotted_and_of_each_other():
    figure = plotting.new_figure(5, 4)
    axes, points = figure.subplots(), {f"workload {n}": [(1 + n / 100, 2.0), (1 + n / 100, 1.0)] for n in range(8)}
    axes.plot(np.linspace(0, 2, 100), np.full(100, 2.4))
    for places in points.values():
        axes.plot(*zip(*places), "o")
    axes.set_ylim(0, 5)
    figure.draw_without_rendering()
    label(axes, points)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to its point
    assert [text.get_text() for text in axes.texts] == list(points)
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
    plotted = [axes.transData.transform(place) for line in axes.lines for place in line.get_xydata()]
    assert not any(box.contains(*place) for box in boxes for place in plotted)


def without(*keys):
    """A measurement that lacks one field, as JSON."""
    report = part = measurement()
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    return json.dumps(report)


@pytest.mark.parametrize(
    "content, said",
    [
        ("", "it is not JSON"),
        ("import json\n", "it is not JSON"),
        ("[]", "it must be an object of format 1"),
        ("{}", "it must be an object of format 1"),
        ('{"format": 2, "workloads": {"a": 1}}', "it must be an object of format 1"),
        ('{"format": 1, "workloads": {"a": 1}}', "is no measurement"),
        ('{"format": 1, "workloads": [1]}', "is no measurement"),
        (without("machine"), "'machine'"),
        (without("copy_bandwidth"), "it has no copy_bandwidth"),
        (without("machine", "versions"), "it has no versions"),
        (without("workloads", "other", "doubts"), "it has no doubts"),
        (without("workloads", "other", "implementations"), "'implementations'"),
        (without("workloads", "product", "implementations", PORT, "turns"), "it has no turns"),
    ],
)
def test_what_is_no_measurement_is_refused_in_a_line(content, said, tmp_path, capsys):
    (tmp_path / "a.json").write_text(content)
    for words in (["report", str(tmp_path / "a.json"), "--out", str(tmp_path)], ["compare", *2 * [str(tmp_path / "a.json")]]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert said in err and "a.json is no measurement" in err and err.count("\n") == 1 and "Error" not in err, err
    assert main(["report", str(tmp_path / "none.json"), "--out", str(tmp_path)]) == 2


def test_noise_is_no_change_and_a_tenth_is():
    verdicts = lambda after: {i: verdict for name, i, *_, verdict in changes(measurement(), after) if name == "product"}
    assert set(verdicts(measurement(seed=1)).values()) == {"the same"}
    assert verdicts(measurement(1.2, seed=2)) == {REFERENCE: "the same", PORT: "slower", "pytorch": "the same"}
    assert verdicts(measurement(0.8, seed=3))[PORT] == "faster"


def test_a_change_within_the_noise_of_its_turns_is_none():
    """One turn of six is slow, in one measurement and not in the other: a median of turns does not follow it."""
    calm, disturbed = [[1.0, 1.01]] * 6, [[1.0, 1.01]] * 5 + [[3.0, 3.1]]
    ratio, low, high = interval(calm, disturbed)
    assert ratio == 1 and low <= 1 <= high


def test_comparing_exits_1_when_something_became_slower(tmp_path, capsys):
    for name, report in (("a", measurement()), ("b", measurement(1.5, seed=1))):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 1
    assert "slower" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "b.json"), str(tmp_path / "a.json")]) == 0
