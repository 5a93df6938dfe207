"""Pictures: that they are pictures, of what they should show."""

import io

import numpy as np
import pytest

from reference import figures


def decode(png):
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L")), image.info


def test_a_mosaic_holds_every_image_in_order_with_lines_between():
    images = np.arange(5.0).reshape(5, 1, 1, 1) / 4 * 2 - 1 + np.zeros((5, 2, 3, 1))
    sheet = figures.mosaic(images, 3)
    assert sheet.shape == (5, 11, 1)
    np.testing.assert_array_equal(sheet[::3, ::4, 0], [[0, 0.25, 0.5], [0.75, 1, 0.35]])
    np.testing.assert_array_equal(sheet[2], np.full((11, 1), 0.35))


def test_opacity_is_drawn_over_white_and_two_channels_as_red_and_green():
    rgba = np.array([[0.2, 0.4, 0.6, 1.0], [0.2, 0.4, 0.6, 0.0], [0.2, 0.4, 0.6, 0.5]]).reshape(3, 1, 1, 4)
    expected = np.array([[0.2, 0.4, 0.6], [1, 1, 1], [0.6, 0.7, 0.8]]).reshape(3, 1, 1, 3)
    np.testing.assert_allclose(figures.in_colour(rgba), expected, rtol=1e-15)
    np.testing.assert_allclose(figures.mosaic(rgba * 2 - 1, 1)[::2, 0], expected[:, 0, 0], rtol=1e-15)
    np.testing.assert_array_equal(figures.in_colour(rgba[..., :2])[..., 0, :], [[[0.2, 0.4, 0]]] * 3)
    for channels in (1, 3):
        np.testing.assert_array_equal(figures.in_colour(rgba[..., :channels]), rgba[..., :channels])
    with pytest.raises(ValueError, match="1 to 4 channels to be drawn, got 5"):
        figures.in_colour(np.zeros((1, 2, 2, 5)))


@pytest.mark.parametrize("shape, title", [((100, 5), "title\ncoordinates 1 and 2 of 5"), ((100, 2), "title")])
@pytest.mark.parametrize("size, aspect", [((1, 1), 1.0), ((1e-3, 1e3), "auto"), ((1e3, 1e-3), "auto")])
def test_a_cloud_says_which_coordinates_it_shows_and_is_no_line_in_unlike_units(monkeypatch, shape, title, size, aspect):
    drawn = []
    monkeypatch.setattr(figures, "png", lambda figure, description: drawn.append(figure.axes[0]))
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    x[:, :2] *= size
    figures.samples(x, "title")
    assert drawn[0].get_title() == title and drawn[0].get_aspect() == aspect


@pytest.mark.parametrize("shape", [(9, 8, 8, 1), (4, 8, 8, 2), (4, 8, 8, 3), (4, 8, 8, 4), (100, 1), (100, 2), (100, 5)])
def test_samples_of_every_kind_make_a_picture_that_carries_its_settings(shape):
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    pixels, info = decode(figures.samples(x, "title", "settings"))
    assert info["Description"] == "settings" and pixels.std() > 10


def test_the_same_samples_make_the_same_bytes():
    x = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1))
    assert figures.samples(x, "title") == figures.samples(x, "title")


def test_curve_panels_and_strip_are_pictures():
    entries = [{"step": step, "loss": 1 / step} for step in range(1, 101)]
    images = np.random.default_rng(0).standard_normal((6, 8, 8, 1))
    assert decode(figures.loss_curve(entries, 1.0, "loss"))[0].std() > 5
    assert decode(figures.image_panels({"a": images, "b": images}))[0].std() > 20
    assert decode(figures.strip([(10, images), (5, images), (0, images)], "strip"))[0].std() > 20
