"""Known mistakes in images from captions: (file, exact old text, new text, test that must fail)."""

OP, CPU, GPU = "reference/ops/attention.py", "accelerated/cpu/attention.py", "accelerated/gpu/attention.py"
MASK = "tests/reference/test_attention_mask.py::test_"
LOOPS = MASK + "masked_attention_and_its_gradients_equal_loops_over_the_keys_that_count[2]"
KEYLESS = MASK + "a_sample_without_a_key_that_counts_is_refused[1-sample 1 has none]"
ANYTHING = "tests/conformance/test_ops.py::test_masked_keys_may_hold_anything_and_attention_is_that_over_the_others"
ON_CPU, ON_GPU = ANYTHING + "[accelerated.cpu-in between-float32]", ANYTHING + "[accelerated.gpu-in between-float32]"
LARGE = "tests/conformance/test_sizes.py::test_results_at_large_sizes_are_within_tolerance"
MANY_KEYS = LARGE + "[accelerated.cpu-attention_backward-10-float32]"
DATA = "reference/data/captions.py"
IMAGES = "tests/reference/test_captions.py::test_"
TRAINING = IMAGES + "no_training_image_shows_a_held_out_combination_and_all_others_are_shown"
GRAMMAR = IMAGES + "every_caption_of_the_grammar_is_encoded_decoded_and_understood"
NOISY = IMAGES + "evaluators_bear_noise_and_find_nothing_in_noise_alone_and_in_black"
NAMED = IMAGES + "captions_name_what_their_images_show_and_leave_out_attributes_independently"
OWN_DIGITS = IMAGES + "training_images_show_training_digits_and_held_out_images_held_out_digits"
GAUSSIAN = IMAGES + "the_gaussian_of_a_caption_has_the_mean_and_the_covariance_of_its_images[unseen]"
JUDGE, JUDGED = "reference/data/caption_judge.py", "tests/reference/test_caption_judge.py::test_"
LEAVES_OUT = JUDGED + "attributes_that_a_caption_leaves_out_are_not_counted"
REAL = JUDGED + "colour_and_place_of_real_images_are_exact_and_digits_as_good_as_the_classifier"

MUTANTS = (
    # a mask of keys
    (OP, "return s if mask is None else np.where(", "return s if True else np.where(", LOOPS),
    (OP, "np.where(mask[:, None, None, :], s,", "np.where(~mask[:, None, None, :], s,", LOOPS),
    (OP, "np.where(mask[:, None, None, :], s,", "np.where(mask[::-1, None, None, :], s,", LOOPS),
    (OP, "p = np.exp(_scores(q, k, mask)", "p = np.exp(_scores(q, k, None)", LOOPS),
    (OP, "np.where(mask[:, :, None], x, x.dtype.type(0))", "x", ANYTHING + "[reference.ops-padding-float64]"),
    (OP, "{counts.argmin()} has none", "{counts.argmax()} has none", KEYLESS),
    (CPU, "_leave_out(mask[sample], scores[", "_leave_out(mask[0], scores[", ON_CPU),
    (CPU, "_leave_out(mask[sample, j : j + width], p[", "_leave_out(mask[sample, :width], p[", MANY_KEYS),
    (CPU, "        if not mask[j]:", "        if mask[j]:", ON_CPU),
    (GPU, "not mask[i // (n * m) * m + i % m]", "not mask[i % m]", ON_GPU),
    (GPU, "p, ds = _scores(q, k_transposed, mask)", "p, ds = _scores(q, k_transposed, None)", ON_GPU),
    # captioned images
    (DATA, "place = int(training) + choose", "place = choose", TRAINING),
    (DATA, "(place - colour - digit) %", "(place + colour - digit) %", TRAINING),
    (DATA, "u[:, 4 + i] < LEFT_OUT", "u[:, 4] < LEFT_OUT", NAMED),
    (DATA, "np.asarray(tokens) != PAD", "np.asarray(tokens) > NULL", IMAGES + "the_null_caption_has_a_token_of_its_own"),
    (DATA, "named = [word for word in words if word in names]", "named = [word for word in words[:3] if word in names]", GRAMMAR),
    (DATA, "scaled = total / np.maximum(", "scaled = total * np.maximum(", NOISY),
    (DATA, "for axis in (2, 1))", "for axis in (1, 2))", IMAGES + "colour_place_and_digit_of_every_image_are_found[0-0]"),
    (DATA, "rgb / (rgb**2).sum(axis=1, keepdims=True)", "rgb", IMAGES + "colour_place_and_digit_of_every_image_are_found[4-0]"),
    (DATA, "factor**2 * own.eigenvalues", "factor * own.eigenvalues", GAUSSIAN),
    (DATA, "(shown(own.vectors.T) - shown(0 * own.vectors.T))", "shown(own.vectors.T)", GAUSSIAN),
    ("reference/data/datasets.py", "found.held_out, found.held_out_labels, False", "found.train, found.train_labels, False", OWN_DIGITS),
    # what images show
    (JUDGE, "crop(images, colour, place)", "crop(images, colour, 0 * place)", REAL),
    (JUDGE, "np.where(colour < 0, -1, digit)", "digit", JUDGED + "images_without_lit_pixels_are_wrong_in_all_attributes"),
    (JUDGE, "np.where(np.isnan(named), np.nan,", "np.where(np.isnan(named), 0,", LEAVES_OUT),
    (JUDGE, "int(np.isfinite(column).sum())", "len(column)", LEAVES_OUT),
    (JUDGE, "np.stack(seen, axis=1) == named", "np.stack(seen, axis=1) >= 0", JUDGED + "planted_wrong_attributes_are_found[colour]"),
)
