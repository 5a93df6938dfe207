"""Fashion-MNIST itself, in the folder that DIFFUSION_DATA_DIR names: its files, its moments, its classes."""

import gzip
import hashlib

import numpy as np
import pytest

from reference.data import mnist
from reference.data.datasets import load_dataset
from reference.runs.config import fingerprint
from tests.mnist_files import FILES

pytestmark = pytest.mark.fashion_mnist
SIZES = (16 + 60_000 * 28**2, 8 + 60_000, 16 + 10_000 * 28**2, 8 + 10_000)


@pytest.fixture(scope="module")
def data():
    return load_dataset("fashion-mnist")


@pytest.mark.parametrize("file, size", [*zip(FILES, SIZES)], ids=FILES)
def test_the_contents_of_a_file_have_the_known_hash(file, size):
    folder = mnist.find_folder("fashion-mnist")
    path = next(path for path in folder.iterdir() if path.name in (file, f"{file}.gz"))
    contents = gzip.decompress(path.read_bytes()) if path.suffix else path.read_bytes()
    assert len(contents) == size and hashlib.sha256(contents).hexdigest() == mnist.SOURCES["fashion-mnist"].hashes[file]


def test_mean_and_deviation_of_the_training_images(data):
    inner = data.train[:, 2:-2, 2:-2]
    moments = lambda x: (round(x.mean(dtype=np.float64), 4), round(x.std(dtype=np.float64), 4))
    assert moments(inner) == (-0.4279, 0.7060) and moments(data.train) == (-0.5620, 0.6636)
    assert data.train.min() == data.held_out.min() == -1 and data.train.max() == data.held_out.max() == 1


def test_the_classes_are_balanced_and_named_in_order(data):
    assert np.bincount(data.train_labels).tolist() == [6000] * 10 and np.bincount(data.held_out_labels).tolist() == [1000] * 10
    # seen in a picture of the first images
    first = [data.class_names[label] for label in data.train_labels[:6]]
    assert first == ["ankle boot", "T-shirt/top", "T-shirt/top", "dress", "T-shirt/top", "pullover"]


def test_the_training_data_keep_their_fingerprint(data):
    # config.json of a trained run holds it: other bits would refuse the run
    assert fingerprint(data) == "dda91f92218c2db4d68430d0931051d6149f670d9d31dbe07ea347c483d7a651"
