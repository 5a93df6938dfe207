"""Known mistakes in score matching and Langevin dynamics: (file, exact old text, new text, test that must fail).

E8 and similar codes are rows in the tutorial's list of misprints.  E10d, h^{-1} for h^{-d}, can't be typed in because the kernels are
Gaussians of a mixture; a bandwidth in place of its square represents it.  A missing warning is no AssertionError and therefore not listed.
"""

from itertools import starmap


def _langevin(old, new, test):
    return "reference/samplers/langevin.py", old, new, "tests/reference/test_langevin.py::test_" + test


def _corrected(old, new, test):
    return "reference/samplers/langevin.py", old, new, "tests/reference/test_sgld_and_mala.py::test_" + test


def _annealed(old, new, test):
    return "reference/samplers/annealed_langevin.py", old, new, "tests/reference/test_annealed_langevin.py::test_" + test


def _loss(old, new, test):
    return "reference/smld/score_matching.py", old, new, "tests/reference/test_score_matching.py::test_" + test


def _network(old, new, test):
    return "reference/smld/score_matching.py", old, new, "tests/reference/test_score_matching_networks.py::test_" + test


def _density(old, new, test):
    return "reference/smld/kernel_density.py", old, new, "tests/reference/test_kernel_density.py::test_" + test


LANGEVIN = (
    (  # noise of variance tau
        "e / 2, e**0.5, key)",
        "e / 2, (e / 2) ** 0.5, key)",
        "stationary_variance_is_too_large_by_a_factor_in_closed_form[0.25-0.05]",
    ),
    ("x, lambda n: 2 * tau,", "x, lambda n: tau,", "a_step_on_a_gaussian_is_affine_with_noise_variance_two_tau[line]"),
    ("1.0, e / 2, e**0.5, key)", "1.0, e, e**0.5, key)", "mean_and_variance_follow_their_recursions[0.25-0.05]"),
    (
        "key = Key(seed, sample, n, Purpose.STEP_NOISE)",
        "key = Key(seed, sample, 0, Purpose.STEP_NOISE)",
        "mean_and_variance_follow_their_recursions[0.25-0.05]",
    ),
    ("return 2 * float(np.linalg", "return float(np.linalg", "the_score_slope_never_exceeds_the_bound_of_the_stability_limit[plane]"),
    ("mixture.full).min())", "mixture.full).max())", "the_score_slope_never_exceeds_the_bound_of_the_stability_limit[plane]"),
    ("score(x), 1.0, tau, 0, None)", "score(x), 1.0, -tau, 0, None)", "gradient_ascent_from_zero_climbs_to_the_mode_at_two"),  # E19
)

CORRECTED = (
    ("e / 2, e**0.5, key)", "e / 2, 1.0, key)", "sgld_adds_half_a_step_of_gradient_and_noise_of_step_variance[constant]"),  # E8
    ("score_estimate(x, n), 1.0", "score_estimate(x, 0), 1.0", "sgld_adds_half_a_step_of_gradient_and_noise_of_step_variance[constant]"),
    (
        "        e = step_size(n)\n",
        "        e = step_size(0)\n",
        "sgld_follows_its_moment_recursions_with_minibatch_variance[decreasing]",
    ),
    ("n / offset) ** -power", "n / offset) ** (-power / 2)", "decreasing_steps_sum_to_infinity_and_their_squares_do_not"),
    ("first * (1 + n / offset)", "first * (1 + n)", "decreasing_steps_sum_to_infinity_and_their_squares_do_not"),
    (
        "_log_proposal(x, y, s_y, tau) - _log_proposal(y, x, s, tau)",
        "_log_proposal(y, x, s, tau) - _log_proposal(x, y, s_y, tau)",
        "mala_acceptance_probability_is_in_detailed_balance[0.3-plane]",
    ),
    (
        "log_p_y - log_p + _log_proposal(x, y, s_y, tau) - _log_proposal(y, x, s, tau)",
        "log_p_y - log_p",
        "mala_keeps_exact_draws_exact_for_any_step[0.3]",
    ),
    (
        "_log_proposal(x, y, s_y, tau)",
        "_log_proposal(x, y, s, tau)",
        "mala_acceptance_probability_is_in_detailed_balance[0.3-line]",
    ),
    (".sum(axis=1) / (4 * tau)", ".sum(axis=1) / (2 * tau)", "mala_on_images_sums_over_all_entries"),
    (".sum(axis=1) / (4 * tau)", ".mean(axis=1) / (4 * tau)", "mala_on_images_sums_over_all_entries"),
    ("tau, (2 * tau) ** 0.5, Key(", "tau, tau**0.5, Key(", "mala_proposes_a_langevin_step_and_draws_one_uniform"),
    ("np.where(moved, s_y, s)", "s_y", "mala_proposes_a_langevin_step_and_draws_one_uniform"),
    ("np.where(accepted, log_p_y, log_p)", "log_p_y", "mala_keeps_exact_draws_exact_for_any_step[0.3]"),
    ("Purpose.ACCEPTANCE", "Purpose.STEP_NOISE", "mala_keeps_exact_draws_exact_for_any_step[0.3]"),
)

