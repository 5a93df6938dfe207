"""Known mistakes in PSNR, SSIM and the part on images of the experiment ``restoration``: (file, exact old text, new text, test that
must fail)."""

METRICS, IMAGES = "reference/data/image_metrics.py", "reference/tutorial/experiments/restoration_images.py"
_TEST = "tests/reference/test_{}.py::test_"
RECORDED = _TEST.format("image_metrics") + "values_of_scikit_image[(17, 32, 3, 1.0)]"
PART = _TEST.format("restoration_images")

MUTANTS = (
    (METRICS, "data_range**2 / errors", "data_range / errors", RECORDED.replace("1.0", "2.0")),
    (
        METRICS,
        ".mean(axis=(1, 2, 3))\n    with",
        ".mean()[None]\n    with",
        _TEST.format("image_metrics") + "an_image_has_the_value_that_it_has_alone_in_single_precision_too",
    ),
    (METRICS, "K_1, K_2 = 0.01, 0.03", "K_1, K_2 = 0.03, 0.01", RECORDED),
    (METRICS, "DEVIATION = 5, 1.5", "DEVIATION = 5, 1.6", RECORDED),
    (METRICS, "radius=(0, RADIUS, RADIUS, 0)", "truncate=4", RECORDED),
    (METRICS, "[:, RADIUS:-RADIUS, RADIUS:-RADIUS]", "", RECORDED),
    (METRICS, "(x * y) - m_x * m_y", "(x * y)", RECORDED),
    (IMAGES, "error**2).mean()) / NOISE**2", "error**2).mean()) / NOISE", PART + "the_residual_is_in_units_of_the_noise"),
    (
        IMAGES,
        "picture(x.reshape(repeats, *truth.shape).mean(axis=0))",
        "picture(x[: len(truth)])",
        PART + "a_sampler_is_judged_by_its_samples_and_by_their_mean",
    ),
    (IMAGES, "x[:, BORDER:-BORDER, BORDER:-BORDER]", "x", PART + "the_border_does_not_count"),
    (IMAGES, "[spread(len(labels), n)]", "[:n]", PART + "images_are_spread_over_the_classes[10-1]"),
    (IMAGES, "guidance=0.0", "guidance=1.0", PART + "every_task_has_a_row_for_the_truth_the_degraded_image_and_each_method"),
    (IMAGES, "(TRUTH, DEGRADED, *CLASSICAL)", "CLASSICAL", PART + "the_network_must_exceed_the_better_classical_method[0.69-False]"),
    (IMAGES, "least = min(gains", "least = max(gains", PART + "a_mean_that_is_farther_from_the_truth_than_its_samples_fails[19.9-False]"),
)
