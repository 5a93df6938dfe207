"""Figures: valid images that show the right content."""

import io

import numpy as np
import pytest

from reference import plotting
from reference.diffusion.mixtures import example_2_1
from tests.oracle_tolerances import EXACT, assert_close
from tests.readable_figures import assert_readable


def decode(png):
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L")), image.info


def test_a_mosaic_holds_every_image_in_order_with_separating_lines():
    images = np.arange(5.0).reshape(5, 1, 1, 1) / 4 * 2 - 1 + np.zeros((5, 2, 3, 1))
    sheet = plotting.mosaic(images, 3)
    assert sheet.shape == (5, 11, 1)
    np.testing.assert_array_equal(sheet[::3, ::4, 0], [[0, 0.25, 0.5], [0.75, 1, 0.35]])
    np.testing.assert_array_equal(sheet[2], np.full((11, 1), 0.35))


KINDS = [(9, 8, 8, 1), (4, 8, 8, 2), (4, 8, 8, 3), (4, 8, 8, 4), (100, 1), (100, 2), (100, 5)]


def test_opacity_is_drawn_over_white_and_two_channels_as_red_and_green():
    rgba = np.array([[0.2, 0.4, 0.6, 1.0], [0.2, 0.4, 0.6, 0.0], [0.2, 0.4, 0.6, 0.5]]).reshape(3, 1, 1, 4)
    expected = np.array([[0.2, 0.4, 0.6], [1, 1, 1], [0.6, 0.7, 0.8]]).reshape(3, 1, 1, 3)
    assert_close(plotting.to_grey_or_rgb(rgba), expected, EXACT)
    assert_close(plotting.mosaic(rgba * 2 - 1, 1)[::2, 0], expected[:, 0, 0], EXACT)
    np.testing.assert_array_equal(plotting.to_grey_or_rgb(rgba[..., :2])[..., 0, :], [[[0.2, 0.4, 0]]] * 3)
    for channels in (1, 3):
        np.testing.assert_array_equal(plotting.to_grey_or_rgb(rgba[..., :channels]), rgba[..., :channels])
    with pytest.raises(ValueError, match="1 to 4 channels to be drawn, got 5"):
        plotting.to_grey_or_rgb(np.zeros((1, 2, 2, 5)))


def drawn(seed, shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


@pytest.mark.parametrize("shape, title", [((100, 5), "data; coordinates 1 and 2 of 5"), ((100, 2), "data")])
@pytest.mark.parametrize("size", [(1, 1), (1e-3, 1e3), (1e3, 1e-3)])
def test_a_scatter_plot_names_its_coordinates_and_is_square(shape, title, size):
    x = drawn(0, shape)
    x[:, :2] *= size
    axes = plotting.sample_sheet({"data": x}, "title").axes[0]
    assert axes.get_title() == title and axes.get_box_aspect() == 1


@pytest.mark.parametrize("shape", KINDS)
def test_sample_figures_show_data_beside_samples_and_store_settings(shape):
    figure = plotting.sample_sheet({"data": drawn(0, shape), "samples": drawn(1, shape)}, "title")
    assert_readable(figure)
    data, samples = figure.axes
    assert data.get_title().startswith("data") and samples.get_title().startswith("samples")
    assert data.get_xlim() == samples.get_xlim() and data.get_ylim() == samples.get_ylim()
    pixels, info = decode(plotting.png_bytes(figure, "settings"))
    assert info["Description"] == "settings" and pixels.std() > 10


def test_samples_outside_the_data_range_are_counted():
    data, x = drawn(0, (100, 2)), np.concatenate((drawn(1, (90, 2)), np.full((10, 2), 50.0)))
    near, far = plotting.sample_sheet({"data": data, "samples": x}, "title").axes
    assert near.get_title() == "data" and far.get_title() == "samples; 10 outside"
    assert -1.6 < far.get_xlim()[0] < -1.4 and 1.4 < far.get_xlim()[1] < 1.6


def test_the_density_of_the_data_is_drawn_over_histograms():
    distribution = example_2_1()
    data, x = (distribution.sample(seed, np.arange(1000))[0] for seed in (0, 1))
    figure = plotting.sample_sheet({"data": data, "samples": x}, "title", distribution)
    assert_readable(figure)
    for axes in figure.axes:
        (line,) = axes.lines
        assert_close(line.get_ydata(), np.exp(distribution.log_density(line.get_xdata()[:, None])), EXACT, 1.0)


def test_the_same_samples_give_the_same_image_bytes():
    x = drawn(0, (4, 8, 8, 1))
    assert plotting.png_bytes(plotting.sample_sheet({"x": x}, "title")) == plotting.png_bytes(plotting.sample_sheet({"x": x}, "title"))


@pytest.mark.parametrize("sign, scale", [(1, "log"), (-1, "linear")])
def test_a_loss_curve_shows_all_steps_their_median_and_the_baselines(sign, scale):
    entries = [{"step": step, "loss": sign * 2 / step} for step in range(1, 101)]
    figure = plotting.loss_curve(entries, {"floor": 0.01, "zero": 1.0}, "loss", "squared error")
    assert_readable(figure)
    (axes,) = figure.axes
    batch, median, floor, zero = axes.lines
    np.testing.assert_array_equal(batch.get_ydata(), [entry["loss"] for entry in entries])
    np.testing.assert_array_equal(median.get_ydata()[:2], [sign * 1.5, sign * (2 / 3 + 2 / 4) / 2])
    assert axes.get_yscale() == scale and floor.get_ydata()[0] == 0.01 and zero.get_ydata()[0] == 1.0


def test_a_filmstrip_has_one_column_per_time():
    images = np.random.default_rng(0).standard_normal((6, 8, 8, 1))
    figure = plotting.filmstrip([(10, images), (5, images), (0, images)], "strip")
    assert_readable(figure)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "5", "0"]


def test_the_figure_check_refuses_each_fault():
    """Each check of ``assert_readable`` on a figure with only that fault."""
    faults = {
        "the figure has no title": lambda figure, axes: figure.suptitle(""),
        "an axis has no label": lambda figure, axes: axes.set_xlabel(""),
        "an image has no colour scale": lambda figure, axes: axes.pcolormesh(np.eye(3)),
        "lines look alike": lambda figure, axes: axes.plot([0, 1], [1, 0], color=plotting.BLUE),
        "touches the edge of the picture": lambda figure, axes: axes.text(1.5, 0.5, "far outside", transform=axes.transAxes),
    }
    for message, spoil in {"": lambda figure, axes: None, **faults}.items():
        figure, ((axes,),) = plotting.subplots(1, 1, 4, 3, "title")
        axes.plot([0, 1], [0, 1], color=plotting.BLUE)
        axes.set(xlabel="x", ylabel="y")
        spoil(figure, axes)
        if not message:
            assert_readable(figure)
            continue
        with pytest.raises(AssertionError, match=message):
            assert_readable(figure)
