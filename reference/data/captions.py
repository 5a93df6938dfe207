"""Images from captions: a digit in one of five colours at one of five places, 32x32x3, on black.

The digits are scikit-learn's, enlarged from 8x8 to 16x16 pixels.  Image i is a function of the seed
and i: colour, digit, place and the handwritten digit are drawn evenly.  A caption has at most
``LENGTH`` words:

    a [red|green|blue|yellow|white] [0|..|9|digit] [on the left|on the right|at the top|at the
    bottom|in the middle]

It leaves out each attribute with probability ``LEFT_OUT``; "digit" stands for any number.  So
captions have two to six words, and a network learns from "a red digit", too.

Held out of training are the combinations whose numbers of colour and place, in the order above from
0 on, and digit add up to a multiple of five: 50 of 250.  Of the places that a digit of a colour can
have, this is one of five, so all pairs of attributes stay in the training data.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reference.diffusion.yardsticks import LinearDenoiser
from reference.networks.text import NULL, PAD
from reference.ops.random import Purpose, uniform

COLOURS = {  # red, green and blue, 0 or 1
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "white": (1, 1, 1),
}
DIGITS = tuple("0123456789")
PLACES = {  # the words before it, row and column of the first pixel of the digit
    "left": ("on the", 8, 0),
    "right": ("on the", 8, 16),
    "top": ("at the", 0, 8),
    "bottom": ("at the", 16, 8),
    "middle": ("in the", 8, 8),
}
KINDS = {"colour": tuple(COLOURS), "digit": DIGITS, "place": tuple(PLACES)}
SIDE, BOX = 32, 16  # pixels of an image and of a digit in it
LEFT_OUT = 0.1

LENGTH = 8
WORDS = ("a", *COLOURS, *DIGITS, "digit", "on", "at", "in", "the", *PLACES)
VOCABULARY = ("<pad>", "<null>", *WORDS)  # a token is a position here
LONGEST = LENGTH * (max(map(len, WORDS)) + 1) - 1  # letters and spaces of a caption
RGB = np.array([*COLOURS.values()], np.float32)
CORNERS = np.array([corner for _, *corner in PLACES.values()])


class Attributes(NamedTuple):
    """Positions in ``KINDS``: numbers, or arrays with one for each image; None for an attribute
    that a caption leaves out.
    """

    colour: Any
    digit: Any
    place: Any


# Captions.


def caption_of(attributes):
    """The caption that names these attributes."""
    colour, digit, place = attributes
    words = ["a"]
    words += [] if colour is None else [KINDS["colour"][colour]]
    words += ["digit" if digit is None else DIGITS[digit]]
    if place is not None:
        name = KINDS["place"][place]
        words += [PLACES[name][0], name]
    return " ".join(words)


def encode(caption):
    """(tokens[8], mask[8]): integers, and True where a token counts.  None is the null caption.
    The words of the vocabulary may come in any order.  ValueError for an empty caption, for another
    word, or for too many words.
    """
    words = _words(caption) if caption is not None else ["<null>"]
    tokens = np.full(LENGTH, PAD)
    tokens[: len(words)] = [VOCABULARY.index(word) for word in words]
    return tokens, counts(tokens)


def counts(tokens):
    """The mask of an array of tokens: all but the padding count."""
    return np.asarray(tokens) != PAD


def decode(tokens):
    """The caption of tokens[8]; None for the null caption."""
    tokens = [int(token) for token in tokens if token != PAD]
    return None if tokens == [NULL] else " ".join(VOCABULARY[token] for token in tokens)


def _words(caption):
    words = caption.lower().split()
    if not words:
        raise ValueError("a caption must have at least one word")
    for word in words:
        if word not in WORDS:
            raise ValueError(f"{word!r} is no word of a caption: the words are {', '.join(WORDS)}")
    if len(words) > LENGTH:
        raise ValueError(f"a caption must have at most {LENGTH} words, got {len(words)}")
    return words


def attributes_of(caption):
    """The attributes that a caption names.  ValueError as from ``encode``, or for two of a kind."""
    words, found = _words(caption), []
    for kind, names in KINDS.items():
        named = [word for word in words if word in names]
        if len(named) > 1:
            raise ValueError(f"a caption must name one {kind} at most, got {' and '.join(named)}")
        found.append(names.index(named[0]) if named else None)
    return Attributes(*found)


# Images.


@dataclass(frozen=True, eq=False)
class Captions:
    """train [n,8] and held_out [m,8]: the tokens of the captions of a data set's images.
    ``unseen`` [m]: whether a held-out image shows a combination that is held out of training.
    """

    train: np.ndarray
    held_out: np.ndarray
    unseen: np.ndarray


def is_held_out(attributes):
    """Is the combination held out of training?"""
    return sum(attributes) % len(PLACES) == 0


def draw(seed, sample, digits, labels, training):
    """(images [n,32,32,3], attributes, tokens [n,8]) of the images with the indices ``sample`` [n].

    digits[k,8,8,1] in [-1, 1] with their labels[k]; ``training``: without the combinations that
    are held out.
    """
    u = uniform(seed, sample, 0, Purpose.COMPONENT, (7,))
    choose = lambda column, count: (u[:, column] * count).astype(np.int64)
    colour, digit = choose(0, len(COLOURS)), choose(1, len(DIGITS))
    # counted from the place that is held out for this colour and digit
    place = int(training) + choose(2, len(PLACES) - int(training))
    place = (place - colour - digit) % len(PLACES)
    attributes = Attributes(colour, digit, place)
    by_digit = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[by_digit], np.arange(len(DIGITS) + 1))
    own = first[digit] + choose(3, first[digit + 1] - first[digit])
    named = [np.where(u[:, 4 + i] < LEFT_OUT, -1, one) for i, one in enumerate(attributes)]
    return render(digits[by_digit[own]], colour, place), attributes, _tokens()[tuple(named)]


def _tokens():
    """[6,11,6,8]: the tokens of all captions; the last entry of an axis leaves one out."""
    sizes = [len(names) + 1 for names in KINDS.values()]
    table = np.empty((*sizes, LENGTH), np.int64)
    for index in np.ndindex(*sizes):
        named = [None if one == size - 1 else one for one, size in zip(index, sizes)]
        table[index] = encode(caption_of(named))[0]
    return table


def render(digits, colour, place):
    """Images [n,32,32,3] in [-1, 1] of digits[n,8,8,1] in colour[n] at place[n].

    The map is affine in the digits.
    """
    ink = np.repeat(np.repeat((digits + 1) / 2, 2, axis=1), 2, axis=2)
    coloured = 2 * ink * RGB[colour][:, None, None].astype(digits.dtype) - 1
    images = np.full((len(digits), SIDE, SIDE, 3), -1, digits.dtype)
    for k, (row, column) in enumerate(CORNERS):
        here = place == k
        images[here, row : row + BOX, column : column + BOX] = coloured[here]
    return images


# Exact evaluators.


def _lit(images):
    """[n,h,w]: whether a pixel is brighter than half, in its brightest channel."""
    return images.max(axis=-1) > 0


def colour_of(images):
    """[n]: the colour nearest to the mean of the lit pixels, scaled to a largest channel of 1; -1
    for an image without lit pixels.
    """
    lit = _lit(images)[..., None]
    total = (np.clip((images + 1) / 2, 0, 1) * lit).sum(axis=(1, 2))
    scaled = total / np.maximum(total.max(axis=1, keepdims=True), 1e-9)
    nearest = ((scaled[:, None] - RGB) ** 2).sum(axis=2).argmin(axis=1)
    return np.where(lit.any(axis=(1, 2, 3)), nearest, -1)


def place_of(images):
    """[n]: the place whose middle is nearest to the centroid of the lit pixels; -1 for an image
    without lit pixels.
    """
    lit = _lit(images)
    number = np.maximum(lit.sum(axis=(1, 2)), 1)
    rows, columns = (lit.sum(axis=axis) @ np.arange(SIDE) / number for axis in (2, 1))
    distances = np.stack((rows, columns), axis=1)[:, None] - (CORNERS + (BOX - 1) / 2)
    return np.where(lit.any(axis=(1, 2)), (distances**2).sum(axis=2).argmin(axis=1), -1)


def crop(images, colour, place):
    """Digits [n,8,8,1] in [-1, 1] for a classifier, the inverse of ``render``: the least-squares
    brightness along the colour, averaged over the four pixels of each pixel of the digit.  colour
    and place [n] are as ``colour_of`` and ``place_of`` return them; -1 counts as the last.
    """
    rgb = RGB[colour]
    boxes = np.empty((len(images), BOX, BOX, 3), images.dtype)
    for i, (row, column) in enumerate(CORNERS[place]):
        boxes[i] = images[i, row : row + BOX, column : column + BOX]
    ink = np.einsum("nhwc,nc->nhw", (boxes + 1) / 2, rgb / (rgb**2).sum(axis=1, keepdims=True))
    return 2 * ink.reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4))[..., None] - 1


# One Gaussian a caption.


def caption_gaussian(caption, digits, labels):
    """The best linear denoiser of the images of a caption that names all attributes, which is the
    exact denoiser of the Gaussian with their mean and covariance.  Its x[b,32,32,3] is
    x_0 + sigma eps; the score of x is (x̂_0 - x) / sigma^2.

    digits[k,8,8,1] with labels[k]: their mean and covariance give those of the images, because
    ``render`` is affine.  So a combination that is held out of training has a Gaussian, too.  A
    direction of the digits grows by the factor 2 |rgb|: it fills four pixels for each.
    """
    colour, digit, place = attributes_of(caption)
    if None in (colour, digit, place):
        raise ValueError(f"{caption!r} must name a colour, a digit and a place")
    own = LinearDenoiser.fit(digits[labels == digit])

    def shown(x):
        square = x.reshape(len(x), *digits.shape[1:])
        return render(square, *np.full((2, len(x)), [[colour], [place]])).reshape(len(x), -1)

    factor = 2 * np.linalg.norm(RGB[colour].astype(np.float64))
    directions = (shown(own.vectors.T) - shown(0 * own.vectors.T)) / factor
    mean = shown(own.mean[None])[0]
    return LinearDenoiser(mean, factor**2 * own.eigenvalues, directions.T)
