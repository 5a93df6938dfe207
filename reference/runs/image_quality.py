"""The quality of samples of images, beside that of as many held-out images, with intervals.

Three sets of n images are compared: samples, held-out images and training images.  Each number of
the samples stands beside the same number of the held-out images in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reference.data.bootstrap import bootstrap
from reference.data.metrics import frechet_distance, principal_components, project
from reference.data.neighbours import in_manifold, training_neighbours

NAMES = {
    "frechet": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "class_accuracy": "class accuracy",
    "training_distance": "median distance to the nearest training image",
    "nearest_is_training": "nearest of all real images is a training image",
    "nearest_is_training_expected": "... expected without memorisation",
}
RESAMPLES = 200


class Estimate(NamedTuple):
    """A number and the ends of its bootstrap interval, 95 %.  An exact number has equal ends."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Features:
    """The features of images that distances are measured in.

    name               for the printed numbers
    of                 images [n,h,w,c] -> [n,d], float64
    log_probabilities  images -> log p(label | x) [n,classes], None without a classifier
    """

    name: str
    of: Callable[[Any], Any]
    log_probabilities: Callable[[Any], Any] | None = None


def pca_features(data, count=20):
    """The coordinates along the first principal components of the training images."""
    components = principal_components(data.train, count)
    found = len(components[1])
    return Features(f"{found} principal components", lambda x: project(x, components))


def classifier_features(run, ops):
    """The input of the last layer of the classifier of ``run``."""
    model, params = run.model, run.state.ema
    name = f"features of the classifier {run.folder}"
    features = lambda x: model.features(params, x, ops=ops).astype(np.float64)
    return Features(name, features, lambda x: model.log_probabilities(params, x, ops=ops))


def image_quality(x, data, features, labels=None):
    """Name -> column -> ``Estimate``, for the samples x[m,h,w,c] with the labels[m] they were drawn
    for, if any; names as in NAMES, columns ``samples`` and ``real``, the held-out images.

    The three sets have n images, the smallest number among x, held-out and training images.  For
    the last three names the samples are compared with all training and all held-out images, in
    pixels.  All intervals hold for the given training images, which both columns share, and the
    interval of recall for the manifold of the given images.
    """
    n = min(len(x), len(data.held_out), len(data.train))
    held_out = spread(len(data.held_out), n)
    reference = features.of(data.train[spread(len(data.train), n)])
    of_real = data.held_out_labels[held_out] if data.has_labels else None
    labels = None if labels is None else labels[:n]
    columns = {
        "samples": (x[:n], labels, False),
        "real": (data.held_out[held_out], of_real, True),
    }
    found: dict[str, dict[str, Estimate]] = {name: {} for name in NAMES}
    for column, (images, known, are_held_out) in columns.items():
        neighbours = training_neighbours(images, data.train, data.held_out, are_held_out)
        estimates = feature_quality(images, features, reference, known) | {
            "training_distance": _estimate(np.median, neighbours.distance),
            "nearest_is_training": _estimate(np.mean, neighbours.nearer),
            "nearest_is_training_expected": Estimate(*3 * (neighbours.expected,)),
        }
        for name, estimate in estimates.items():
            found[name][column] = estimate
    return {name: columns for name, columns in found.items() if columns}


def feature_quality(images, features, reference, labels=None):
    """Name -> ``Estimate`` of images[n,h,w,c] with labels[n], if any, against the features
    reference[m,d] of training images; names as in NAMES.
    """
    own = features.of(images)
    estimates = {
        "frechet": _estimate(lambda drawn: frechet_distance(drawn, reference), own),
        "precision": _estimate(np.mean, in_manifold(own, reference)),
        "recall": _estimate(np.mean, in_manifold(reference, own)),
    }
    if features.log_probabilities and labels is not None:
        predicted = features.log_probabilities(images).argmax(axis=1)
        estimates["class_accuracy"] = _estimate(np.mean, predicted == labels)
    return estimates


def spread(count, n):
    """n of the indices 0 .. count-1, evenly: data that are sorted by class keep their classes."""
    return np.arange(n) * count // n


def _estimate(statistic, *samples):
    low, high = bootstrap(statistic, *samples, resamples=RESAMPLES)
    return Estimate(float(statistic(*samples)), low, high)
