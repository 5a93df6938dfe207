"""Known mistakes in classes, label dropout and guidance: (file, exact old text, new text, test that must fail)."""

GUIDANCE, CONDITIONS = "reference/diffusion/guidance.py", "reference/runs/conditions.py"
GUIDED = "tests/reference/test_guidance.py::test_"
RUNS = "tests/reference/test_classes.py::test_"
SUM = GUIDED + "guidance_is_the_weighted_sum_of_two_predictions"
BACKWARD = GUIDED + "the_backward_of_guidance_is_the_gradient"
DROPPED = GUIDED + "dropped_labels_are_null_labels_at_the_wanted_share"

MUTANTS = (
    # the weight of another convention, and no guidance below 1
    (
        GUIDANCE,
        "return weight * conditional + (1 - weight) * unconditional",
        "return (1 + weight) * conditional - weight * unconditional",
        SUM + "[3.0-labelled points]",
    ),
    (GUIDANCE, "own = self.labels if weight else null", "own = self.labels", SUM + "[0.0-classes]"),
    (
        GUIDANCE,
        "        if weight in (0, 1):\n            own",
        "        if weight <= 1:\n            own",
        SUM + "[0.3-labelled points]",
    ),
    (GUIDANCE, "return guided, (weight, saved)", "return 0.99 * guided, (weight, saved)", SUM + "[-1.0-labelled points]"),
    (
        GUIDANCE,
        "conditional, unconditional = weight * dy, (1 - weight) * dy",
        "conditional, unconditional = weight * dy, weight * dy",
        BACKWARD + "[2.5-classes]",
    ),
    (GUIDANCE, "return dx[: len(dy)] + dx[len(dy) :], gradients", "return dx[: len(dy)], gradients", BACKWARD + "[2.5-labelled points]"),
    (GUIDANCE, "        guided[..., n:] = conditional[..., n:]\n", "", GUIDED + "a_learned_variance_is_the_conditional_one"),
    (
        GUIDANCE,
        "        conditional[..., n:], unconditional[..., n:] = dy[..., n:], 0\n",
        "",
        GUIDED + "a_learned_variance_is_the_conditional_one",
    ),
    (GUIDANCE, "(low <= c) & (c <= high)", "(low < c) & (c <= high)", GUIDED + "guidance_is_used_within_its_interval_alone"),
    (
        GUIDANCE,
        "            return self.weight\n        return 1.0",
        "            return self.weight\n        return 0.0",
        GUIDED + "guidance_is_used_within_its_interval_alone",
    ),
    # the null label
    (GUIDANCE, "return network.classes - 1", "return 0", SUM + "[0.0-classes]"),
    (
        "reference/networks/unet.py",
        'a2 = a2 + ops.embedding(labels, params["class_embedding.table"])',
        'a2 = a2 + ops.embedding(labels, params["class_embedding.table"]) * (labels < self.classes - 1)[:, None]',
        GUIDED + "the_null_label_is_a_learned_row[classes]",
    ),
    (
        "reference/networks/mlp.py",
        'embedded = embedded + ops.embedding(labels, params["class_embedding.table"])',
        'embedded = embedded + 0 * ops.embedding(labels, params["class_embedding.table"])',
        GUIDED + "the_null_label_is_a_learned_row[labelled points]",
    ),
    # label dropout
    (GUIDANCE, "(u < settings.label_dropout)", "(u < 0)", DROPPED),
    (GUIDANCE, "(u < settings.label_dropout)", "(u > settings.label_dropout)", DROPPED),
    (GUIDANCE, "Purpose.LABEL_DROPOUT", "Purpose.TIME", GUIDED + "the_draw_of_dropped_labels_is_a_function_of_seed_and_step"),
    (GUIDANCE, "sample, step, Purpose", "sample, 0, Purpose", GUIDED + "the_draw_of_dropped_labels_is_a_function_of_seed_and_step"),
    (
        "reference/diffusion/training.py",
        "chosen = drop_labels(labels[indices], model.network, settings, step, ops, first)",
        "chosen = labels[indices]",
        GUIDED + "a_step_trains_dropped_samples_on_the_null_label",
    ),
    (
        "reference/networks/mlp.py",
        "labels, ops)\n        return dx.reshape(len(dy), *self.size), gradients",
        "labels, ops) and {}\n        return dx.reshape(len(dy), *self.size), gradients",
        "tests/reference/test_networks.py::test_gradient_of_every_parameter_and_of_x[labelled points]",
    ),
    # sampling
    (
        CONDITIONS,
        'return sample % len(run.config["classes"])',
        "return sample % run.model.network.classes",
        RUNS + "labels_are_taken_in_turn_or_all_are_the_wanted_one",
    ),
    (
        CONDITIONS,
        "[sample % len(rows)]",
        "[sample % len(rows) - 1]",
        RUNS + "a_run_of_indi_restores_each_image_by_its_own_label",
    ),
    (
        "reference/runs/views.py",
        "schedule.network_time(schedule.time_of(1.0, ratio))",
        "schedule.network_time(schedule.time_of(ratio, 1.0))",
        RUNS + "a_guidance_interval_is_met_at_its_noise_levels",
    ),
)
