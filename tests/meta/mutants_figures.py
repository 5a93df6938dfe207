"""Known mistakes in the tutorial's and other figures: (file, exact old text, new text, test that must fail).

E5 and similar codes are rows in the tutorial's list of misprints.
"""

from itertools import starmap

FOLDER = "reference/tutorial/figures/"
EXPERIMENTS, FIGURE = "tests/reference/test_experiments.py::test_", "tests/reference/test_figures.py::test_"
PICTURES = "tests/reference/test_experiment_figures.py::test_"
COMMANDS = "tests/reference/test_command_line.py::test_"
SAMPLE, EVALUATE = "tests/reference/test_sample_command.py::test_", "tests/reference/test_evaluate_command.py::test_"
METRICS = "tests/reference/test_metrics.py::test_exact_samples_have_the_expected_mode_shares"
TOLD_APART = "experiment_figures_are_titled_labelled_and_readable"
WRITES = "evaluate_writes_its_results_and_figures"


def _figure(module, old, new, test, file="tutorial_figures"):
    return f"{FOLDER}{module}.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


FIGURES = (
    # densities
    (
        "common",
        "mixture.noised(schedule.signal(t), schedule.noise_scale(t))",
        "mixture.noised(1.0, schedule.noise_scale(t))",
        "figure_2_5_shows_the_noised_mixture_at_eight_times",
    ),
    (
        "chapter_2",
        "p = density(noised(mixture, schedule, t), x)",
        "p = density(mixture, x)",
        "figure_2_5_shows_the_noised_mixture_at_eight_times",
    ),
    ("chapter_2", "constant(TIMES[-1], 0.03)", "constant(TIMES[-1], 0.97)", "figure_2_5_shows_the_noised_mixture_at_eight_times"),
    (
        "common",
        "schedule, k), x) for k in t]",
        "schedule, k), x) for k in t[::-1]]",
        "forward_maps_show_the_noised_mixture_and_paths_of_the_chain[2.7-distribution0-0.97-150]",
    ),
    (
        "common",
        "key = Key(seed, sample, t,",
        "key = Key(seed, sample, 0,",
        "forward_maps_show_the_noised_mixture_and_paths_of_the_chain[2.7-distribution0-0.97-150]",
    ),
    ("chapter_2", "c_x + c_x0, ", "c_x - c_x0, ", "figure_2_10_has_the_printed_coefficients"),
    (
        "chapter_2",
        "line.plot(t, variance**0.5, color",
        "line.plot(t, variance, color",
        "figure_2_11_has_the_printed_radii_and_its_paths_end_at_x0",
    ),
    # Langevin
    ("chapter_3", "0.05, 500, 32,", "0.025, 500, 32,", "figure_3_2_shows_gradient_ascent_and_langevin_on_the_density", "langevin_figures"),
    ("chapter_3", "(2 * tau) ** 0.5)", "tau**0.5)", "figure_3_4_density_after_one_step_is_the_integral_over_starts", "langevin_figures"),
    ("chapter_3", "        p = step @ p\n", "", "figure_3_4_shows_the_target_and_the_density_of_the_chain", "langevin_figures"),
    (
        "chapter_3",
        "states[step], edges",
        "states[-1], edges",
        "figure_3_4_shows_the_target_and_the_density_of_the_chain",
        "langevin_figures",
    ),
    (
        "chapter_3_scores",
        "score = distribution.score(x[:, None])[:, 0]",
        "score = -distribution.score(x[:, None])[:, 0]",
        "figure_3_5_has_the_printed_scores",
        "langevin_figures",
    ),
    (
        "chapter_3_scores",
        "keepdims=True))",
        "keepdims=True) ** 2)",
        "figure_3_6_arrows_are_scores_and_chains_are_langevin_steps",
        "langevin_figures",
    ),
    (
        "chapter_3_scores",
        "noised(1.0, h), x)",
        "noised(1.0, h**2), x)",
        "figure_3_7_sums_kernels_with_the_convolved_density_as_mean",
        "langevin_figures",
    ),
    ("chapter_3_scores", "h) / len(points)", "h)", "figure_3_7_sums_kernels_with_the_convolved_density_as_mean", "langevin_figures"),
    # equations
    ("chapter_4", "beta=beta: -beta / 2 * x", "beta=beta: -beta * x", "figure_4_1_has_the_printed_errors", "sde_figures"),
    (  # E13
        "chapter_4",
        "paths = paths_of(forward_sde(sde), grid, 0.0, count, 42, ops)",
        "paths = paths_of(forward_sde(sde), np.arange(len(grid)), 0.0, count, 42, ops)",
        "figure_4_2_paths_and_band_have_variance_a2_t",
        "sde_figures",
    ),
    (
        "chapter_4",
        "forward_sde(sde), np.arange(21.0)",
        "forward_sde(sde), grid",
        "figure_4_3_has_the_exact_band_and_the_moments_of_both_chains",
        "sde_figures",
    ),
    (
        "chapter_4",
        "(0.01 / (1 - 0.25)) ** 0.5",
        "(0.01 / (1 - 0.5)) ** 0.5",
        "figure_4_3_has_the_exact_band_and_the_moments_of_both_chains",
        "sde_figures",
    ),
    (
        "chapter_4",
        "lambda x, t: -x / sde.noise_power(t)",
        "lambda x, t: -x / sde.noise_scale(t)",
        "figure_4_4_spreads_without_the_score_and_returns_to_0_with_it",
        "sde_figures",
    ),
    (  # E5
        "chapter_4_chains",
        "chain(steps(predict_noise)",
        "chain(steps(half)",
        "figure_4_6_ends_with_the_density_of_its_chain[corrected]",
        "sde_figures",
    ),
    (
        "chapter_4_chains",
        "predict_noise(x, t) / 2\n",
        "predict_noise(x, t)\n",
        "figure_4_6_ends_with_the_density_of_its_chain[printed]",
        "sde_figures",
    ),
    # noise
    ("chapter_5", "both_sides(noise[k])", "both_sides(noise[1 - k])", "figure_5_1_shows_the_autocorrelations_of_its_series", "sde_figures"),
    ("chapter_5", "rho[:0:-1]", "rho[1:]", "figure_5_1_shows_the_autocorrelations_of_its_series", "sde_figures"),
    (
        "chapter_5",
        "np.stack([gaussian(x, 0.0, sde.noise_scale(time))",
        "np.stack([gaussian(x, 0.0, time)",
        "figure_5_2_shows_the_heat_kernel_and_paths_of_its_variance",
        "sde_figures",
    ),
    # in motion
    (
        "motion",
        "noised(mixture, sde, grid[k])",
        "noised(mixture, sde, 0.0)",
        "reverse_animation_goes_from_noise_to_data_with_exact_densities",
        "sde_figures",
    ),
    (
        "motion",
        "lambda x, t: noised(mixture, sde, t).score(x)",
        "lambda x, t: noised(mixture, sde, t).score(x) / 2",
        "reverse_animation_goes_from_noise_to_data_with_exact_densities",
        "sde_figures",
    ),
)

