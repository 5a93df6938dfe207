"""Known mistakes in the exact answers for students and in the experiment ``few_steps``: (file, exact old text, new text, test that must
fail)."""

EXACT = "tests/reference/test_few_steps_exact.py::test_"
PARTS = "tests/reference/test_few_steps_experiment.py::test_"
FLOW = "the_flow_of_a_gaussian_is_its_map_of_quantiles_and_solves_the_ode[ve]"
QUANTILES = "the_flow_on_the_line_is_the_map_of_quantiles[example-2.1]"
REGRESSION = "the_gain_of_ddim_is_the_regression_of_the_next_level_on_this"
SAMPLERS = "gains_of_students_are_those_of_the_samplers[10]"
SUM = "floors_sum_to_the_variance_that_samples_lack[10]"
MOMENTS = "conditional_moments_are_integrals_over_the_data[0.5-0.8-example-2.1]"
ONE_GAUSSIAN = "training_on_one_gaussian_has_the_closed_form"
MAPS = "distances_of_known_maps[example-2.1]"
COSTS = "a_sampler_costs_its_stages_a_step_and_one_evaluation"
STEPS = "samplers_take_the_steps_of_distillation_and_denoise"


def _exact(old, new, test):
    return "reference/distillation/exact.py", old, new, EXACT + test


def _experiment(name, old, new, test, file=PARTS):
    return f"reference/tutorial/experiments/{name}.py", old, new, file + test


def _images(old, new, test):
    return "reference/tutorial/experiments/few_steps_images.py", old, new, f"tests/reference/test_few_steps_images.py::test_{test}"


