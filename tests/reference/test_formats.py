"""Data files: arrays, tables and images, with or without labels and test samples, and files with wrong headers."""

import gzip
import io
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reference.data import formats
from tests.png_files import png

DRAWS = np.random.default_rng(0)
IMAGES = DRAWS.integers(0, 256, (10, 6, 5), dtype=np.uint8)
COLOURS = DRAWS.integers(0, 256, (10, 6, 5, 3), dtype=np.uint8)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def refusal(read, *arguments):
    """The message of a ValueError, or None without an error."""
    try:
        read(*arguments)
    except ValueError as error:
        return str(error)
    return ""


# Shapes


@given(st.integers(1, 4), st.integers(5, 9), st.integers(5, 9))
def test_channels_first_or_last_are_detected_and_channels_first_is_reported(channels, height, width):
    x = np.arange(2 * height * width * channels).reshape(2, height, width, channels)
    last, none = formats.as_samples(x, "x")
    first, notes = formats.as_samples(x.transpose(0, 3, 1, 2), "x")
    np.testing.assert_array_equal(last, x)
    np.testing.assert_array_equal(first, x)
    assert none == () and f"{channels} channels, first" in notes[0]


def test_ambiguous_images_are_read_channels_last_with_a_message():
    x, notes = formats.as_samples(np.zeros((9, 3, 8, 3)), "x")
    assert x.shape == (9, 3, 8, 3) and notes == ("its shape (9, 3, 8, 3) is read as [n,h,w,c]: 3 channels, last",)


@pytest.mark.parametrize("shape", [(9, 8, 8, 5), (9, 5, 8, 8), (9,), (9, 0), (0, 2), (9, 2, 2, 2, 2)])
def test_arrays_of_other_shapes_are_refused(shape):
    assert refusal(formats.as_samples, np.zeros(shape), "x").startswith("x must hold")


def test_labels_may_be_a_column_or_booleans():
    for y in ([3, 0], [[3], [0]], [True, False]):
        labels = formats.as_labels(np.array(y), 2, "y")
        assert labels.dtype == np.int64 and labels.tolist() == np.ravel(y).tolist()


# .npz and .npy


@pytest.mark.parametrize("name, labels", [("x", "y"), ("X", "Y"), ("x", "labels"), ("images", "labels"), ("images", "y"), ("arr_0", None)])
def test_npz_names_of_samples_and_labels(tmp_path, name, labels):
    y = np.arange(10)
    np.savez(tmp_path / "d.npz", **{name: IMAGES} | ({labels: y[:, None]} if labels else {}))
    found = formats.read(tmp_path / "d.npz")
    np.testing.assert_array_equal(found.x[..., 0], IMAGES)
    assert found.held_out == 0 and np.array_equal(found.labels, y if labels else None)


@pytest.mark.parametrize("names", ["x_train x_test y_train y_test", "train_images test_images train_labels test_labels"])
@pytest.mark.parametrize("labelled", [True, False])
def test_test_samples_of_a_file_come_last_and_are_held_out(tmp_path, names, labelled):
    arrays = dict(zip(names.split(), (COLOURS[:7], COLOURS[7:], np.arange(7), np.arange(7, 10))))
    chosen = arrays if labelled else {name: array for name, array in arrays.items() if array.ndim == 4}
    np.savez(tmp_path / "d.npz", **chosen, val_images=COLOURS)
    found = formats.read(tmp_path / "d.npz")
    np.testing.assert_array_equal(found.x, COLOURS)
    assert found.held_out == 3 and found.notes == ("not used: val_images",)
    assert found.labels.tolist() == [*range(10)] if labelled else found.labels is None


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": IMAGES, "images": IMAGES}, "one array, or one called x"),
        ({"x_train": IMAGES, "x_test": COLOURS}, r"samples of one shape, got \(6, 5, 1\) in x_train and \(6, 5, 3\) in x_test"),
        ({"x_train": IMAGES, "x_test": IMAGES, "y_train": np.arange(10)}, "labels of both x_train and x_test, or of neither"),
        ({"x": IMAGES, "y": np.eye(10)}, "labels y of .* must hold 10 whole numbers"),
        ({"x": IMAGES, "X": IMAGES}, "more than upper and lower case"),
    ],
)
def test_ambiguous_npz_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        formats.read(tmp_path / "d.npz")


