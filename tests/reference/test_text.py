"""Text encoder and cross-attention: gradients, padding, the order of tokens, and the shares of attention."""

from dataclasses import replace

import numpy as np
import pytest

from reference import ops
from reference.data.captions import LENGTH, VOCABULARY, encode
from reference.networks import text
from reference.runs.diffusers_format import config_of
from tests.example_networks import CAPTIONED, MEAN_CAPTIONED, inputs, numbers, random_parameters
from tests.reference.test_networks import gradient_of_each
from tests.tolerances import assert_equal_to_rounding

CAPTIONS = ["a red 3 on the left", "a digit", "a white 7 in the middle"]
TOKENS, MASK = (np.array(column) for column in zip(*map(encode, CAPTIONS)))
WIDTH, CHANNELS, GROUPS, HEAD_WIDTH = 5, 6, 3, 2
SHAPES = text.text_encoder_shapes("text", len(VOCABULARY), LENGTH, WIDTH) | text.cross_attention_shapes("block", CHANNELS, WIDTH)
PARAMS = {name: 0.5 * numbers([1, seed], *shape) for seed, (name, shape) in enumerate(SHAPES.items())}
X, DY = numbers(2, 3, 2, 4, CHANNELS), numbers(3, 3, 2, 4, CHANNELS)


def forward(params, x, tokens=TOKENS, mask=MASK):
    """(y, saved of the encoder, saved of the block)."""
    t, of_encoder = text.text_encoder(params, "text", tokens, ops)
    y, of_block = text.cross_attention_block(params, "block", x, t, mask, GROUPS, HEAD_WIDTH, ops)
    return y, of_encoder, of_block


def backward(of_encoder, of_block):
    """(dx, dt, gradients by name) for the upstream gradient DY."""
    gradients = {}
    dx, dt = text.cross_attention_block_backward(PARAMS, "block", DY, of_block, GROUPS, HEAD_WIDTH, gradients, ops)
    text.text_encoder_backward(PARAMS, "text", dt, of_encoder, gradients, ops)
    return dx, dt, gradients


def test_gradients_are_those_of_the_forward():
    y, *saved = forward(PARAMS, X)
    dx, _, gradients = backward(*saved)
    value = lambda arrays: float(np.vdot(DY, forward(arrays, arrays["x"])[0]))
    gradient_of_each(value, PARAMS | {"x": X}, gradients | {"x": dx}, np.abs(DY * y).sum())


def test_padding_changes_nothing_and_has_no_gradient():
    y, *saved = forward(PARAMS, X)
    _, dt, gradients = backward(*saved)
    assert not dt[~MASK].any() and dt[MASK].all()
    assert not gradients["text.token_embedding.table"][VOCABULARY.index("<pad>")].any()
    assert not gradients["text.position_embedding.table"][MASK.sum(axis=1).max() :].any()
    other = np.where(MASK, TOKENS, VOCABULARY.index("green"))
    np.testing.assert_array_equal(forward(PARAMS, X, other)[0], y)
    for b, count in enumerate(MASK.sum(axis=1)):  # the tokens that count, alone
        t, _ = text.text_encoder(PARAMS, "text", TOKENS[[b]], ops)
        short = text.cross_attention_block(PARAMS, "block", X[[b]], t[:, :count], MASK[[b], :count], GROUPS, HEAD_WIDTH, ops)
        assert_equal_to_rounding(short[0], y[[b]])


def test_the_vector_of_a_token_is_that_of_its_word_and_that_of_its_place():
    t, _ = text.text_encoder(PARAMS, "text", TOKENS, ops)
    words, places = (PARAMS[f"text.{kind}_embedding.table"] for kind in ("token", "position"))
    for b, i in np.ndindex(TOKENS.shape):
        np.testing.assert_array_equal(t[b, i], words[TOKENS[b, i]] + places[i])


def test_every_word_and_its_place_matter():
    y = forward(PARAMS, X)[0]
    for b, i in np.argwhere(MASK):
        tokens = TOKENS.copy()
        tokens[b, i] = VOCABULARY.index("bottom")
        changed = np.abs(forward(PARAMS, X, tokens)[0] - y).max(axis=(1, 2, 3)) > 0
        np.testing.assert_array_equal(changed, np.arange(len(TOKENS)) == b)
    reordered = TOKENS.copy()
    reordered[0, [1, 2]] = TOKENS[0, [2, 1]]
    assert np.abs(forward(PARAMS, X, reordered)[0] - y)[0].max() > 0
    placeless = PARAMS | {"text.position_embedding.table": np.zeros((LENGTH, WIDTH))}
    assert_equal_to_rounding(forward(placeless, X, reordered)[0], forward(placeless, X)[0])


def test_a_block_begins_as_the_identity():
    zero = PARAMS | {name: 0 * PARAMS[name] for name in ("block.to_out.0.w", "block.to_out.0.b")}
    np.testing.assert_array_equal(forward(zero, X)[0], X)


