"""Nearest neighbours against brute force, precision and recall of constructed clouds, and memorisation."""

import numpy as np
import pytest

from reference.data import neighbours
from reference.data.neighbours import in_manifold, nearest, training_neighbours
from tests.oracle_tolerances import EXACT, assert_close, z_score

RNG = np.random.default_rng(0)


def test_nearest_neighbours_equal_a_brute_force_search(monkeypatch):
    monkeypatch.setattr(neighbours, "TABLE", 60)  # three samples a block
    x, real = RNG.standard_normal((7, 3, 1, 1)), RNG.standard_normal((20, 3, 1, 1))
    squares = ((x[:, None] - real) ** 2).sum(axis=(2, 3, 4))
    distances, indices = nearest(x, real, 3)
    assert (indices == squares.argsort(axis=1)[:, :3]).all()
    assert_close(distances**2, np.sort(squares, axis=1)[:, :3], EXACT)


@pytest.mark.parametrize("k", [0, 21])
def test_a_number_of_neighbours_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match=rf"k must lie in 1 .. 20, got {k}"):
        nearest(np.zeros((2, 3)), np.zeros((20, 3)), k)
    if k:
        with pytest.raises(ValueError, match=r"k must lie in 1 .. 20, got 21"):
            in_manifold(np.zeros((2, 3)), np.zeros((21, 3)), k)


def test_the_distance_of_a_copy_is_exactly_zero_in_single_precision():
    real = (100 + RNG.standard_normal((50, 40))).astype(np.float32)
    distances, indices = nearest(real[[3, 17]], real)
    assert (distances == 0).all() and (indices[:, 0] == [3, 17]).all()


def test_the_manifold_of_points_on_a_line_is_the_union_of_their_balls():
    """Nearest others of 0, 1, 2, 4 are 1, 1, 1 and 2 away, second nearest 2, 1, 2 and 3."""
    real = np.array([[0.0], [1.0], [2.0], [4.0]])
    x = np.array([[-2.1], [-1.9], [-0.9], [3.5], [5.9], [6.9], [7.1]])
    assert in_manifold(x, real, 1).tolist() == [False, False, True, True, True, False, False]
    assert in_manifold(x, real, 2).tolist() == [False, True, True, True, True, True, False]


def test_the_manifold_equals_its_definition_by_loops(monkeypatch):
    monkeypatch.setattr(neighbours, "TABLE", 40)
    real, x = RNG.standard_normal((15, 2)), 2 * RNG.standard_normal((30, 2))
    radii = [np.sort([np.linalg.norm(r - other) for j, other in enumerate(real) if j != i])[2] for i, r in enumerate(real)]
    expected = [any(np.linalg.norm(point - r) <= radius for r, radius in zip(real, radii)) for point in x]
    assert in_manifold(x, real).tolist() == expected and 0 < sum(expected) < 30


def test_a_lost_mode_halves_recall_and_stray_samples_halve_precision():
    """In ten dimensions clusters 100 apart don't reach each other; within one, samples of one law cover most of each other."""
    clusters = RNG.standard_normal((4, 200, 10)) + 100 * np.arange(4)[:, None, None]
    real, one_mode = np.concatenate(clusters[:2]), RNG.standard_normal((400, 10))
    assert in_manifold(one_mode, real).mean() > 0.7 and 0.4 < in_manifold(real, one_mode).mean() <= 0.5
    stray = np.concatenate((RNG.standard_normal((200, 10)), clusters[3]))
    assert 0.35 < in_manifold(stray, real).mean() <= 0.5


# Memorisation


@pytest.mark.parametrize("are_held_out", [False, True])
def test_samples_that_memorise_nothing_have_the_expected_training_neighbours(are_held_out, trials=4000):
    """One sample a trial, so that trials are independent; its law is not that of the data."""
    nearer = np.empty(trials)
    for k in range(trials):
        train, held_out = RNG.standard_normal((6, 2)), RNG.standard_normal((3, 2))
        x = held_out[1:2] if are_held_out else 0.1 * RNG.standard_normal((1, 2)) + 0.3
        found = training_neighbours(x, train, held_out, are_held_out)
        assert found.expected == (6 / 8 if are_held_out else 6 / 9)
        nearer[k] = found.nearer[0]
    assert abs(nearer.mean() - found.expected) < z_score(2) * (found.expected * (1 - found.expected) / trials) ** 0.5


def test_copies_of_training_samples_are_all_nearer_to_training_samples():
    train, held_out = RNG.standard_normal((60, 5)), RNG.standard_normal((40, 5))
    found = training_neighbours(train[::-1][:20] + 1e-6, train, held_out)
    assert found.nearer.all() and (found.index == np.arange(59, 39, -1)).all()
    assert (training_neighbours(held_out, train, held_out).nearer == 0).all()