ANNEALED = (
    (
        "return epsilon * (sigmas",
        "return (sigmas",
        "step_sizes_are_proportional_to_noise_power_and_end_with_epsilon[0.3]",
    ),  # E10
    ("sigmas / sigmas[-1]) ** 2", "sigmas / sigmas[0]) ** 2", "drift_and_noise_of_every_step[None]"),
    (
        "sigmas / sigmas[-1]) ** 2",
        "sigmas / sigmas[-1])",
        "printed_mode_weights_after_slow_and_fast_annealing[20-0.2-.5844]",
    ),
    ("1.0, a / 2, a**0.5, key)", "1.0, a, a**0.5, key)", "the_variance_follows_its_recursion_from_level_to_level[1.0]"),
    ("a / 2, a**0.5, key)", "a / 2, (2 * a) ** 0.5, key)", "tutorial_step_size_gives_finite_but_wrong_variance_at_large_noise"),
    ("            n += 1\n", "", "each_step_uses_the_score_of_its_level_and_a_new_noise_draw"),
    (
        "        for _ in range(steps_per_level):",
        "        n = 0\n        for _ in range(steps_per_level):",
        "each_step_uses_the_score_of_its_level_and_a_new_noise_draw",
    ),
    ("1.0, sigma**2, 0, None)", "1.0, sigma, 0, None)", "the_run_ends_with_the_posterior_mean_at_the_last_level"),
    ("epsilon = 0.2 * last**2", "epsilon = 0.1 * last**2", "default_step_size_matches_song_and_ermon"),
)

LOSSES = (
    (
        "noise / -per_sample_column(sigma, noise)",
        "noise / per_sample_column(sigma, noise)",
        "denoising_loss_of_a_linear_model_on_gaussian_data",
    ),  # E10b
    (
        "noise / -per_sample_column(sigma, noise)",
        "noise / -per_sample_column(sigma, noise) ** 2",
        "denoising_loss_of_a_linear_model_on_gaussian_data",
    ),
    (  # E10c
        "ops.add_noise(x0, 1.0, sigma, noise)",
        "x0",
        "denoising_equals_explicit_loss_of_the_noised_density_plus_constant[0.3]",
    ),
    (  # E10d
        "squares * (entries / 2)",
        "squares * entries",
        "explicit_and_implicit_loss_of_a_linear_model_on_gaussian_data",
    ),
    ("squares * (entries / 2)", "squares / 2", "explicit_and_implicit_loss_of_a_linear_model_on_gaussian_data"),
    (
        "per_sample + (weight * v * y_dot)",
        "per_sample - (weight * v * y_dot)",
        "printed_floors_of_the_denoising_loss_on_example_2_1[1.0-printed3]",
    ),
    (  # E10e
        "reshape(len(x), -1).sum(axis=1) / 2\n",
        "reshape(len(x), -1).sum(axis=1)\n",
        "implicit_equals_explicit_loss_minus_half_fisher_information[wave-example-2.1]",
    ),
)

NETWORKS = (
    ("entries / (2 * len(x))", "entries / len(x)", "gradient_of_the_mean_in_every_parameter[points-explicit]"),
    ("params, y / count, saved", "params, y, saved", "gradient_of_the_mean_in_every_parameter[points-implicit]"),
    ("params, weight * v / count, saved", "params, v / count, saved", "gradient_of_the_mean_in_every_parameter[points-sliced]"),
    ("g + along[name]", "along[name]", "gradient_of_the_mean_in_every_parameter[images-implicit]"),
    ("(weight * v * y_dot)", "(weight * y_dot)", "the_mean_over_all_sign_probes_is_the_implicit_loss_and_gradient[points]"),
    (
        "(axis[:, None] == axis)",
        "(axis[:, None] >= 0 * axis)",
        "the_trace_is_the_sum_of_derivatives_along_the_axes[points]",
    ),
    ("uniform < 0.5, -1, 1)", "uniform < 0.5, 0, 1)", "sign_probes_are_fair_and_independent[float64]"),
)

DENSITIES = (
    ("np.full(count, bandwidth**2)", "np.full(count, bandwidth)", "kernel_density_is_the_mean_of_kernels_of_width_h_in_any_dimension[0.2]"),
    ("(4 / ((d + 2) * m))", "(4 / (3 * m))", "silverman_bandwidth_converges_to_the_optimum_for_normal_data[3-0.5]"),
    ("** (1 / (d + 4))", "** (1 / 5)", "silverman_bandwidth_converges_to_the_optimum_for_normal_data[3-0.5]"),
    ("np.sqrt(points.var(axis=0, ddof=1).mean())", "points.var(axis=0, ddof=1).mean()", "silverman_bandwidth_has_the_unit_of_the_points"),
)

MUTANTS = (
    *starmap(_langevin, LANGEVIN),
    *starmap(_corrected, CORRECTED),
    *starmap(_annealed, ANNEALED),
    *starmap(_loss, LOSSES),
    *starmap(_network, NETWORKS),
    *starmap(_density, DENSITIES),
)