ELSEWHERE = (
    (
        "reference/samplers/chain_density.py",
        "(x[:, None] - mean)",
        "(x - mean[:, None])",
        "tests/reference/test_chain_density.py::test_a_linear_chain_stays_gaussian_with_the_recursion_moments",
    ),
    (
        "reference/plotting.py",
        "counts / (np.size(draws) * np.diff(edges))",
        "counts / np.size(draws)",
        "tests/reference/test_tutorial_figures.py::test_figure_2_5_shows_the_noised_mixture_at_eight_times",
    ),
    (
        "reference/commands/figures.py",
        "        if json.loads(plotting.read_description(path)) == settings:\n            return\n",
        "        return\n",
        "tests/reference/test_figures_command.py::test_an_existing_other_file_is_kept_and_no_figure_is_drawn",
    ),
)

PICTURES = (
    (
        "reference/plotting.py",
        "axes.figure.colorbar(image, ax=axes, label=label, pad=0.02, extend=extend)",
        "",
        PICTURES + TOLD_APART + "[mixture_steps]",
    ),
    ("reference/plotting.py", "w_pad=0.1, h_pad=0.1", "w_pad=0.0, h_pad=0.0", PICTURES + TOLD_APART + "[three_models]"),
    (
        "reference/tutorial/experiments/learned_scores.py",
        '(BLUE, "-."), (GREEN, ":")',
        '(VERMILION, "--"), (GREEN, ":")',
        PICTURES + TOLD_APART + "[learned_scores]",
    ),
    (
        "reference/tutorial/experiments/mixture_steps.py",
        "density_map(axes, np.arange(1, 21), X_GRID",
        "axes.set_xlim(0, 20.5), density_map(axes, np.arange(1, 21), X_GRID",
        PICTURES + "f1_density_map_fills_its_axes",
    ),
    (
        "reference/tutorial/experiments/three_models.py",
        "shares.min() > allowed,",
        "shares.min() > 0,",
        EXPERIMENTS + "n1_refuses_a_ring_without_modes_and_takes_exact_samples",
    ),
    ("reference/plotting.py", "axes.set_xlim(low[0], high[0])", "pass", FIGURE + "samples_outside_the_data_range_are_counted"),
    (
        "reference/plotting.py",
        "(x[:, :2] < low) | (x[:, :2] > high)",
        "x[:, :2] < low",
        FIGURE + "samples_outside_the_data_range_are_counted",
    ),
    (
        "reference/plotting.py",
        'yscale="log" if min(loss.min(), *levels.values(), 1) > 0 else "linear"',
        'yscale="log"',
        FIGURE + "a_loss_curve_shows_all_steps_their_median_and_the_baselines[-1-linear]",
    ),
    (
        "reference/commands/sample_pictures.py",
        "_real_data(run, len(x), **how) | {",
        "{",
        SAMPLE + "sample_images_show_data_beside_samples_if_the_data_exist",
    ),
    (
        "reference/commands/demo.py",
        "np.linspace(angles[0], 0, columns)",
        "angles[np.linspace(0, steps, columns).astype(int)]",
        COMMANDS + "the_demo_filmstrip_shows_times_where_noise_and_digit_are_visible[250]",
    ),
    (
        "benchmarks/report.py",
        "axes.barh(places, median - 1, 0.5, left=1, color=color)",
        "axes.barh(places, median, 0.5, color=color)",
        "tests/benchmarks/test_report.py::test_bars_begin_at_the_fastest_and_the_plot_has_title_and_labels",
    ),
    (
        "reference/tutorial/figures/chapter_3.py",
        "late = paths[T // 2 :, k]",
        "late = paths[T // 2 :, k, 0]",
        "tests/reference/test_langevin_figures.py::test_figure_3_3_shows_langevin_chains_coloured_by_mode",
    ),
    (
        "reference/commands/evaluation_figures.py",
        '"results": found.rows,',
        '"results": {},',
        EVALUATE + WRITES + "[vae]",
    ),
    (
        "reference/runs/config.py",
        '"lr": 2e-3}',
        '"lr": 2e-5}',
        "tests/accelerated/test_cpu.py::test_the_defaults_for_points_learn_the_modes_of_mixture2d_in_a_third_of_their_steps",
    ),
    (
        "reference/commands/experiment.py",
        '"settings": outcome.settings,',
        '"settings": {},',
        EXPERIMENTS + "two_quick_experiments_write_a_figure_each_and_their_results",
    ),
    ("reference/data/metrics.py", "4 * variances[:, None] / variances", "4", METRICS + "[on the line]"),
    ("reference/data/metrics.py", "(distances <= 2 * np.sqrt(", "(distances <= 2 * (", METRICS + "[apart]"),
    (
        "reference/runs/config.py",
        "({} if data.is_image else POINTS)",
        "POINTS",
        "tests/reference/test_method_options.py::test_points_have_other_defaults_that_options_override",
    ),
)

MUTANTS = (*PICTURES, *starmap(_figure, FIGURES), *ELSEWHERE)
