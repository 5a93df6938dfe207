"""The tutorial's figures: each exists and is readable; the figures of chapter 2 show their equations."""

import functools
import io
import itertools

import numpy as np
import pytest
from matplotlib.legend import Legend
from scipy import stats

from reference import animation, plotting
from reference.tutorial.figures import ANIMATIONS, FIGURES
from tests.figure_checks import (
    EX_2_1,
    EX_4_6,
    assert_histogram,
    assert_map,
    assert_standard_normal,
    bars,
    cdf,
    curves,
    drawn,
    noised,
    pdf,
    plain_axes,
)
from tests.oracle_tolerances import EXACT, FALSE_ALARM, MIXTURE, assert_close, assert_printed

COMPUTED = "2.5 2.7 2.10 2.11 3.2 3.3 3.4 3.5 3.6 3.7 4.1 4.2 4.3 4.4 4.5 4.6 5.1 5.2".split()
PIXEL = 1.0  # a label may touch the edge


def assert_upright(name):
    figure = drawn(name)
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    texts = [figure._suptitle, figure._supxlabel, *figure.findobj(Legend)]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
    for text in texts:
        if text is not None and (isinstance(text, Legend) or text.get_text()):
            box = text.get_window_extent()
            inside = box.x0 >= -PIXEL and box.y0 >= -PIXEL and box.x1 <= width + PIXEL and box.y1 <= height + PIXEL
            assert inside, f"{text} reaches beyond the picture: {box}"


def test_every_computed_figure_of_the_tutorial_exists():
    assert list(FIGURES) == COMPUTED and list(ANIMATIONS) == ["reverse"]


@pytest.mark.parametrize("name", COMPUTED)
def test_figures_have_title_labels_and_legend_and_nothing_is_cut_off(name):
    from PIL import Image

    figure = drawn(name)
    assert figure.get_suptitle().startswith(f"Fig {name}: ")
    named = [{text.get_text() for text in legend.get_texts()} for legend in figure.findobj(Legend)]
    for axes in plain_axes(name):
        for axis in (axes.xaxis, axes.yaxis):
            assert axis.get_label_text() or not any(tick.label1.get_visible() for tick in axis.get_major_ticks())
        _, labels = axes.get_legend_handles_labels()
        assert len(labels) < 2 or set(labels) in named, labels
    for scale in set(figure.axes) - set(plain_axes(name)):
        assert scale.get_ylabel()
    assert_upright(name)
    with Image.open(io.BytesIO(plotting.png_bytes(figure))) as image:
        assert np.asarray(image.convert("L")).std() > 10 and min(image.size) > 500


def test_figure_2_5_shows_the_noised_mixture_at_eight_times():
    panels = plain_axes("2.5")
    assert len(panels) == 8
    for axes in panels:
        distribution = noised(EX_2_1, 0.97 ** int(axes.get_title().removeprefix("t = ")))
        ((x, p),) = curves(axes, "$p_t")
        assert_close(p, pdf(distribution, x), MIXTURE, 1.0)
        assert_histogram(bars(axes)[0], functools.partial(cdf, distribution), 4000)


@pytest.mark.parametrize("name, distribution, alpha, steps", [("2.7", EX_2_1, 0.97, 150), ("4.5", EX_4_6, 0.95, 100)])
def test_forward_maps_show_the_noised_mixture_and_paths_of_the_chain(name, distribution, alpha, steps):
    (axes,) = plain_axes(name)
    assert_map(axes, lambda t: noised(distribution, alpha**t))
    paths = np.array([x for _, x in curves(axes)])
    assert paths.shape == (6, steps + 1)
    assert_standard_normal((paths[:, 1:] - alpha**0.5 * paths[:, :-1]) / (1 - alpha) ** 0.5)


def test_figure_2_10_has_the_printed_coefficients():
    (axes,) = plain_axes("2.10")
    c_x, c_x0, total = (dict(curve.T) for curve in curves(axes)[:3])
    for t, x, x0 in ((1, "0", "1"), (2, ".499307", ".499307"), (10, ".892254", ".095564"), (50, ".948137", ".007607")):
        assert_printed(c_x[t], x)
        assert_printed(c_x0[t], x0)
        assert total[t] == c_x[t] + c_x0[t] and (t == 1 or total[t] < 1)


def test_figure_2_11_has_the_printed_radii_and_its_paths_end_at_x0():
    plane, line = plain_axes("2.11")
    (sigma,), (spread,) = (curves(line, label) for label in (r"$\sigma_q", "deviation"))
    for t, printed in ((1, "0"), (2, ".052632"), (10, ".094052")):
        assert_printed(dict(sigma.T)[t] ** 2, printed)
    low, high = stats.chi2.interval(1 - FALSE_ALARM / 30, 1000)  # 500 paths in the plane
    ratio = 1000 * (spread[1, :-1] / sigma[1, :-1]) ** 2
    assert (low <= ratio).all() and (ratio <= high).all()
    assert_close(spread[1, -1], 0.0, EXACT, 1.0)
    (path,) = curves(plane, "$x_T$ to")
    assert_close(path[:, -1], [2.0, 1.0], EXACT)
    circles = [curve for curve in curves(plane) if curve.shape == (2, 100)]
    assert len(circles) == 10
    for circle, t in zip(circles, range(30, 0, -3)):
        assert_close(np.ptp(circle, axis=1).max() / 2, dict(sigma.T)[t], 2e-3)  # the largest distance of 100 points, 1 - (pi/99)^2 / 2


def test_animations_have_one_frame_per_update_and_store_settings(tmp_path):
    from PIL import Image

    figure, axes = plotting.subplots(1, 1, 3, 2, "title")
    (line,) = axes[0, 0].plot([0, 1], [0, 1])

    def updates():
        for k in range(4):
            line.set_ydata([0, k])
            yield

    path = tmp_path / "a.gif"
    path.write_bytes(animation.gif_bytes(figure, updates(), "settings", milliseconds=50, hold=3))
    assert plotting.read_description(path) == "settings"
    with Image.open(path) as image:
        durations, pictures = [], []
        for k in range(image.n_frames):
            image.seek(k)
            durations.append(image.info["duration"])
            pictures.append(np.asarray(image.convert("L"), np.float64))
    assert durations == [150, 50, 50, 150] and pictures[0].shape == (200, 300)
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(pictures))
