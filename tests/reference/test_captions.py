"""Images from captions: grammar and vocabulary, what is drawn and what is held out, evaluators, and the Gaussian of a caption."""

from itertools import product

import numpy as np
import pytest

from reference.commands.cli import main
from reference.data import captions, datasets
from reference.data.captions import COLOURS, DIGITS, KINDS, LEFT_OUT, PLACES, VOCABULARY, Attributes
from tests.oracle_tolerances import EXACT32, LINEAR_ALGEBRA, assert_close, assert_mean

ALL = [Attributes(*found) for found in product(*((*range(len(names)), None) for names in KINDS.values()))]
FULL = [found for found in ALL if None not in found]


@pytest.fixture(scope="module")
def data():
    return datasets.load_dataset("captions")


@pytest.fixture(scope="module")
def digits():
    return datasets.load_dataset("digits")


@pytest.fixture(scope="module")
def shown(data):
    """[n,3] of the training and of the held-out images: colour, digit and place, by the evaluators and the labels."""
    found = lambda x, labels: np.stack((captions.colour_of(x), labels, captions.place_of(x)), axis=1)
    return found(data.train, data.train_labels), found(data.held_out, data.held_out_labels)


# captions


def test_every_caption_of_the_grammar_is_encoded_decoded_and_understood():
    assert len(ALL) == 6 * 11 * 6 and len({captions.caption_of(found) for found in ALL}) == len(ALL)
    for found in ALL:
        caption = captions.caption_of(found)
        tokens, mask = captions.encode(caption)
        words = len(caption.split())
        assert tokens.shape == mask.shape == (8,) and mask.tolist() == [True] * words + [False] * (8 - words)
        assert captions.decode(tokens) == caption and captions.attributes_of(caption) == found


@pytest.mark.parametrize(
    "caption, attributes",
    [
        ("a red 3 on the left", (0, 3, 0)),
        ("a white 0 in the middle", (4, 0, 4)),
        ("A  Blue digit at the TOP", (2, None, 2)),
        ("a 7", (None, 7, None)),
        ("a digit on the right", (None, None, 1)),
    ],
)
def test_captions_are_read(caption, attributes):
    assert captions.attributes_of(caption) == attributes
    tokens, mask = captions.encode(caption)
    assert [VOCABULARY[token] for token in tokens[mask]] == caption.lower().split()


def test_the_null_caption_has_a_token_of_its_own():
    tokens, mask = captions.encode(None)
    assert [VOCABULARY[token] for token in tokens[:2]] == ["<null>", "<pad>"] and mask.tolist() == [True] + [False] * 7
    assert captions.decode(tokens) is None


@pytest.mark.parametrize(
    "caption, message",
    [
        ("", "^a caption must have at least one word$"),
        ("  ", "^a caption must have at least one word$"),
        ("a purple 3", "^'purple' is no word of a caption: the words are a, red, .*, 9, digit, .*, middle$"),
        ("a <null>", "^'<null>' is no word"),
        ("a red 10", "^'10' is no word"),
        ("a a a a a a a a a", "^a caption must have at most 8 words, got 9$"),
    ],
)
def test_captions_that_can_not_be_encoded_are_refused_in_one_sentence(caption, message):
    for function in (captions.encode, captions.attributes_of):
        with pytest.raises(ValueError, match=message):
            function(caption)


@pytest.mark.parametrize(
    "caption, message",
    [("a red blue 3", "one colour at most, got red and blue"), ("a 3 on the left top", "one place at most, got left and top")],
)
def test_a_caption_with_two_attributes_of_a_kind_is_refused(caption, message):
    with pytest.raises(ValueError, match=f"^a caption must name {message}$"):
        captions.attributes_of(caption)


# images


def test_a_fifth_of_the_combinations_is_held_out_and_every_pair_of_attributes_stays():
    seen = [found for found in FULL if not captions.is_held_out(found)]
    assert len(FULL) == 250 and len(seen) == 200
    for pair in ((0, 1), (0, 2), (1, 2)):
        assert len({tuple(found[i] for i in pair) for found in seen}) == len({tuple(found[i] for i in pair) for found in FULL})
    assert captions.is_held_out(captions.attributes_of("a red 5 on the left")) and not captions.is_held_out((0, 3, 0))


def test_no_training_image_shows_a_held_out_combination_and_all_others_are_shown(shown):
    seen = {tuple(found) for found in FULL if not captions.is_held_out(found)}
    assert not seen.symmetric_difference(map(tuple, shown[0].tolist()))


def test_held_out_images_show_all_combinations_and_are_flagged(data, shown):
    assert len(np.unique(shown[1], axis=0)) == 250
    np.testing.assert_array_equal(data.captions.unseen, [captions.is_held_out(found) for found in shown[1]])
    assert_mean(data.captions.unseen, 1 / 5)


def test_attributes_are_drawn_evenly(shown):
    for found in shown:
        for column, names in zip(found.T, KINDS.values()):
            for value in range(len(names)):
                assert_mean(column == value, 1 / len(names), tests=2 * 20)


def test_captions_name_what_their_images_show_and_leave_out_attributes_independently(data, shown):
    named = [captions.attributes_of(captions.decode(tokens)) for tokens in data.captions.train]
    left_out = np.array([[one is None for one in found] for found in named])
    values = np.array([[-1 if one is None else one for one in found] for found in named])
    np.testing.assert_array_equal(values, np.where(left_out, -1, shown[0]))
    for absent in product((False, True), repeat=3):
        expected = np.prod([LEFT_OUT if one else 1 - LEFT_OUT for one in absent])
        assert_mean((left_out == absent).all(axis=1), expected, tests=8)


