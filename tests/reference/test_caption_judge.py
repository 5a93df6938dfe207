"""What images of captions show: all of it in real images, and none of it where the image is wrong or dark."""

import numpy as np
import pytest

from reference.data.caption_judge import agreement, attributes_seen, digit_classifier, judged
from reference.data.captions import KINDS, Attributes, caption_of, render
from reference.data.datasets import load_dataset

DIGITS = load_dataset("digits")
N = len(DIGITS.held_out)


@pytest.fixture(scope="module")
def classifier():
    return digit_classifier(DIGITS.train, DIGITS.train_labels)


@pytest.fixture(scope="module")
def shown():
    """What the images show: every pair of colour and place in turn, with the labels of the held-out digits."""
    colour, place = np.divmod(np.arange(N) % 25, 5)
    return Attributes(colour, DIGITS.held_out_labels, place)


@pytest.fixture(scope="module")
def seen(shown, classifier):
    return attributes_seen(render(DIGITS.held_out, shown.colour, shown.place), classifier)


def texts(attributes):
    return [caption_of(one) for one in zip(*attributes)]


def test_the_classifier_has_the_stated_accuracy_on_held_out_digits(classifier):
    assert (len(DIGITS.train), N) == (1438, 359)
    assert (classifier(DIGITS.held_out) == DIGITS.held_out_labels).sum() == 356


def test_colour_and_place_of_real_images_are_exact_and_digits_as_good_as_the_classifier(shown, seen, classifier):
    np.testing.assert_array_equal(seen.colour, shown.colour)
    np.testing.assert_array_equal(seen.place, shown.place)
    np.testing.assert_array_equal(seen.digit, classifier(DIGITS.held_out))
    assert agreement(seen, texts(shown)) == {"colour": (N, N), "digit": (356, N), "place": (N, N)}


@pytest.mark.parametrize("kind", KINDS)
def test_planted_wrong_attributes_are_found(kind, seen):
    """The captions name what is seen, but for every third image the next attribute of a kind."""
    wrong = np.arange(N) % 3 == 0
    named = seen._replace(**{kind: (getattr(seen, kind) + wrong) % len(KINDS[kind])})
    expected = {other: (N - (other == kind) * int(wrong.sum()), N) for other in KINDS}
    assert agreement(seen, texts(named)) == expected
    column = judged(seen, texts(named))[:, [*KINDS].index(kind)]
    np.testing.assert_array_equal(column, ~wrong)


def test_images_without_lit_pixels_are_wrong_in_all_attributes(classifier):
    black = attributes_seen(np.full((2, 32, 32, 3), -1, np.float32), classifier)
    assert [one.tolist() for one in black] == [[-1, -1]] * 3
    for last in ("a white 9 in the middle", "a red 0 on the left"):
        assert agreement(black, [last] * 2) == dict.fromkeys(KINDS, (0, 2))


def test_attributes_that_a_caption_leaves_out_are_not_counted(classifier):
    seen = Attributes(*np.array([[0, 0, 4], [3, 3, 3], [1, 0, 1]]))
    captions = ["a red digit on the right", "a 3 on the right", "a digit"]
    assert agreement(seen, captions) == {"colour": (1, 1), "digit": (1, 1), "place": (1, 2)}
    np.testing.assert_array_equal(judged(seen, captions), [[1, np.nan, 1], [np.nan, 1, 0], [np.nan] * 3])