def test_npy_images_are_read_with_npy_or_idx_labels(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy(COLOURS))
    (tmp_path / "y.npy").write_bytes(npy(np.arange(10)))
    (tmp_path / "y.idx").write_bytes(idx(np.arange(10, dtype=np.uint8)))
    for labels in ("y.npy", "y.idx"):
        found = formats.read(tmp_path / "x.npy", tmp_path / labels)
        np.testing.assert_array_equal(found.x, COLOURS)
        assert found.labels.tolist() == [*range(10)]


def _lying_npy():
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 4)})
    return stream.getvalue() + b"\0" * 64


@pytest.mark.parametrize(
    "content, message",
    [
        (b"nothing of the kind", "can't be read"),
        (npy(IMAGES)[:-1], "declares 300 bytes and holds 299"),
        (npy(IMAGES) + b"x", "declares 300 bytes and holds 301"),
        (_lying_npy(), "declares"),
        (npy(np.array([[{}]] * 9)), "must hold numbers, not objects"),
        (npy(np.eye(9) * 1j), "must hold numbers, got complex128"),
    ],
)
def test_a_broken_npy_file_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        formats.read(tmp_path / "x.npy")


# IDX


@pytest.mark.parametrize("images_zipped", [False, True])
@pytest.mark.parametrize("labels_zipped", [False, True])
@pytest.mark.parametrize(
    "names", [("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte")]
)
def test_idx_labels_are_found_whether_either_file_is_gzipped(tmp_path, names, images_zipped, labels_zipped):
    paths = []
    for name, array, zipped in zip(names, (IMAGES, np.arange(10, dtype=np.uint8)), (images_zipped, labels_zipped)):
        paths.append(tmp_path / (name + ".gz" * zipped))
        paths[-1].write_bytes((gzip.compress if zipped else bytes)(idx(array)))
    assert np.array_equal(formats.read(paths[0]).labels, range(10))


def test_an_unknown_file_format_is_refused_naming_the_known_formats(tmp_path):
    (tmp_path / "points.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        ValueError, match=r"not an IDX file, nor has it the ending of another format; data can be .*\.npz, \.npy, \.csv, or a folder"
    ):
        formats.read(tmp_path / "points.parquet")


@pytest.mark.parametrize("name", ["d.npz", "d.csv", "folder"])
def test_a_labels_file_is_refused_for_data_that_are_not_one_array(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="labels go with a file of images in IDX or"):
        formats.read(tmp_path / name, tmp_path / "labels.idx")


# Text


@pytest.mark.parametrize(
    "name, text",
    [
        ("d.csv", "1,2\n-3,4e-1\n5,6\n"),
        ("d.CSV", "a,b\r\n1,2\r\n-3,4e-1\r\n5,6\r\n"),
        ("d.csv", "\ufeffa;b\n1;2\n-3;4e-1\n5;6"),
        ("d.tsv", "a\tb\n1\t2\n\n-3\t4e-1\n5\t6\n"),
        ("d.txt", "# made by; somebody, once\n 1.0  2.0 \n-3.0  4e-1\n5.0  6.0\n"),
        ("d.csv", '"a","b"\n"1","2"\n"-3",".4"\n5, 6\n'),
        ("d.csv", ",a,b\n0,1,2\n1,-3,.4\n2,5,6\n"),
    ],
)
def test_a_table_has_one_point_per_line(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    found = formats.read(tmp_path / name)
    np.testing.assert_array_equal(found.x, [[1, 2], [-3, 0.4], [5, 6]])
    assert found.labels is None and bool(found.notes) == text.startswith(",")


def test_a_column_called_label_holds_labels(tmp_path):
    (tmp_path / "d.csv").write_text("x,Label,y\n1,0,2\n3,7,4\n")
    found = formats.read(tmp_path / "d.csv")
    np.testing.assert_array_equal(found.x, [[1, 2], [3, 4]])
    assert found.labels.tolist() == [0, 7]


@pytest.mark.parametrize(
    "text, message",
    [
        (b"a,b\n1,2\n\n3,\n", r"d.csv, line 4, column 2: expected a number, got ''"),
        (b"1,2\n3,nan\n", "line 2, column 2: expected a number, got 'nan'"),
        (b"1,2\n3,4\ninf,4\n", "line 3, column 1: expected a number, got 'inf'"),
        (b"1,two\n3,4\n", "line 1, column 2: expected a number, got 'two'"),
        (b"a,b\nc,d\n1,2", "line 2, column 1: expected a number, got 'c'"),
        (b"a,b\n1,2,3\n", "line 2: expected 2 columns, got 3"),
        (b"1,2\n3\n", "line 2: expected 2 columns, got 1"),
        (b"1.5;2,5\n", "line 1, column 2: expected a number, got '2,5'"),
        (b"a,label\n1,0.5\n", "the column label of .* must hold 1 whole numbers"),
        (b"a,label\n1,1e300\n", "the column label of .* must hold 1 whole numbers"),
        (b"a,b\n", "must hold points"),
        (b"", "must hold points"),
        (b"\xff\xfe1,2\n", "can't be read"),
        (b"1,2\n" + b"9" * 200_000 + b",1\n", "can't be read: field larger"),
    ],
)
def test_a_non_numeric_table_is_refused_naming_the_line(tmp_path, text, message):
    (tmp_path / "d.csv").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        formats.read(tmp_path / "d.csv")


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1, max_size=5))
def test_numbers_are_read_from_a_table_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "d.csv"
    path.write_text("\n".join(",".join(map(repr, row)) for row in rows))
    np.testing.assert_array_equal(formats.read(path).x, rows)