def test_an_image_depends_on_the_seed_and_its_index_alone(data, digits, shown):
    index = np.array([5, 15_999, 3])
    images, attributes, tokens = captions.draw(0, index, digits.train, digits.train_labels, True)
    np.testing.assert_array_equal(images, data.train[index])
    np.testing.assert_array_equal(tokens, data.captions.train[index])
    np.testing.assert_array_equal(np.stack(attributes, axis=1), shown[0][index])
    assert not np.array_equal(images, captions.draw(1, index, digits.train, digits.train_labels, True)[0])


def test_training_images_show_training_digits_and_held_out_images_held_out_digits(data, digits, shown):
    levels = lambda x: [picture.tobytes() for picture in np.round((x + 1) * 8).astype(int)]
    for images, found, own in ((data.train, shown[0], digits.train), (data.held_out, shown[1], digits.held_out)):
        assert {*levels(captions.crop(images, found[:, 0], found[:, 2]))} <= {*levels(own)}


def test_the_data_set_has_labels_and_its_lattice(data):
    assert data.shape == (32, 32, 3) and data.train.dtype == np.float32 and data.class_names == DIGITS
    steps = (data.train[:500].astype(np.float64) + 1) / data.bin_width
    np.testing.assert_array_equal(steps, np.round(steps))
    assert datasets.load_dataset("digits").captions is None


# evaluators


@pytest.mark.parametrize("place", range(len(PLACES)))
@pytest.mark.parametrize("colour", range(len(COLOURS)))
def test_colour_place_and_digit_of_every_image_are_found(colour, place, digits):
    x = digits.train
    of_all = np.full(len(x), colour), np.full(len(x), place)
    images = captions.render(x, *of_all)
    np.testing.assert_array_equal(captions.colour_of(images), of_all[0])
    np.testing.assert_array_equal(captions.place_of(images), of_all[1])
    assert_close(captions.crop(images, *of_all), x, EXACT32, 1)


def test_evaluators_bear_noise_and_find_nothing_in_noise_alone_and_in_black(data):
    images, noise = data.train[:500], np.random.default_rng(0).standard_normal((500, 32, 32, 3)).astype(np.float32)
    right = lambda x: [(found(x) == found(images)).mean() for found in (captions.colour_of, captions.place_of)]
    assert right(images + 0.2 * noise) == [1, 1]
    for most, least in zip(right(images + 0.5 * noise), right(images + noise)):
        assert 1 >= most > least > 0
    for one, names in zip(right(noise), (COLOURS, PLACES)):
        assert one < 2 / len(names)
    black = np.full((2, 32, 32, 3), -1, np.float32)
    assert captions.colour_of(black).tolist() == captions.place_of(black).tolist() == [-1, -1]
    assert captions.crop(black, np.array([-1, 0]), np.array([-1, 0])).max() == -1


# the Gaussian of a caption


@pytest.mark.parametrize("caption", ["a yellow 4 in the middle", "a red 5 on the left"], ids=["seen", "unseen"])
def test_the_gaussian_of_a_caption_has_the_mean_and_the_covariance_of_its_images(caption, digits):
    colour, digit, place = captions.attributes_of(caption)
    own = digits.train[digits.train_labels == digit].astype(np.float64)
    images = captions.render(own, np.full(len(own), colour), np.full(len(own), place))
    gaussian = captions.caption_gaussian(caption, digits.train, digits.train_labels)
    mean = images.mean(axis=0)
    assert_close(gaussian.mean.reshape(mean.shape), mean, LINEAR_ALGEBRA, 1)
    sigma, x = 0.5, images[:3] + 0.5 * np.random.default_rng(0).standard_normal((3, 32, 32, 3))
    x0_hat = gaussian.posterior_mean(x, sigma)
    # x̂_0 = m + C (C + sigma^2)^{-1} (x - m) is the same as x̂_0 - m = C (x - x̂_0) / sigma^2
    centred, error = (images - mean).reshape(len(own), -1), (x - x0_hat).reshape(3, -1)
    expected = error @ centred.T @ centred / len(own) / sigma**2
    assert_close((x0_hat - mean).reshape(3, -1), expected, LINEAR_ALGEBRA, np.abs(expected).max())


@pytest.mark.parametrize("caption", ["a red digit on the left", "a 3 on the left", "a red 3"])
def test_a_caption_that_leaves_an_attribute_out_has_no_single_gaussian(caption, digits):
    with pytest.raises(ValueError, match=r"must name a colour, a digit and a place$"):
        captions.caption_gaussian(caption, digits.train, digits.train_labels)


# commands


def test_info_states_the_rule_of_the_held_out_combinations(capsys):
    assert main(["info", "--data", "captions"]) == 0
    out = capsys.readouterr().out
    assert "images of 32x32 pixels, channels: 3" in out and "16000 to train on, 4000 held out" in out
    assert "not in training where colour + digit + place, counted from 0, is a multiple of 5" in out


@pytest.mark.parametrize("options", [[], ["--classes"]], ids=["without labels", "with labels"])
def test_ddpm_trains_on_the_images(tmp_path, options):
    words = ["train", "ddpm", "--data", "captions", "--channels", "8", "8", "--groups", "4", "--batch", "2", "--steps", "1"]
    assert main([*words, *options, "--out", str(tmp_path / "run")]) == 0
    assert main(["sample", str(tmp_path / "run"), "--sampler", "ddim", "--steps", "2", "--out", str(tmp_path / "x.npz")]) == 0
