"""PNG files of 16-bit colours, against a writer that follows the specification byte by byte."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reference.data import formats, png
from tests import png_files
from tests.png_files import png_of

SIZES = st.integers(1, 6)


def smooth(h, w, c, seed, dtype):
    """Values whose neighbours are near each other, equal or far apart, so that each branch of a filter is taken."""
    draws = np.random.default_rng(seed)
    steps = draws.choice([0, 0, 1, -3, 60, 255, 9000], (h, w, c))
    return np.cumsum(np.cumsum(steps, axis=0), axis=1).astype(dtype)


@given(SIZES, SIZES, st.sampled_from([2, 3, 4]), st.integers(0, 99), st.lists(st.integers(0, 4), min_size=6, max_size=6), st.integers(1, 3))
def test_colours_of_16_bits_are_read_exactly_for_every_filter(tmp_path_factory, h, w, c, seed, filters, parts):
    path = tmp_path_factory.mktemp("png") / "x.png"
    x = smooth(h, w, c, seed, np.uint16)
    path.write_bytes(png_of(x, filters, parts))
    found = formats.picture(path)
    np.testing.assert_array_equal(found, x[..., [0, 0, 0, 1]] if c == 2 else x)
    assert found.dtype == np.uint16


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pillow_reads_the_files_of_the_writer_with_each_filter(kind, dtype):
    x = smooth(5, 7, 3, kind, dtype)
    with Image.open(io.BytesIO(png_of(x, [kind] * 5))) as image:
        np.testing.assert_array_equal(np.asarray(image), x >> (8 * x.itemsize - 8))


def test_a_folder_of_16_bit_colours_is_read_for_training(tmp_path):
    x = smooth(30, 4, 3, 0, np.uint16).reshape(6, 5, 4, 3)
    for i, each in enumerate(x):
        (tmp_path / f"{i}.png").write_bytes(png_of(each, [i % 5] * 5))
    np.testing.assert_array_equal(formats.read(tmp_path).x, x)


GOOD = png_of(smooth(3, 4, 3, 1, np.uint16), [4, 3, 1])
SIZE = 3 * (1 + 4 * 6)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"GIF89a", "it is not a PNG file"),
        (png_files.png(4, 3, 16, 2, bytes(SIZE), interlaced=1), "must not be interlaced"),
        (png_files.png(4, 3, 16, 2, bytes(SIZE - 1)), f"declares {SIZE} bytes of pixels, the file holds fewer"),
        (png_files.png(4, 3, 16, 2, bytes(SIZE + 1)), f"declares {SIZE} bytes of pixels, the file holds more"),
        (png_files.png(4, 3, 16, 2, b"\5" + bytes(SIZE - 1)), "its filter 5 is unknown"),
        (GOOD[:-30], "its chunk IDAT is damaged or cut short"),
        (GOOD[:-12], "it is cut short"),
        (GOOD[:60] + bytes([GOOD[60] ^ 1]) + GOOD[61:], "its chunk IDAT is damaged or cut short"),
    ],
    ids=["another format", "interlaced", "few bytes", "many bytes", "filter", "a cut chunk", "no end", "damaged"],
)
def test_damaged_16_bit_colours_are_refused_in_one_sentence(tmp_path, content, message):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"x\.png can't be read: .*{message}"):
        formats.picture(tmp_path / "x.png")


@pytest.mark.parametrize("a, b, c, nearest", [(10, 40, 30, 10), (40, 10, 30, 10), (7, 7, 200, 7), (10, 30, 20, 20)])
def test_in_a_tie_the_left_neighbour_comes_before_the_upper_one_and_that_before_the_corner(a, b, c, nearest):
    rows = np.array([[c, b], [(a - c) % 256, 5]], np.uint8)[..., None]  # row 0 as it is; the first pixel of row 1 is predicted by c, above
    x = png.unfilter(np.array([0, 4], np.uint8), rows)[..., 0]
    np.testing.assert_array_equal(x, [[c, b], [a, nearest + 5]])