# Images


def save(folder, arrays, mode=None, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(folder / f"{i:02}.png", **options)
    return folder


@pytest.mark.parametrize(
    "arrays, shape",
    [
        (IMAGES, (6, 5, 1)),
        (IMAGES > 99, (6, 5, 1)),
        (IMAGES * np.uint16(257), (6, 5, 1)),
        (COLOURS, (6, 5, 3)),
        (COLOURS[..., [0, 1, 2, 0]], (6, 5, 4)),
    ],
    ids=["grey", "black and white", "16 bits", "RGB", "RGBA"],
)
def test_a_folder_of_images_is_read_in_the_order_of_names(tmp_path, arrays, shape):
    folder = save(tmp_path / "d", arrays)
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_text("not one either")
    found = formats.read(folder)
    np.testing.assert_array_equal(found.x, arrays.reshape(10, *shape))
    assert found.x.dtype.kind == arrays.dtype.kind and found.labels is None and found.notes == ()


def test_subfolders_are_classes(tmp_path):
    for name, part in (("dog", COLOURS[:3]), ("cat", COLOURS[3:])):
        save(tmp_path / "d" / name, part)
    (tmp_path / "d" / "empty").mkdir()
    found = formats.read(tmp_path / "d")
    np.testing.assert_array_equal(found.x, np.concatenate((COLOURS[3:], COLOURS[:3])))
    assert found.labels.tolist() == [0] * 7 + [1] * 3 and found.notes == ("classes: cat, dog",)


def test_palette_images_and_grey_with_alpha_are_read_as_colours(tmp_path):
    few = COLOURS // 128 * 255
    found = formats.read(save(tmp_path / "palette", few, "P"))
    expected = [np.asarray(Image.open(tmp_path / "palette" / f"{i:02}.png").convert("RGB")) for i in range(10)]
    np.testing.assert_array_equal(found.x, expected)
    see_through = formats.read(save(tmp_path / "see-through", few, "P", transparency=0)).x
    assert see_through.shape == (10, 6, 5, 4) and set(np.unique(see_through[..., 3])) <= {0, 255}
    grey = formats.read(save(tmp_path / "grey", np.stack((IMAGES, 255 - IMAGES), axis=3))).x
    np.testing.assert_array_equal(grey, np.stack((IMAGES, IMAGES, IMAGES, 255 - IMAGES), axis=3))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.png", b"no picture", "a.png can't be read: it is not a PNG file"),
        ("a.png", png(2, 2, 16, 2, b"\0" * 26, interlaced=1), "colours of 16 bits must not be interlaced"),
        ("a.png", png(9000, 9000, 8, 0), "declares 9000x9000 pixels, more than its bytes can hold"),
        ("a.png", png(2**20, 2**20, 8, 0), "exceeds limit"),
        ("a.png", png(6, 5, 8, 0, b"\0" * 9), "can't be read"),
        ("zz.png", png(2, 2, 8, 0, b"\0" * 6), r"must be alike: .*00.png has 5x6 pixels of mode RGB, .*zz.png has 2x2 of L"),
    ],
    ids=["no picture", "interlaced 16-bit colours", "a lying header", "a bomb", "cut short", "another size"],
)
def test_unreadable_images_are_refused_in_one_line(tmp_path, name, content, message):
    folder = save(tmp_path / "d", COLOURS if name > "b" else [])
    (folder / name).write_bytes(content)
    assert re.search(message, refusal(formats.read, folder))


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no PNG files"):
        formats.read(tmp_path)
