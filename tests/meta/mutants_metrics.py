"""Known mistakes in measures of quality and yardsticks: (file, exact old text, new text, test that must fail)."""

from itertools import starmap


def _metric(module, old, new, test, file=None):
    return f"reference/{module}.py", old, new, f"tests/reference/test_{file or module.split('/')[1]}.py::test_{test}"


LIMIT = "memorising_denoiser_in_blocks_is_the_limit_of_narrow_components"
POSTERIOR, BIAS = "the_linear_denoiser_is_the_posterior_mean_of_gaussian_data[20.0]", "two_samples_of_one_gaussian_has_its_bias"
TRACE = "the_linear_loss_is_the_trace_of_the_gaussian_posterior_covariance[20.0]"

ROWS = (
    # Fréchet distance and features
    ("data/metrics", "- 2 * cross)", "- cross)", "frechet_distance_of_affine_copies_has_its_closed_form"),
    ("data/metrics", "root @ S_y @ root", "S_x @ S_y", "frechet_distance_of_any_covariances_equals_the_matrix_root_formula"),
    ("data/metrics", "((m_x - m_y) ** 2).sum()", "np.linalg.norm(m_x - m_y)", "frechet_distance_of_" + BIAS),
    ("data/metrics", "vectors[:, ::-1].T[:count]", "vectors.T[:count]", "principal_components_are_orthonormal_and_ordered_by_variance"),
    ("data/metrics", "vectors[:, ::-1].T[:count]", "vectors[::-1][:count]", "principal_components_are_orthonormal_and_ordered_by_variance"),
    # yardsticks
    ("diffusion/yardsticks", "BLOCK] - mean", "BLOCK]", "moments_in_blocks_equal_the_mean_and_the_covariance"),
    ("diffusion/yardsticks", "total / len(flat)", "total / (len(flat) - 1)", "moments_in_blocks_equal_the_mean_and_the_covariance"),
    ("diffusion/yardsticks", "(signal + sigma**2)", "(signal + sigma)", TRACE),
    ("diffusion/yardsticks", "(signal / (", "(sigma**2 / (", TRACE),
    ("diffusion/yardsticks", "alpha**2 * eigenvalues", "alpha * eigenvalues", "the_linear_loss_depends_on_the_ratio_of_noise_and_signal"),
    (
        "diffusion/yardsticks",
        "np.arange(1, schedule.T + 1)",
        "np.arange(schedule.T)",
        "the_mean_linear_loss_of_a_schedule_averages_the_times_from_1_to_T[linear]",
    ),
    ("diffusion/yardsticks", "(self.eigenvalues + sigma**2)", "(self.eigenvalues + sigma)", POSTERIOR),
    ("diffusion/yardsticks", "x0_hat = self.mean + (", "x0_hat = (", POSTERIOR),
    ("diffusion/yardsticks", "dtype=np.float64) / 2", "dtype=np.float64)", "the_" + LIMIT),
    ("diffusion/yardsticks", "x.dtype.type(1 / sigma**2)", "x.dtype.type(1 / sigma)", "the_" + LIMIT),
    ("diffusion/yardsticks", "        weights /= weights.sum(axis=1, keepdims=True)\n", "", "the_" + LIMIT),
    (
        "diffusion/yardsticks",
        "        weights -= weights.max(axis=1, keepdims=True)\n",
        "",
        "the_memorising_denoiser_with_little_noise_is_the_nearest_point[float32]",
    ),
    (
        "diffusion/yardsticks",
        "reshape(len(x0), -1) / sigma",
        "reshape(len(x0), -1)",
        "the_loss_of_the_linear_denoiser_has_the_expected_mean[20.0]",
    ),
    # neighbours
    ("data/neighbours", "squares, k - 1, axis=1)", "-squares, k - 1, axis=1)", "nearest_neighbours_equal_a_brute_force_search"),
    ("data/neighbours", "x[block, None].astype(np.float64)", "x[:1, None]", "nearest_neighbours_equal_a_brute_force_search"),
    ("data/neighbours", "k + 1)[0][:, k]", "k)[0][:, k - 1]", "the_manifold_of_points_on_a_line_is_the_union_of_their_balls"),
    ("data/neighbours", "(squares <= radii**2)", "(squares <= radii)", "the_manifold_equals_its_definition_by_loops"),
    ("data/neighbours", "2 if are_held_out else 1", "1", "samples_that_memorise_nothing_have_the_expected_training_neighbours[True]"),
    (
        "data/neighbours",
        "len(held_out) - are_held_out",
        "len(held_out)",
        "samples_that_memorise_nothing_have_the_expected_training_neighbours[True]",
    ),
    (
        "data/neighbours",
        "distance[:, 0] < others",
        "distance[:, 0] > others",
        "copies_of_training_samples_are_all_nearer_to_training_samples",
    ),
    # intervals
    ("data/bootstrap", ' method="weibull") - bias', ' method="weibull")', "the_interval_of_a_biased_statistic_contains_the_statistic"),
    (
        "data/bootstrap",
        ' method="weibull") - bias',
        ' method="weibull") + bias',
        "the_interval_of_a_biased_statistic_contains_the_statistic",
    ),
    (
        "data/bootstrap",
        "(1 - level) / 2, (1 + level) / 2",
        "1 - level, level",
        "intervals_for_the_mean_of_gaussian_samples_cover_it_at_their_level[0.95]",
    ),
    (
        "data/bootstrap",
        "np.arange(resamples), number,",
        "np.arange(resamples), 0,",
        "each_array_is_drawn_again_from_its_own_rows_independently",
    ),
    # samples beside held-out images
    (
        "runs/image_quality",
        "in_manifold(own, reference)",
        "in_manifold(reference, own)",
        "samples_of_one_class_lose_recall_and_not_precision",
    ),
    (
        "runs/image_quality",
        "in_manifold(reference, own)",
        "in_manifold(own, reference)",
        "samples_of_one_class_lose_recall_and_not_precision",
    ),
    (
        "commands/evaluation_figures",
        "train[nearest(x, train)[1][:, 0]]",
        "train[: len(x)]",
        "neighbours_png_shows_the_nearest_training_image_of_each_sample",
        "evaluate_command",
    ),
    # losses by noise level
    (
        "runs/noise_levels",
        "alpha, alpha * level))",
        "1.0, level))",
        "equal_denoisers_have_equal_losses_whatever_they_predict[v]",
    ),
    (
        "runs/noise_levels",
        "with_labels(run, labels[batch])",
        "with_labels(run, labels[: len(x[batch])])",
        "a_network_with_classes_gets_the_label_of_each_sample",
    ),
    (
        "runs/noise_levels",
        "return x0, labels[chosen], x0",
        "return x0, labels[: len(chosen)], x0",
        "a_network_with_classes_gets_the_label_of_each_sample",
    ),
    (
        "runs/noise_levels",
        "each.std() / len(each) ** 0.5",
        "each.std()",
        "losses_on_gaussian_data_have_their_expectations_and_standard_errors",
    ),
    (
        "runs/noise_levels",
        "memorising_denoiser(x, level, train)",
        "memorising_denoiser(x, level, data.held_out)",
        "the_memorising_loss_is_that_of_the_training_samples",
    ),
    (
        "runs/noise_levels",
        "if largest_level_ratio(run) == 1:",
        "if largest_level_ratio(run):",
        "a_run_with_few_noise_levels_is_evaluated_at_them",
    ),
    ("runs/image_quality", "np.arange(n) * count // n", "np.arange(n)", "indices_are_spread_evenly_over_the_data"),
)
MUTANTS = tuple(starmap(_metric, ROWS))
