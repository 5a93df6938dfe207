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


@pytest.mark.parametrize("shape", [(9, 8, 8, 1), (4, 8, 8, 3), (100, 1), (100, 2), (100, 5)])
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
