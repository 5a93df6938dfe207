"""Measures of sample quality by nearest neighbours: precision and recall, and memorisation.

Distances are Euclidean, between features [n,d] or flattened samples [n,...].
"""

from dataclasses import dataclass

import numpy as np

TABLE = 2**24  # entries of the table of distances that are held at once


def nearest(x, real, k=1):
    """(distances [n,k], indices [n,k]) of the k samples of real[m,...] nearest to each of x[n,...],
    the nearest first.  ValueError unless 1 <= k <= m.

    ‖x - y‖^2 = ‖x‖^2 - 2 x · y + ‖y‖^2 chooses the neighbours, in the common dtype of the samples:
    two at distances equal to its rounding may be exchanged.  Then their distances are computed in
    float64 from the differences, so that the distance of a copy is exactly 0.
    """
    x, real = _flat(x), _flat(real)
    if not 1 <= k <= len(real):
        raise ValueError(f"k must lie in 1 .. {len(real)}, got {k}")
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    for block, squares in _square_distances(x, real):
        found = np.argpartition(squares, k - 1, axis=1)[:, :k]
        differences = x[block, None].astype(np.float64) - real[found]
        exact = np.sqrt((differences**2).sum(axis=2))
        order = exact.argsort(axis=1)
        distances[block] = np.take_along_axis(exact, order, axis=1)
        indices[block] = np.take_along_axis(found, order, axis=1)
    return distances, indices


def in_manifold(x, real, k=3):
    """[n]: whether each of x[n,...] lies in the estimated manifold of real[m,...].  That is the
    union of balls around each of ``real`` that reach to its k-th nearest other sample of ``real``.
    ValueError unless 1 <= k < m.

    The share of generated x within the manifold of real data is the improved precision, the share
    of real x within the manifold of generated samples the improved recall (Kynkäänniemi et al.
    2019, k = 3).  Both rise with the numbers of samples: compare them at equal numbers.
    """
    if not 1 <= k < len(real):
        raise ValueError(f"k must lie in 1 .. {len(real) - 1}, got {k}")
    radii = nearest(real, real, k + 1)[0][:, k]  # the first neighbour is the sample itself
    inside = np.empty(len(x), bool)
    for block, squares in _square_distances(_flat(x), _flat(real)):
        inside[block] = (squares <= radii**2).any(axis=1)
    return inside


@dataclass(frozen=True, eq=False)
class TrainingNeighbours:
    """The nearest training sample of each of x[n,...]: its index [n] and its distance [n].

    nearer     [n], whether it is nearer than every held-out sample
    expected   the expected share of ``nearer`` for x that memorise nothing
    """

    index: np.ndarray
    distance: np.ndarray
    nearer: np.ndarray
    expected: float


def training_neighbours(x, train, held_out, are_held_out=False):
    """The ``TrainingNeighbours`` of x[n,...] in train[m,...], beside held_out[h,...].

    A test of memorisation: suppose that x depends on the law of the data, and not on the choice
    of the m training samples among all m + h.  Then the nearest of all is a training sample with
    probability m / (m + h), whatever the law of x: blurred or wrong samples have the same share.
    Copies of training samples have share 1.

    ``are_held_out``: x are some of ``held_out``, and each leaves itself out: m / (m + h - 1).
    """
    distance, index = nearest(x, train)
    others = nearest(x, held_out, 2 if are_held_out else 1)[0][:, -1]
    nearer = distance[:, 0] < others
    expected = len(train) / (len(train) + len(held_out) - are_held_out)
    return TrainingNeighbours(index[:, 0], distance[:, 0], nearer, expected)


def _flat(x):
    return np.reshape(x, (len(x), -1))


def _square_distances(x, real):
    """Yield (slice of x, squared distances [b,m] of that block to ``real``), because the table of
    all of them may not fit into memory.
    """
    of_real = np.einsum("md,md->m", real, real)
    rows = max(1, TABLE // len(real))
    for first in range(0, len(x), rows):
        block = slice(first, first + rows)
        part = x[block]
        yield block, np.einsum("nd,nd->n", part, part)[:, None] + of_real - 2 * part @ real.T
