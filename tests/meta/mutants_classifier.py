"""Known mistakes in the cross-entropy, the convolutional network and the classifier: (file, exact old text, new text, test)."""

COORDINATES = "tests/reference/test_gradients.py::test_gradient_in_every_coordinate[cross_entropy]"
LOSSES = "tests/reference/test_loss_and_optimizer_ops.py::test_"
SPECIAL = "tests/conformance/test_ops.py::test_"
NETWORKS = "tests/reference/test_networks.py::test_"
CLASSIFIER = "tests/reference/test_classifier.py::test_"
DEVICE = "tests/accelerated/test_gpu.py::test_"


def _loss(old, new, test):
    return "reference/ops/loss.py", old, new, test


def _convnet(old, new, test="gradient_of_every_parameter_and_of_x[noisy convnet]"):
    return "reference/networks/convnet.py", old, new, NETWORKS + test


def _model(old, new, test):
    return "reference/diffusion/classifier.py", old, new, CLASSIFIER + test


LOSS = "loss_is_minus_the_log_softmax_at_inputs_of_unit_variance[noisy]"
GRADIENT = "gradient_of_the_log_probability_is_its_derivative_in_x[model2-0.6-0.8]"

RATIO = "probabilities_sum_to_1_and_depend_on_the_ratio_of_noise_to_signal_alone"

MUTANTS = (
    # the op
    _loss(
        "below = logits - logits.max(axis=1, keepdims=True)",
        "below = logits",
        LOSSES + "cross_entropy_of_logits_of_ten_thousand_is_their_difference",
    ),
    _loss("logits.max(axis=1, keepdims=True)", "logits.max()", LOSSES + "cross_entropy_of_logits_far_apart_in_two_samples"),
    _loss("np.exp(below).sum(axis=1)", "np.exp(below).mean(axis=1)", LOSSES + "cross_entropy_is_minus_the_log_softmax_at_the_label[0.0]"),
    _loss(
        "    mean: Array = per_sample.mean()\n    return mean, per_sample\n\n\n@takes_out\ndef cross_entropy_backward",
        "    mean: Array = per_sample.sum()\n    return mean, per_sample\n\n\n@takes_out\ndef cross_entropy_backward",
        LOSSES + "cross_entropy_is_minus_the_log_softmax_at_the_label[0.0]",
    ),
    _loss("dlogits[np.arange(len(labels)), labels] -= 1", "dlogits[np.arange(len(labels)), labels] += 1", COORDINATES),
    _loss("dlogits[np.arange(len(labels)), labels] -= 1", "dlogits[:, labels] -= 1", COORDINATES),
    _loss("return _broadcast(d_per_sample, logits) * dlogits", "return dlogits / len(labels)", COORDINATES),
    _loss("    check_label_range(labels, logits.shape[1])\n", "", LOSSES + "cross_entropy_refuses_labels_out_of_range[labels1]"),
    (
        "accelerated/cpu/loss.py",
        "log(_sum_of_exp(logits[n], largest)) - (logits[n, labels[n]] - largest)",
        "log(_sum_of_exp(logits[n], largest)) - logits[n, labels[n]]",
        SPECIAL + "logits_of_ten_thousand_in_one_row_or_in_all_rows[accelerated.cpu-cross_entropy-1-float32]",
    ),
    (
        "accelerated/cpu/loss.py",
        "dlogits[n, labels[n]] -= 1",
        "dlogits[n, labels[n]] += 1",
        SPECIAL + "cross_entropy_of_the_largest_and_smallest_floats[accelerated.cpu-cross_entropy_backward-float32]",
    ),
    # the network
    _convnet("de = of_block if de is None else de + of_block", "de = of_block"),
    _convnet('ops.average_pool_backward(dh), saved["conv_in"]', 'ops.upsample_nearest(dh), saved["conv_in"]'),
    _convnet('name, dh = f"blocks.{i}", ops.average_pool_backward(dh)', 'name, dh = f"blocks.{i}", ops.upsample_nearest(dh)'),
    _convnet("da = ops.silu_backward(de, a)", "da = de"),
    _convnet('saved["norm_out"] = h, mean, rstd', 'saved["norm_out"] = g, mean, rstd'),
    _convnet('("conv2", "head.1")', '("conv2",)', "an_untrained_network_predicts_exactly_zero[convnet]"),
    # the model
    _model("(alpha**2 * self.data_variance + sigma**2) ** -0.5", "(self.data_variance + sigma**2) ** -0.5", RATIO),
    _model("sigma = low * (high / low) ** u", "sigma = low + (high - low) * u", LOSS),
    _model("c = 1000 * np.log(ratio / low)", "c = np.log(ratio / low)", LOSS),
    _model(
        "np.clip(sigma / max(alpha, SMALLEST_SIGNAL), low, high)",
        "np.clip(sigma, low, high)",
        RATIO,
    ),
    _model("minus_one = np.full_like(x, -1, shape=len(x))", "minus_one = np.full_like(x, -1 / len(x), shape=len(x))", GRADIENT),
    _model("minus_one = np.full_like(x, -1, shape=len(x))", "minus_one = np.full_like(x, 1, shape=len(x))", GRADIENT),
    _model("return cast_like(self._scale(alpha, sigma), x) * dz", "return dz", GRADIENT),
    _model(
        "each = np.full_like(x0, 1 / len(x0), shape=len(x0))",
        "each = np.full_like(x0, 1, shape=len(x0))",
        "gradients_of_the_classifiers_loss_along_random_directions[clean]",
    ),
    _model("for start in starts])", "for start in starts][:1])", "batches_do_not_change_probabilities_and_features[clean]"),
    _model(
        "Purpose.TIME, (), np.float64",
        "Purpose.TIME, (1,), np.float64)[:, 0] * 0 + ops.uniform(seed, sample, 1, Purpose.TIME, (), np.float64",
        "training_noise_is_a_function_of_seed_sample_and_step",
    ),
    # runs
    (
        "reference/runs/evaluation.py",
        "noisy = add_noise(x, 1.0, sigma,",
        "noisy = add_noise(x, 1.0, 0.0,",
        CLASSIFIER + "accuracy_by_sigma_is_that_of_noisy_images",
    ),
    (
        "reference/runs/evaluation.py",
        "labels == shares.argmax()",
        "labels == shares.argmin()",
        CLASSIFIER + "evaluate_prints_loss_and_accuracy_of_a_classifier",
    ),
)
