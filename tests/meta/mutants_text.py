"""Known mistakes in the text encoder and in cross-attention: (file, exact old text, new text, test that must fail)."""


def _mutant(old, new, test):
    return "reference/networks/text.py", old, new, f"tests/reference/test_text.py::test_{test}"


def _of_guidance(old, new, test):
    return "reference/diffusion/guidance.py", old, new, f"tests/reference/test_caption_conditions.py::test_{test}"


GRADIENTS = "gradients_are_those_of_the_forward"
PADDING = "padding_changes_nothing_and_has_no_gradient"
MEAN = "the_row_of_a_caption_is_a_layer_of_the_mean_of_its_tokens_alone"
SHARES = "the_shares_of_the_tokens_give_the_result_of_attention"

MUTANTS = (
    _mutant("heads, a, logsumexp, mask)", "heads, a, logsumexp)", PADDING),
    _mutant("c // (head_width or c), mask)", "c // (head_width or c))", PADDING),
    _mutant('linear("to_k", dk, words) + linear("to_v", dv, words)', 'linear("to_k", dk, words) - linear("to_v", dv, words)', GRADIENTS),
    _mutant("return dx + dy, dt", "return dx, dt", GRADIENTS),
    _mutant("return y + x, (x,", "return y, (x,", "a_block_begins_as_the_identity"),
    _mutant("dt.sum(axis=0)", "dt.mean(axis=0)", GRADIENTS),
    _mutant("return t + places, tokens", "return t, tokens", "the_vector_of_a_token_is_that_of_its_word_and_that_of_its_place"),
    _mutant("** -0.5)", "** -1.0)", SHARES),
    _mutant("np.where(mask[:, None, None], np.exp(scores - logsumexp[..., None]), 0)", "np.exp(scores - logsumexp[..., None])", SHARES),
    # without cross-attention
    _mutant("ops.add_noise(t[:, :1], 0.0, 0.0, t[:, :1])", "t[:, :1]", MEAN),
    _mutant("ops.attention(q, t, t, 1, mask)", "ops.attention(q, t, t, 1)", MEAN),
    _mutant("mean, logsumexp, mask)[2]", "mean, logsumexp, mask)[1]", "gradients_of_the_mean_are_those_of_the_forward"),
    (
        "reference/networks/unet.py",
        "return self.vocabulary > 0 and not self.cross_attention",
        "return False",
        "tests/reference/test_text.py::test_without_cross_attention_words_matter_and_their_order_does_not",
    ),
    (
        "reference/networks/unet.py",
        "dtexts += [text_mean_backward(",
        "dtexts += [0 * text_mean_backward(",
        "tests/reference/test_networks.py::test_gradient_of_all_parameters_and_x_together[captioned without cross-attention]",
    ),
    (
        "reference/networks/unet.py",
        "mask = labels != PAD",
        "mask = labels != 1",
        "tests/reference/test_text.py::test_words_behind_the_caption_change_no_unet[cross-attention]",
    ),
    (
        "reference/networks/unet.py",
        "dtexts.append(dt)",
        "dtexts[:] = [dt]",
        "tests/reference/test_networks.py::test_gradient_of_all_parameters_and_x_together[captioned]",
    ),
    _of_guidance("null[:, :1] = NULL", "null[:] = NULL", "the_null_caption_is_that_of_the_data_set"),
    _of_guidance("null_labels(labels, network), labels)", "labels, labels)", "captions_are_dropped_as_a_whole_at_the_wanted_share"),
    _of_guidance(
        "null = null_labels(self.labels, self.network)", "null = self.labels", "a_guided_prediction_has_the_caption_and_no_caption[3.5]"
    ),
)
