"""Known mistakes on the way from a network's prediction to a sample: (file, exact old text, new text, test that must fail)."""


def _mutants(test_file, *rows):
    return tuple((f"reference/{name}.py", old, new, f"tests/reference/test_{test_file}.py::test_{test}") for name, old, new, test in rows)


GRID = "no_sampler_is_three_times_worse_than_ancestral_sampling_without_a_warning[{}]".format
RANGE = "a_prediction_held_within_the_datas_range_is_no_further_from_any_mean_of_data"
COUNT = "a_clip_that_is_not_active_changes_nothing_and_counts_the_same"
CHAIN = "chains_have_the_law_of_their_own_recursion[{}]".format

CLIPPING = _mutants(
    "clipping",
    (
        "commands/ode_sde_options",
        'EVEN_IN_T = ("euler-maruyama",',
        'EVEN_IN_T = ("stochastic-heun", "euler-maruyama",',
        GRID("points-linear-x0"),
    ),
    ("samplers/clipping", "return x0.clip(low, high)", "return x0.clip(high, low)", RANGE),
    ("samplers/clipping", "slack * (self.high - self.low)", "slack * self.high", COUNT),
    ("samplers/clipping", "beyond = ~(", "beyond = (", COUNT),
    (
        "samplers/ancestral",
        "x0 = clip(x0) if callable(clip)",
        "x0 = x0 if callable(clip)",
        "without_the_bound_the_cosine_schedules_noise_network_draws_points_far_from_the_data",
    ),
    (
        "commands/sampler_options",
        'given["clip"] or "data"',
        'given["clip"] or "none"',
        "sample_and_evaluate_take_the_same_sampler_and_the_same_bound",
    ),
    (
        "commands/sampler_options",
        '"ddpm": "ddim",\n    "smld"',
        '"ddpm": "ddpm", "smld"',
        "sample_and_evaluate_take_the_same_sampler_and_the_same_bound",
    ),
    ("commands/ode_sde_options", "(alpha * clip(mean(", "(clip(mean(", "where_the_bound_does_not_act_the_score_is_the_runs_own[noise]"),
    (
        "commands/ode_sde_options",
        "- x) * (1 / sigma**2)",
        "- x) * (1 / sigma)",
        "where_the_bound_does_not_act_the_score_is_the_runs_own[v]",
    ),
    (
        "commands/sampler_options",
        "if beyond > MOST_BEYOND * n:",
        "if beyond > n:",
        "samples_that_end_far_outside_of_the_data_are_warned_of",
    ),
    (
        "commands/sampler_options",
        "abs(deviation - 1) < LARGEST_BIAS",
        "deviation - 1 < LARGEST_BIAS",
        "steps_too_few_for_gaussian_data_are_warned_of[3-True]",
    ),
    ("commands/sampler_options", "(alpha * v / (alpha**2", "(v / (alpha**2", "steps_too_few_for_gaussian_data_are_warned_of[50-False]"),
    (
        "runs/run",
        '<= MOST_NOISE * schedule.signal(schedule.T)\n        else "v"',
        '>= MOST_NOISE * schedule.signal(schedule.T) else "v"',
        "the_usual_prediction_is_v_where_a_schedule_ends_in_almost_nothing_but_noise[options1-v]",
    ),
)
LAWS = _mutants(
    "sampler_laws",
    (
        "commands/sampler_options",
        'and run.system == "smld" and',
        "and",
        "annealed_langevin_on_levels_that_are_not_the_runs_own_is_warned_of",
    ),
    ("samplers/ancestral", "conversion(prediction, ", 'conversion("noise", ', CHAIN("linear-20")),
    (
        "commands/sampler_options",
        "if h**2 / 8 > 1:",
        "if h**2 / 8 > 9:",
        "the_law_of_every_solver_is_that_of_the_exact_score_within_the_bound_of_the_interpolation[cosine-4]",
    ),
    (
        "commands/sampler_options",
        "if schedule.T == 1:",
        "if schedule.T == 0:",
        "a_run_of_one_level_is_refused_by_what_steps_between_levels",
    ),
    ("ddpm/ddpm", "c_x = schedule.signal_ratio(t, t_prev) * noise_ratio", "c_x = noise_ratio", CHAIN("linear-20")),
    ("samplers/ddim", "clip, ops, prediction)", "clip, ops)", CHAIN("vp-100")),
)
ZERO = _mutants(
    "zero_terminal_snr",
    (
        "diffusion/schedules",
        "-fallen[:-1] / fallen[-1]",
        "-0.9 * fallen[:-1] / fallen[-1]",
        "the_rescaled_schedule_keeps_its_first_time_and_ends_in_noise_alone[20-linear]",
    ),
    (
        "diffusion/schedules",
        "([0.0], 2 * rescaled, [-np.inf])",
        "([0.0], rescaled, [-np.inf])",
        "the_rescaled_schedule_keeps_its_first_time_and_ends_in_noise_alone[20-linear]",
    ),
    (
        "diffusion/schedules",
        "np.exp(self.log_ratio(t, t_prev) / 2)",
        "np.exp(self.log_ratio(t, t_prev))",
        "steps_between_times_whose_signals_underflow_are_those_of_their_ratio",
    ),
    (
        "diffusion/denoiser",
        "signal < SMALLEST_SIGNAL",
        "signal < 0",
        "predictions_of_x0_and_v_say_all_where_there_is_no_signal_and_the_noise_nothing",
    ),
    (
        "runs/run",
        "np.log(MOST_NOISE * run.model",
        "np.log(10 * MOST_NOISE * run.model",
        "samplers_ask_a_run_for_its_score_up_to_a_thousand_deviations_of_the_data[zero]",
    ),
    ("runs/run", "if not (low <= high).all():", "if False:", "a_range_that_is_none_is_refused_when_the_run_is_opened[ends0]"),
    (
        "ddpm/ddpm",
        "-np.exp(before) * np.expm1(schedule",
        "np.exp(before) * np.expm1(schedule",
        "the_step_from_noise_alone_forgets_x_and_draws_from_the_law_of_its_end",
    ),
)
CHAINS = _mutants(
    "samplers",
    ("samplers/__init__", "if len(times) < 2 or times[-1] < 0 or any(", "if any(", "a_grid_that_climbs_is_refused"),
    ("samplers/__init__", "any(after >= before", "any(after > before", "a_grid_that_climbs_is_refused"),
)
MUTANTS = (*CLIPPING, *LAWS, *ZERO, *CHAINS)