def test_the_shares_of_the_tokens_give_the_result_of_attention():
    """With one head and values of ones and zeros, the result of attention is the share of a token."""
    *_, saved = forward(PARAMS, X)
    shares = text.attention_of_tokens(saved, HEAD_WIDTH)
    assert shares.shape == (3, 2, 4, LENGTH) and not shares[np.broadcast_to(~MASK[:, None, None], shares.shape)].any()
    assert_equal_to_rounding(shares.sum(axis=-1), np.ones((3, 2, 4)))
    _, _, _, _, _, q, k, v, *_ = saved
    for token in range(LENGTH):
        here = np.zeros_like(v)
        here[:, token] = 1
        a, _ = ops.attention(q, k, here, CHANNELS // HEAD_WIDTH, MASK)
        assert_equal_to_rounding(shares[..., token], a.mean(axis=2).reshape(3, 2, 4), 1.0)


def test_tokens_of_another_length_are_refused():
    with pytest.raises(ValueError, match=rf"tokens must have shape \(b, {LENGTH}\), got \(3, 4\)"):
        text.text_encoder(PARAMS, "text", TOKENS[:, :4], ops)


def test_an_unknown_head_width_is_one_head():
    t, _ = text.text_encoder(PARAMS, "text", TOKENS, ops)
    one, two = (text.cross_attention_block(PARAMS, "block", X, t, MASK, GROUPS, width, ops)[0] for width in (None, CHANNELS))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("network", [CAPTIONED, MEAN_CAPTIONED], ids=["cross-attention", "mean"])
def test_words_behind_the_caption_change_no_unet(network):
    x, c, tokens = inputs(network)
    params = random_parameters(network)
    y, _ = network.forward(params, x, c, labels=tokens)
    other = params | {"text.token_embedding.table": params["text.token_embedding.table"] + (np.arange(5) == 0)[:, None]}
    np.testing.assert_array_equal(network.forward(other, x, c, labels=tokens)[0], y)
    assert (tokens == 0).any()


def of_mean(params, t, mask=MASK):
    return text.text_mean(params, "text", t, mask, ops)


MEAN_PARAMS = {"text.mean.w": numbers(4, WIDTH, 7), "text.mean.b": numbers(5, 7)}
T, DROW = numbers(6, 3, LENGTH, WIDTH), numbers(7, 3, 7)


def test_the_row_of_a_caption_is_a_layer_of_the_mean_of_its_tokens_alone():
    row, _ = of_mean(MEAN_PARAMS, T)
    for b, count in enumerate(MASK.sum(axis=1)):
        mean = sum(T[b, i] for i in range(count)) / count
        assert_equal_to_rounding(row[b], mean @ MEAN_PARAMS["text.mean.w"] + MEAN_PARAMS["text.mean.b"])
    np.testing.assert_array_equal(of_mean(MEAN_PARAMS, np.where(MASK[..., None], T, 1e3))[0], row)


def test_gradients_of_the_mean_are_those_of_the_forward():
    row, saved = of_mean(MEAN_PARAMS, T)
    gradients = {}
    dt = text.text_mean_backward(MEAN_PARAMS, "text", DROW, saved, gradients, ops)
    assert not dt[~MASK].any() and dt[MASK].all()
    value = lambda arrays: float(np.vdot(DROW, of_mean(arrays, arrays["t"])[0]))
    gradient_of_each(value, MEAN_PARAMS | {"t": T}, gradients | {"t": dt}, np.abs(DROW * row).sum())


def test_without_cross_attention_words_matter_and_their_order_does_not():
    assert not any("cross_attentions" in name for name in MEAN_CAPTIONED.shapes())
    x, c, tokens = inputs(MEAN_CAPTIONED)
    params = random_parameters(MEAN_CAPTIONED)
    y, reordered, other = (
        MEAN_CAPTIONED.forward(params, x, c, labels=np.array(rows))[0] for rows in (tokens, [[1, 3, 0], [4, 2, 3]], [[3, 1, 0], [2, 4, 4]])
    )
    assert_equal_to_rounding(reordered, y)
    assert [np.abs(one).max() > 0 for one in other - y] == [False, True]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"classes": 2}, "the network must have classes or a vocabulary, not both"),
        ({"vocabulary": -1}, "vocabulary must be at least 0, caption_length and text_width at least 1, got -1, 3, 6"),
        ({"caption_length": 0}, "caption_length and text_width at least 1, got 5, 0, 6"),
        ({"cross_attention": (2,)}, "cross_attention must list levels from 0 to 1, got 2"),
    ],
)
def test_unets_that_can_not_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(CAPTIONED, **fields)


def test_a_unet_with_a_vocabulary_needs_captions_of_its_length():
    x, c, tokens = inputs(CAPTIONED)
    params = random_parameters(CAPTIONED)
    with pytest.raises(ValueError, match="labels must be given: the network has a vocabulary"):
        CAPTIONED.forward(params, x, c)
    with pytest.raises(ValueError, match=r"tokens must have shape \(b, 3\), got \(2, 2\)"):
        CAPTIONED.forward(params, x, c, labels=tokens[:, :2])
    with pytest.raises(ValueError, match="labels must lie in"):
        CAPTIONED.forward(params, x, c, labels=tokens + 5)


@pytest.mark.parametrize("network", [CAPTIONED, MEAN_CAPTIONED], ids=["cross-attention", "mean"])
def test_a_network_with_captions_is_not_written_for_diffusers(network):
    with pytest.raises(ValueError, match="a UNet2DModel has no text encoder, and the network has a vocabulary"):
        config_of(network)