MUTANTS = (
    _exact(
        "scale = (power(variance, level_next) / power(variance, level)) ** 0.5",
        "scale = power(variance, level_next) / power(variance, level)",
        FLOW,
    ),
    _exact(
        "return alpha_next * mean + scale",
        "return alpha * mean + scale",
        "the_flow_of_a_gaussian_is_its_map_of_quantiles_and_solves_the_ode[vp]",
    ),
    _exact("alpha * alpha_next * variance + sigma * sigma_next", "alpha * alpha_next * variance - sigma * sigma_next", REGRESSION),
    _exact("alpha * alpha_next * variance +", "alpha * variance +", REGRESSION),
    _exact("return alpha**2 * variance + sigma**2", "return alpha * variance + sigma**2", REGRESSION),
    # t' and t'' exchanged
    _exact(
        "ddim_gain(variance, level, middle) * ddim_gain(variance, middle, end)",
        "ddim_gain(variance, level, end) * ddim_gain(variance, end, middle)",
        "the_gain_of_ddim_is_that_of_the_sampler",
    ),
    _exact("np.cumprod([1.0, *steps])", "np.cumsum([1.0, *steps])", SAMPLERS),
    _exact("(b - a) ** 2 / (variance + b**2)", "(b - a) ** 2 / (variance + a**2)", SUM),
    _exact("consistency_gains(variance, levels)[:-1] ** 2", "consistency_gains(variance, levels)[1:] ** 2", SUM),
    _exact("k[:-1] * (1 - steps * k[1:])", "k[:-1] * (1 + steps * k[1:])", SAMPLERS),
    _exact("1 - steps / 2 * (", "1 - steps * (", SAMPLERS),
    _exact("np.where(below < above, 1.0, -1.0)", "np.where(below < above, 1.0, 1.0)", QUANTILES),
    # from the left tail alone, whose digits end where F is 1
    _exact("np.minimum(below, above)", "np.where(below < above, below, np.log1p(-np.exp(below)))", "tails_keep_their_digits"),
    _exact(
        "    for _ in range(100):\n        score",
        "    for _ in range(1):\n        score",
        "the_map_there_and_back_is_the_identity[example-2.1]",
    ),
    _exact("(c + a * b) / (c + b**2)", "(c + a**2) / (c + b**2)", MOMENTS),
    _exact("(c / (c + b**2)) ** 0.5 * (b - a)", "(c / (c + b**2)) ** 0.5 * (b + a)", MOMENTS),
    # independent noise at both levels
    _exact("(c / (c + b**2)) ** 0.5 * (b - a)", "(a**2 + c * b**2 / (c + b**2)) ** 0.5", ONE_GAUSSIAN),
    _exact("first += share * (values @ weights)", "first += values @ weights / 2", MOMENTS),
    _exact("second += share * (values**2 @ weights)", "second += share * (values @ weights) ** 2", MOMENTS),
    _exact("weights /= weights.sum()", "weights /= 2.5", ONE_GAUSSIAN),
    _exact("(second - first**2), y)", "second, y)", ONE_GAUSSIAN),
    _exact("f, x = _interpolant(points[-1], values[-1])", "f, x = _interpolant(points[0], values[0])", ONE_GAUSSIAN),
    _exact("np.where(x < low, at_low, at_high)", "at_low", "an_interpolant_continues_by_tangents"),
    _exact("samples[order] - quantiles", "samples - quantiles", "a_map_that_falls_has_the_law_of_its_mirror_image"),
    _exact("mass /= mass.sum()", "mass *= 1", MAPS),
    _exact("y if exact is None else exact", "y", MAPS),
    _exact(
        "return final_sample(edm(denoise, falling",
        "return final_sample(runge_kutta(lambda x, s: x / s, falling",
        "distillation_composes_the_steps_of_the_teacher[heun-heun_gain]",
    ),
    _experiment("few_steps_exact", "-np.polyfit", "np.polyfit", "an_order_is_the_slope_of_a_power_law", EXACT),
    _experiment(
        "few_steps_exact",
        "(variance + root ** (2 * RHO)) ** 2",
        "(variance + root ** (2 * RHO))",
        "the_first_order_constant_is_an_integral_over_the_levels",
        EXACT,
    ),
    _experiment("few_steps_exact", "[-2::-1]", "[::-1]", "the_process_ends_at_the_largest_level_of_the_grid"),
    _experiment("few_steps_samplers", "karras(len(levels) - 2)", "karras(len(levels) - 1)", COSTS + "[3-annealed Langevin]"),
    _experiment("few_steps_samplers", "x + sigma**2 * score", "x + sigma * score", STEPS + "[EDM-heun]"),
    _experiment("few_steps_samplers", "* -schedule.noise_scale(t)", "* schedule.noise_scale(t)", STEPS + "[DDIM-euler]"),
    _experiment("few_steps_samplers", "karras(steps), x * (1 / PROCESS", "karras(steps), x * (PROCESS", STEPS + "[DDIM-euler]"),
    _experiment(
        "few_steps_samplers", '"RK4": Method(_solver("ode-rk4"), 4, 4)', '"RK4": Method(_solver("ode-rk4"), 3, 4)', COSTS + "[3-RK4]"
    ),
    _experiment(
        "few_steps_frontier",
        "(alpha * prior.denoise(x, alpha, sigma) - x)",
        "(prior.denoise(x, alpha, sigma) - x)",
        "the_fast_score_is_the_score[full-2]",
    ),
    _experiment(
        "few_steps_frontier",
        "alpha * data.sample(START_SEED, sample)[0] + sigma * eps",
        "data.sample(START_SEED, sample)[0] + sigma * eps",
        "starts_have_the_law_of_the_process",
    ),
    _experiment(
        "few_steps_frontier",
        "np.sort(self.axes @ samples.T, axis=1)",
        "self.axes @ samples.T",
        "the_sliced_distance_of_a_shift_is_its_mean_length_along_the_axes",
    ),
    _experiment(
        "few_steps_frontier",
        "axes, data.covariance, axes))[:, None]",
        "axes, data.covariance, axes))[:, None] ** 0.5",
        "axes_measure_in_deviations",
    ),
    _experiment(
        "few_steps_frontier", "if before > target >= after:", "if before > target and crossed is None:", "orders_and_targets_of_power_laws"
    ),
    _experiment(
        "few_steps_frontier",
        "float(np.median(distances))",
        "float(np.mean(distances))",
        "the_coupled_error_is_a_mean_length_and_its_median_forgets_a_few",
    ),
    _experiment(
        "few_steps_frontier",
        "abs(order - method.order) < slack[d]",
        "order > method.order - slack[d]",
        "a_wrong_order_fails_its_check_and_no_other[RK4]",
    ),
    _experiment("few_steps_student", "** 2 / (t - r)", "** 2", "the_exact_student_has_the_floor_as_its_loss[1.0]"),
    _experiment(
        "few_steps_student",
        "found[own, 0] - exact.function(n)(x[own, 0])",
        "found[own, 0] - exact.function(n - 1)(x[own, 0])",
        "the_exact_student_has_the_floor_as_its_loss[1.0]",
    ),
    _experiment("few_steps_student", "far < allowed", "far < np.inf", "a_student_far_from_the_optimum_fails_its_checks"),
    (
        "reference/commands/experiment.py",
        'name.replace("-", "_")',
        "name",
        PARTS + "the_command_takes_hyphens_and_writes_every_number_of_levels",
    ),
    _images("height = rows.shape[2] + 1", "height = rows.shape[2]", "a_figure_shows_every_sampler_and_names_its_row"),
    _images('cmap="gray", vmin=0', 'cmap="gray", vmin=-1', "a_figure_shows_every_sampler_and_names_its_row"),
    _images('product("os^", PATH_COLORS)', 'product("o", PATH_COLORS)', "a_figure_shows_every_sampler_and_names_its_row"),
    _images("<= found[student]", ">= found[student]", "a_student_is_compared_with_the_fastest_rows_that_are_not_worse"),
)
