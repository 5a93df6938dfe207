"""The quality of samples of images beside that of held-out images, on two classes of random images."""

import numpy as np

from reference.data.datasets import Dataset
from reference.data.metrics import frechet_distance
from reference.runs.image_quality import Features, image_quality, pca_features, spread
from tests.oracle_tolerances import EXACT, assert_close, z_score

RNG = np.random.default_rng(0)


def images(labels, width=1.0):
    """4x4 images whose first row has the mean 3 in class 0 and -3 in class 1."""
    x = width * RNG.standard_normal((len(labels), 4, 4, 1))
    x[:, 0] += 3 - 6 * labels[:, None, None]
    return x.astype(np.float32)


TRAIN_LABELS, HELD_OUT_LABELS = np.arange(400) // 200, np.arange(160) // 80  # sorted by class
DATA = Dataset("two classes", images(TRAIN_LABELS), images(HELD_OUT_LABELS), TRAIN_LABELS, HELD_OUT_LABELS)
by_first_row = lambda x: np.stack((x[:, 0].sum(axis=(1, 2)), -x[:, 0].sum(axis=(1, 2))), axis=1)
PIXELS = Features("pixels", lambda x: x.reshape(len(x), -1).astype(np.float64), by_first_row)


def test_indices_are_spread_evenly_over_the_data():
    assert spread(10, 4).tolist() == [0, 2, 5, 7] and spread(4, 4).tolist() == [0, 1, 2, 3]


def test_held_out_images_in_the_place_of_samples_have_the_numbers_of_held_out_images():
    """Distances to other held-out images differ: held-out images leave themselves out, samples don't."""
    found = image_quality(DATA.held_out, DATA, PIXELS, HELD_OUT_LABELS)
    for name in ("frechet", "precision", "recall", "class_accuracy", "training_distance"):
        assert found[name]["samples"] == found[name]["real"], name
        assert found[name]["real"].low <= found[name]["real"].value <= found[name]["real"].high
    features = [PIXELS.of(part[spread(len(part), 160)]) for part in (DATA.held_out, DATA.train)]
    assert_close(found["frechet"]["real"].value, frechet_distance(*features), EXACT)
    assert found["class_accuracy"]["real"].value > 0.99 and found["precision"]["real"].value > 0.5 < found["recall"]["real"].value


def test_samples_of_one_class_lose_recall_and_not_precision():
    found = image_quality(images(np.zeros(200), width=0.5), DATA, PIXELS, np.arange(200) % 2)
    assert found["precision"]["samples"].value > 0.9 and found["recall"]["samples"].value < 0.5
    assert found["frechet"]["samples"].low > found["frechet"]["real"].high
    assert 0.4 < found["class_accuracy"]["samples"].value < 0.6


def test_copies_of_training_images_are_told_from_new_images():
    share = 400 / 560
    copies, new = DATA.train[::3], images(np.arange(300) % 2)
    found = image_quality(copies, DATA, pca_features(DATA, 3))
    assert found["nearest_is_training"]["samples"].value == 1 and found["training_distance"]["samples"].value == 0
    assert found["nearest_is_training_expected"]["samples"].value == share and "class_accuracy" not in found
    found = image_quality(new, DATA, pca_features(DATA, 3))["nearest_is_training"]
    # real images as neighbours are shared: between those of one training set the share varies as for about as many samples again
    assert abs(found["samples"].value - share) < z_score() * (2 * share * (1 - share) / 160) ** 0.5


def test_principal_components_are_named_and_counted():
    assert pca_features(DATA).name == "16 principal components"
    assert pca_features(DATA, 3).of(DATA.held_out).shape == (160, 3)
