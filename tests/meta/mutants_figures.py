"""Known mistakes in the tutorial's figures and in other pictures: (file, exact old text, new text, test that must fail).

E5 and the like are rows in the tutorial's list of misprints.
"""

from itertools import starmap

FOLDER = "reference/tutorial/figures/"
EXPERIMENTS, FIGURE = "tests/reference/test_experiments.py::test_", "tests/reference/test_figures.py::test_"
COMMANDS = "tests/reference/test_command_line.py::test_"
METRICS = "tests/reference/test_metrics.py::test_exact_samples_have_the_expected_share_within_two_deviations_of_each_mode"
TOLD_APART = "a_picture_is_titled_labelled_within_its_edges_and_its_lines_can_be_told_apart"
WRITES = "evaluate_writes_what_it_printed_and_pictures_of_the_loss_and_of_samples_beside_data"


def _figure(module, old, new, test):
    return f"{FOLDER}{module}.py", old, new, "tests/reference/test_tutorial_figures.py::test_" + test


FIGURES = (
    # densities
    (
        "common",
        "mixture.noised(schedule.signal(t), schedule.noise_scale(t))",
        "mixture.noised(1.0, schedule.noise_scale(t))",
        "2_5_is_the_noised_mixture_at_eight_times",
    ),
    (
        "chapter_2",
        "p = density(noised(example_2_1(), schedule, t), x)",
        "p = density(example_2_1(), x)",
        "2_5_is_the_noised_mixture_at_eight_times",
    ),
    ("chapter_2", "constant(TIMES[-1], 0.03)", "constant(TIMES[-1], 0.97)", "2_5_is_the_noised_mixture_at_eight_times"),
    (
        "common",
        "schedule, k), x) for k in t]",
        "schedule, k), x) for k in t[::-1]]",
        "forward_maps_are_the_noised_mixture_and_paths_go_by_the_chain[2.7-distribution0-0.97-150]",
    ),
    (
        "common",
        "x = forward_step(schedule, x, t, t_prev, Key(seed, sample, t,",
        "x = forward_step(schedule, x, t, t_prev, Key(seed, sample, 0,",
        "forward_maps_are_the_noised_mixture_and_paths_go_by_the_chain[2.7-distribution0-0.97-150]",
    ),
    ("chapter_2", "c_x + c_x0, ", "c_x - c_x0, ", "2_10_has_the_printed_coefficients"),
    (
        "chapter_2",
        "line.plot(t, variance**0.5, color",
        "line.plot(t, variance, color",
        "2_11_has_the_printed_radii_and_paths_keep_to_them_and_end_on_x0",
    ),
    # Langevin
    ("chapter_3", "0.05, 500, 32,", "0.025, 500, 32,", "3_2_climbs_and_wanders_on_the_density"),
    ("chapter_3", "(2 * tau) ** 0.5)", "tau**0.5)", "3_4_after_one_step_is_the_integral_over_starts"),
    ("chapter_3", "        p = step @ p\n", "", "3_4_shows_the_target_and_the_law_that_the_chain_has_instead"),
    ("chapter_3", "states[step], edges", "states[-1], edges", "3_4_shows_the_target_and_the_law_that_the_chain_has_instead"),
    (
        "chapter_3_scores",
        "score = distribution.score(x[:, None])[:, 0]",
        "score = -distribution.score(x[:, None])[:, 0]",
        "3_5_has_the_printed_scores",
    ),
    ("chapter_3_scores", "keepdims=True))", "keepdims=True) ** 2)", "3_6_arrows_point_up_the_density_and_chains_follow_them"),
    ("chapter_3_scores", "noised(1.0, h), x)", "noised(1.0, h**2), x)", "3_7_sums_kernels_and_its_mean_is_the_convolved_law"),
    ("chapter_3_scores", "h) / len(points)", "h)", "3_7_sums_kernels_and_its_mean_is_the_convolved_law"),
    # equations
    ("chapter_4", "beta=beta: -beta / 2 * x", "beta=beta: -beta * x", "4_1_is_off_by_the_printed_errors"),
    (  # E13
        "chapter_4",
        "paths = paths_of(forward_sde(sde), grid, 0.0, count, 42)",
        "paths = paths_of(forward_sde(sde), np.arange(len(grid)), 0.0, count, 42)",
        "4_2_paths_and_band_have_variance_a2_t_and_not_a2_a_step",
    ),
    (
        "chapter_4",
        "forward_sde(sde), np.arange(21.0)",
        "forward_sde(sde), grid",
        "4_3_has_the_exact_band_and_both_chains_have_their_own_law",
    ),
    ("chapter_4", "(0.01 / (1 - 0.25)) ** 0.5", "(0.01 / (1 - 0.5)) ** 0.5", "4_3_has_the_exact_band_and_both_chains_have_their_own_law"),
    (
        "chapter_4",
        "lambda x, t: -x / sde.noise_power(t)",
        "lambda x, t: -x / sde.noise_scale(t)",
        "4_4_spreads_without_the_score_and_comes_home_with_it",
    ),
    (  # E5
        "chapter_4_chains",
        "chain(ancestral(predict_noise,",
        "chain(ancestral(lambda x, t: predict_noise(x, t) / 2,",
        "4_6_ends_with_the_law_of_its_chain[corrected]",
    ),
    ("chapter_4_chains", "predict_noise(x, t) / 2\n", "predict_noise(x, t)\n", "4_6_ends_with_the_law_of_its_chain[printed]"),
    # noise
    ("chapter_5", "both_sides(noise[k])", "both_sides(noise[1 - k])", "5_1_autocorrelations_are_those_of_the_series_shown"),
    ("chapter_5", "rho[:0:-1]", "rho[1:]", "5_1_autocorrelations_are_those_of_the_series_shown"),
    (
        "chapter_5",
        "np.stack([gaussian(x, 0.0, sde.noise_scale(time))",
        "np.stack([gaussian(x, 0.0, time)",
        "5_2_is_the_heat_kernel_and_paths_of_its_variance",
    ),
    # in motion
    (
        "motion",
        "noised(mixture, sde, grid[k])",
        "noised(mixture, sde, 0.0)",
        "reverse_runs_from_noise_to_data_with_the_exact_density_behind",
    ),
    (
        "motion",
        "lambda x, t: noised(mixture, sde, t).score(x)",
        "lambda x, t: noised(mixture, sde, t).score(x) / 2",
        "reverse_runs_from_noise_to_data_with_the_exact_density_behind",
    ),
)

