"""Data sets: shapes, ranges, splits, and files with wrong headers."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest

from reference.data import datasets, formats
from tests.oracle_tolerances import EXACT32, assert_close

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 6, 4), dtype=np.uint8)
LABELS = np.arange(10, dtype=np.uint8)


def idx(array, code=0x08):
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    "name, shape", [("digits", (8, 8, 1)), ("captions", (32, 32, 3)), ("mixture1d", (1,)), ("mixture2d", (2,)), ("swiss-roll", (2,))]
)
def test_built_in_data_sets_are_float32_labelled_and_split_by_seed(name, shape):
    data, again, other = datasets.load_dataset(name), datasets.load_dataset(name), datasets.load_dataset(name, seed=1)
    assert data.train.dtype == np.float32 and data.shape == shape
    assert len(data.train) == len(data.train_labels) and len(data.held_out) == len(data.held_out_labels)
    assert len(data.held_out) == (len(data.train) + len(data.held_out)) // 5
    np.testing.assert_array_equal(data.train, again.train)
    assert not np.array_equal(data.held_out, other.held_out)


@pytest.mark.parametrize("name", ["digits", "swiss-roll"])
def test_bounded_data_sets_nearly_fill_minus_one_to_one(name):
    x = np.concatenate((datasets.load_dataset(name).train, datasets.load_dataset(name).held_out))
    assert -1 <= x.min() < -0.7 and 0.8 < x.max() <= 1


def test_digits_lie_on_the_lattice_of_their_bin_width():
    data = datasets.load_dataset("digits")
    steps = (data.train.astype(np.float64) + 1) / data.bin_width
    np.testing.assert_array_equal(steps, np.round(steps))
    assert len(data.train) + len(data.held_out) == 1797


def test_train_and_held_out_samples_partition_the_data_set():
    data = datasets.load_dataset("mixture2d")
    both = np.concatenate((data.train, data.held_out))
    assert len(both) == len(np.unique(both, axis=0)) == datasets.SYNTHETIC_SAMPLES


def test_data_range_is_per_coordinate_for_points_and_fixed_for_images():
    points = datasets.load_dataset("mixture2d")
    low, high = points.range
    assert low.shape == high.shape == (2,) and ((low <= points.train) & (points.train <= high)).all()
    assert all((points.train == edge).any(axis=0).all() for edge in (low, high))
    assert datasets.load_dataset("digits").range == (-1.0, 1.0)


def test_mixture_data_do_not_share_noise_with_the_prior_of_a_sampler():
    from reference.samplers.ancestral import prior

    data = datasets.load_dataset("mixture1d", seed=3)
    x = prior(3, np.arange(datasets.SYNTHETIC_SAMPLES), (1,), np.float64)
    correlation = np.corrcoef(datasets.example_2_1().sample(3, np.arange(datasets.SYNTHETIC_SAMPLES))[0][:, 0], x[:, 0])[0, 1]
    assert data.mixture is not None and abs(correlation) < 5 / datasets.SYNTHETIC_SAMPLES**0.5  # false alarm: 6e-7


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_images_and_their_labels_file_are_read(tmp_path, zipped):
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    path = tmp_path / f"train-images-idx3-ubyte{end}"
    path.write_bytes(pack(idx(IMAGES)))
    (tmp_path / f"train-labels-idx1-ubyte{end}").write_bytes(pack(idx(LABELS)))
    data = datasets.load_dataset(str(path))
    x, y = np.concatenate((data.train, data.held_out)), np.concatenate((data.train_labels, data.held_out_labels))
    np.testing.assert_array_equal(np.round((x[np.argsort(y)][..., 0] + 1) * 127.5), IMAGES)
    assert sorted(y) == list(LABELS) and data.bin_width == 2 / 255


@pytest.mark.parametrize("code, dtype", [(0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_types_are_big_endian(tmp_path, code, dtype):
    array = np.array([[[-3, 7]], [[100, -100]]], dtype)
    (tmp_path / "x").write_bytes(idx(array, code))
    read = formats.read_idx(tmp_path / "x")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.dtype(dtype).newbyteorder("=")


def _broken():
    whole = idx(IMAGES)
    yield "nothing in it", b"", "not an IDX file"
    yield "another magic number", b"PNG!" + whole[4:], "not an IDX file"
    yield "a header cut short", whole[:9], "truncated"
    yield "entries cut short", whole[:-1], "truncated"
    yield "more than promised", whole + b"x", "more"
    yield "a header that declares a terabyte", struct.pack(">HBB3I", 0, 8, 3, 2**20, 1024, 1024) + whole[16:], "declares"
    yield "a zipped header that declares a terabyte", gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**20, 1024, 1024)), "declares"
    yield "a zip cut short", gzip.compress(whole)[:-20], "can't be read"
    yield "a zip with a wrong byte", gzip.compress(whole)[:40] + b"\0\0\0\0" + gzip.compress(whole)[44:], "can't be read"
    yield "no images", idx(IMAGES[:0]), "must hold images"
    yield "labels alone", idx(LABELS), "must hold images"
    yield "one value everywhere", idx(np.zeros((10, 2, 2), ">f4"), 0x0D), "all equal"
    yield "not a number", idx(np.full((10, 2, 2), np.nan, ">f4"), 0x0D), "not finite"
    yield "one pixel value everywhere", idx(np.zeros((10, 2, 2), np.uint8)), "all equal"
    yield "too few samples", idx(IMAGES[:4]), "at least 5"


@pytest.mark.parametrize("content, message", [pytest.param(c, m, id=name) for name, c, m in _broken()])
def test_a_broken_idx_file_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "file.idx").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        datasets.load_dataset(str(tmp_path / "file.idx"))


@pytest.mark.parametrize("labels", [idx(LABELS[:9]), idx(np.zeros((10, 2), np.uint8)), idx(np.full(10, -1, np.int8), 0x09)])
def test_mismatched_labels_are_refused(tmp_path, labels):
    (tmp_path / "x.idx").write_bytes(idx(IMAGES))
    (tmp_path / "y.idx").write_bytes(labels)
    with pytest.raises(ValueError, match="must hold 10 whole numbers"):
        datasets.load_dataset(str(tmp_path / "x.idx"), labels=str(tmp_path / "y.idx"))


def test_a_missing_labels_file_and_labels_for_built_in_data_are_refused(tmp_path):
    (tmp_path / "x.idx").write_bytes(idx(IMAGES))
    with pytest.raises(ValueError, match="can't be read"):
        datasets.load_dataset(str(tmp_path / "x.idx"), labels=str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="labels go with"):
        datasets.load_dataset("digits", labels="y.idx")


@pytest.mark.parametrize(
    "x, shape",
    [(np.zeros((9, 4, 6)), (4, 6, 1)), (np.zeros((9, 4, 6, 3)), (4, 6, 3)), (np.zeros((9, 3, 6, 7)), (6, 7, 3)), (IMAGES, (6, 4, 1))],
)
def test_npz_images_are_scaled_to_minus_one_and_one(tmp_path, x, shape):
    x = x.copy()
    x.flat[0], x.flat[1] = 255, 0
    np.savez(tmp_path / "d.npz", x=x, labels=np.arange(len(x)))
    data = datasets.load_dataset(str(tmp_path / "d.npz"))
    both = np.concatenate((data.train, data.held_out))
    assert data.shape == shape and both.min() == -1 and both.max() == 1
    assert sorted([*data.train_labels, *data.held_out_labels]) == list(range(len(x)))


def test_npz_points_are_scaled_by_coordinate_and_units_invert_the_scaling(tmp_path):
    x = np.random.default_rng(0).standard_normal((50, 2)) * [1e-3, 1e3] + [0, 17]
    np.savez(tmp_path / "d.npz", x=x, labels=np.arange(50))
    data = datasets.load_dataset(str(tmp_path / "d.npz"))
    both, y = np.concatenate((data.train, data.held_out)), np.concatenate((data.train_labels, data.held_out_labels))
    assert_close(both.std(axis=0), np.ones(2), EXACT32)
    assert_close(data.units.to_file_units(both), x[y], EXACT32, np.abs(x).max(axis=0))
    assert data.bin_width == 0 and data.notes == ("each coordinate is scaled to mean 0 and deviation 1",)


def test_test_samples_in_a_file_are_held_out_and_scaled_like_the_rest(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=IMAGES // 16, x_test=IMAGES[:2] // 16 + 1, y_train=LABELS, y_test=[7, 8])
    data = datasets.load_dataset(str(tmp_path / "d.npz"))
    np.testing.assert_array_equal(data.train[..., 0], IMAGES // 16 / 8 - 1)
    np.testing.assert_array_equal(data.held_out[..., 0], (IMAGES[:2] // 16 + 1) / 8 - 1)
    assert data.train_labels.tolist() == [*LABELS] and data.held_out_labels.tolist() == [7, 8] and data.bin_width == 1 / 8


def test_padding_repeats_the_last_row_and_column_and_keeps_the_image(tmp_path):
    np.savez(tmp_path / "d.npz", x=IMAGES)
    data = datasets.load_dataset(str(tmp_path / "d.npz"))
    padded = data.padded((8, 7, 1))
    assert data.padded((6, 4, 1)) is data and padded.shape == (8, 7, 1)
    for before, after in ((data.train, padded.train), (data.held_out, padded.held_out)):
        np.testing.assert_array_equal(after[:, :6, :4], before)
        np.testing.assert_array_equal(after[:, 6:, :4], before[:, [-1, -1]])
        np.testing.assert_array_equal(after[:, :, 4:], after[:, :, [3, 3, 3]])


def _npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _lying_npz():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 4)})
        member.write(b"\0" * 64)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no zip at all", "can't be read"),
        (_npz(x=np.eye(9))[:100], "can't be read"),
        (_npz(a=np.eye(9), b=np.eye(9)), "one called x"),
        (_npz(x=np.zeros(9)), "must hold points"),
        (_npz(x=np.eye(9), y=np.arange(8)), "9 whole numbers"),
        (_npz(x=np.array([["a", "b"]] * 9)), "must hold numbers"),
        (_npz(x=np.array([{}] * 9)[:, None]), "must hold numbers"),
        (_lying_npz(), "declares"),
    ],
)
def test_a_broken_npz_file_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        datasets.load_dataset(str(tmp_path / "file.npz"))


def test_an_unknown_data_set_is_refused_naming_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown data set 'nowhere'.*digits"):
        datasets.load_dataset("nowhere")
