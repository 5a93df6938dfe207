"""Known mistakes between a network's prediction and a sample: (file, exact old text, new text, test that must fail)."""


def _mutants(test_file, *rows):
    return tuple((f"reference/{name}.py", old, new, f"tests/reference/test_{test_file}.py::test_{test}") for name, old, new, test in rows)


GRID = "every_sampler_is_within_3_times_ancestral_error_or_warns[{}]".format
RANGE = "clipping_to_the_data_range_never_increases_the_distance_to_data"
COUNT = "an_inactive_clip_changes_neither_samples_nor_evaluations"
CHAIN = "chain_samplers_have_the_variance_of_their_recursion[{}]".format

CLIPPING = _mutants(
    "clipping",
    (
        "runs/solvers",
        'EVEN_IN_T = ("euler-maruyama",',
        'EVEN_IN_T = ("stochastic-heun", "euler-maruyama",',
        GRID("points-linear-x0"),
    ),
    ("samplers/clipping", "return x0.clip(low, high)", "return x0.clip(high, low)", RANGE),
    ("samplers/clipping", "slack * (high - low)", "slack * high", COUNT),
    ("samplers/clipping", "beyond = ~(", "beyond = (", COUNT),
    (
        "samplers/ancestral",
        "x0 = clip(x0) if callable(clip)",
        "x0 = x0 if callable(clip)",
        "without_the_bound_a_cosine_noise_network_samples_far_off_the_data",
    ),
    (
        "runs/sampler_options",
        'given.get("clip") or "data"',
        'given.get("clip") or "none"',
        "sample_and_evaluate_use_the_same_sampler_and_bound",
    ),
    (
        "runs/methods",
        'sampler="ddim",\n    likelihood="chain"',
        'sampler="ddpm",\n    likelihood="chain"',
        "sample_and_evaluate_use_the_same_sampler_and_bound",
    ),
    ("runs/solvers", "(alpha * clip(mean(", "(clip(mean(", "an_inactive_bound_leaves_the_score_unchanged[noise]"),
    ("runs/solvers", "- x) * (1 / sigma**2)", "- x) * (1 / sigma)", "an_inactive_bound_leaves_the_score_unchanged[v]"),
    ("runs/sampling", "if beyond > MOST_BEYOND * n:", "if beyond > n:", "samples_far_outside_the_data_range_give_a_warning"),
    (
        "runs/gaussian_check",
        "abs(deviation - 1) < LARGEST_BIAS",
        "deviation - 1 < LARGEST_BIAS",
        "too_few_steps_for_gaussian_data_give_a_warning[3-True]",
    ),
    ("runs/gaussian_check", "(alpha * v / (alpha**2", "(v / (alpha**2", "too_few_steps_for_gaussian_data_give_a_warning[50-False]"),
    (
        "runs/methods",
        "<= MOST_NOISE * schedule.signal(schedule.T)",
        ">= MOST_NOISE * schedule.signal(schedule.T)",
        "default_prediction_is_v_for_schedules_that_end_in_almost_pure_noise[options1-v]",
    ),
)
DISTRIBUTIONS = _mutants(
    "sampler_distributions",
    ("runs/sampler_options", "and _has_own_levels(run) and", "and", "annealed_langevin_on_untrained_levels_gives_a_warning"),
    ("samplers/ancestral", "conversion(prediction, ", 'conversion("noise", ', CHAIN("linear-20")),
    (
        "runs/sampler_options",
        "if h**2 / 8 > 1:",
        "if h**2 / 8 > 9:",
        "sample_variance_of_every_solver_is_within_the_interpolation_bound[cosine-4]",
    ),
    ("runs/sampler_options", "if schedule.T == 1:", "if schedule.T == 0:", "samplers_between_levels_refuse_a_run_of_one_level"),
    ("ddpm/ddpm", "c_x = schedule.signal_ratio(t, t_prev) * noise_ratio", "c_x = noise_ratio", CHAIN("linear-20")),
    ("samplers/ddim", "clip, ops, prediction)", "clip, ops)", CHAIN("vp-100")),
)
ZERO = _mutants(
    "zero_terminal_snr",
    (
        "diffusion/schedules",
        "-fallen[:-1] / fallen[-1]",
        "-0.9 * fallen[:-1] / fallen[-1]",
        "the_rescaled_schedule_keeps_its_first_time_and_ends_in_pure_noise[20-linear]",
    ),
    (
        "diffusion/schedules",
        "([0.0], 2 * rescaled, [-np.inf])",
        "([0.0], rescaled, [-np.inf])",
        "the_rescaled_schedule_keeps_its_first_time_and_ends_in_pure_noise[20-linear]",
    ),
    (
        "diffusion/schedules",
        "np.exp(self.log_ratio(t, t_prev) / 2)",
        "np.exp(self.log_ratio(t, t_prev))",
        "steps_between_underflowing_signals_follow_their_ratio",
    ),
    (
        "diffusion/denoiser",
        '"noise" and signal < SMALLEST_SIGNAL',
        '"noise" and signal < 0',
        "at_zero_signal_x0_and_v_determine_x0_and_noise_does_not",
    ),
    (
        "diffusion/schedules",
        "np.log(MOST_NOISE * data_variance",
        "np.log(10 * MOST_NOISE * data_variance",
        "samplers_evaluate_the_score_up_to_1000_data_deviations[zero]",
    ),
    ("runs/config", "if not (low <= high).all():", "if False:", "an_invalid_data_range_is_refused_when_the_run_is_opened[ends0]"),
    (
        "ddpm/ddpm",
        "-np.exp(before) * np.expm1(schedule",
        "np.exp(before) * np.expm1(schedule",
        "the_step_from_pure_noise_ignores_x_and_draws_the_next_marginal",
    ),
)
CHAINS = _mutants(
    "samplers",
    ("samplers/__init__", "if len(times) < 2 or times[-1] < 0 or any(", "if any(", "a_grid_that_does_not_decrease_is_refused"),
    ("samplers/__init__", "any(after >= before", "any(after > before", "a_grid_that_does_not_decrease_is_refused"),
)
MUTANTS = (*CLIPPING, *DISTRIBUTIONS, *ZERO, *CHAINS)