ELSEWHERE = (
    (
        "reference/samplers/chain_density.py",
        "(x[:, None] - mean)",
        "(x - mean[:, None])",
        "tests/reference/test_law.py::test_a_linear_chain_keeps_a_gaussian_with_the_moments_of_its_recursion",
    ),
    (
        "reference/plotting.py",
        "counts / (np.size(draws) * np.diff(edges))",
        "counts / np.size(draws)",
        "tests/reference/test_tutorial_figures.py::test_2_5_is_the_noised_mixture_at_eight_times",
    ),
    (
        "reference/commands/figures.py",
        "        if json.loads(plotting.description_of(path)) == settings:\n            return\n",
        "        return\n",
        "tests/reference/test_figures_command.py::test_nothing_else_is_overwritten_and_then_nothing_is_drawn",
    ),
)

PICTURES = (
    (
        "reference/plotting.py",
        "axes.figure.colorbar(image, ax=axes, label=label, pad=0.02, extend=extend)",
        "",
        EXPERIMENTS + TOLD_APART + "[few_steps]",
    ),
    ("reference/plotting.py", "w_pad=0.1, h_pad=0.1", "w_pad=0.0, h_pad=0.0", EXPERIMENTS + TOLD_APART + "[three_models]"),
    (
        "reference/tutorial/experiments/learned_scores.py",
        '(BLUE, "-."), (GREEN, ":")',
        '(VERMILION, "--"), (GREEN, ":")',
        EXPERIMENTS + TOLD_APART + "[learned_scores]",
    ),
    (
        "reference/tutorial/experiments/few_steps.py",
        "density_map(axes, np.arange(1, 21), X_GRID",
        "axes.set_xlim(0, 20.5), density_map(axes, np.arange(1, 21), X_GRID",
        EXPERIMENTS + "f1s_map_of_densities_fills_its_axes",
    ),
    (
        "reference/tutorial/experiments/three_models.py",
        "shares.min() > allowed,",
        "shares.min() > 0,",
        EXPERIMENTS + "n1_refuses_a_ring_without_modes_and_takes_exact_samples",
    ),
    ("reference/plotting.py", "axes.set_xlim(low[0], high[0])", "pass", FIGURE + "samples_that_leave_the_range_of_the_data_are_counted"),
    (
        "reference/plotting.py",
        "(x[:, :2] < low) | (x[:, :2] > high)",
        "x[:, :2] < low",
        FIGURE + "samples_that_leave_the_range_of_the_data_are_counted",
    ),
    (
        "reference/plotting.py",
        'yscale="log" if min(loss.min(), *levels.values(), 1) > 0 else "linear"',
        'yscale="log"',
        FIGURE + "a_loss_curve_has_every_step_its_median_and_what_it_is_compared_with[-1-linear]",
    ),
    (
        "reference/commands/sample.py",
        "_real_data(run, len(x)) | {",
        "{",
        COMMANDS + "a_picture_of_samples_shows_data_beside_them_as_long_as_the_data_are_there",
    ),
    (
        "reference/commands/demo.py",
        "np.linspace(angles[0], 0, columns)",
        "angles[np.linspace(0, steps, columns).astype(int)]",
        COMMANDS + "the_demos_strip_shows_the_times_at_which_something_is_seen[250]",
    ),
    (
        "benchmarks/report.py",
        "axes.barh(places, median - 1, 0.5, left=1, color=color)",
        "axes.barh(places, median, 0.5, color=color)",
        "tests/benchmarks/test_report.py::test_a_plot_of_times_begins_at_the_fastest_and_names_what_it_shows",
    ),
    (
        "reference/tutorial/figures/chapter_3.py",
        "late = paths[T // 2 :, k]",
        "late = paths[T // 2 :, k, 0]",
        "tests/reference/test_tutorial_figures.py::test_3_3_chains_make_langevin_steps_and_are_coloured_by_mode",
    ),
    (
        "reference/commands/evaluation_figures.py",
        '"results": rows,',
        '"results": {},',
        "tests/reference/test_systems.py::test_" + WRITES + "[vae]",
    ),
    (
        "reference/commands/evaluation_figures.py",
        "np.full(len(x0), t), noise, run.data.mixture",
        "np.full(len(x0), times[0]), noise, run.data.mixture",
        "tests/reference/test_systems.py::test_the_loss_by_level_is_that_of_the_network_and_of_the_exact_law_there",
    ),
    (
        "reference/runs/run.py",
        '"lr": 2e-3}',
        '"lr": 2e-5}',
        "tests/accelerated/test_cpu.py::test_the_defaults_for_points_part_the_modes_of_mixture2d_in_a_third_of_their_steps",
    ),
    (
        "reference/commands/experiment.py",
        '"settings": outcome.settings,',
        '"settings": {},',
        EXPERIMENTS + "two_experiments_run_quickly_and_leave_a_figure_and_a_report_each",
    ),
    ("reference/data/metrics.py", "4 * variances[:, None] / variances", "4", METRICS + "[on the line]"),
    ("reference/data/metrics.py", "(distances <= 2 * np.sqrt(", "(distances <= 2 * (", METRICS + "[apart]"),
    (
        "reference/runs/run.py",
        "({} if data.is_image else POINTS)",
        "POINTS",
        "tests/reference/test_systems.py::test_points_have_defaults_of_their_own_and_what_is_given_counts",
    ),
)

MUTANTS = (*PICTURES, *starmap(_figure, FIGURES), *ELSEWHERE)
