"""Known mistakes in the audit's checks of schedules, noising and steps: a planted fault that passes, or a right target that is accused."""

AUDIT = "reference/audit/"
CHECKS = AUDIT + "checks/"
TESTS = "tests/reference/audit/"
SCHEDULE, NOISING, LEVELS, IDENTITIES = CHECKS + "schedule.py", CHECKS + "noising.py", AUDIT + "levels.py", CHECKS + "identities.py"
STEP, CALLS, TIMESTEPS, TIME_BASE = CHECKS + "steps.py", CHECKS + "step_calls.py", CHECKS + "timesteps.py", AUDIT + "time_base.py"
COEFFICIENTS, VERDICTS = AUDIT + "step_coefficients.py", CHECKS + "step_verdicts.py"
TARGET, TABLES, CLAIMS, ARGUMENTS = AUDIT + "target.py", AUDIT + "tables.py", AUDIT + "claims.py", AUDIT + "arguments.py"
GUARD, CONTEXT, REPORT = AUDIT + "guard.py", AUDIT + "audit.py", AUDIT + "report.py"
STEPS, BAD = TESTS + "test_steps.py::test_", TESTS + "test_bad_targets.py::test_"
FAULT = TESTS + "test_faults.py::test_a_planted_fault_is_caught_by_its_line_alone"
CORRECT = TESTS + "test_faults.py::test_a_correct_target_has_no_fault_and_its_conventions_are_recognised"
RIGHT_STEP = TESTS + "test_step_conventions.py::test_a_right_step_has_no_fault_and_is_recognised"
GUIDED = TESTS + "test_guided.py::test_"
COLUMN = TESTS + "test_conventions.py::test_the_conventions_of_a_column_are_named_and_no_fault"

MUTANTS = (
    # schedule
    (SCHEDULE, "cost = signal**2 / 2", "cost = signal**2 / 200", FAULT + "[schedule_betas_of_1000_for_100_levels]"),
    (SCHEDULE, "wrong[1:] |= ~(np.diff(ordered) < 0)", "wrong[1:] |= ~(np.diff(ordered) <= 0)", FAULT + "[schedule_flat_at_the_end]"),
    (SCHEDULE, "(ordered <= 1))", "(ordered <= 2))", FAULT + "[schedule_scaled_betas_above_one]"),
    (SCHEDULE, '"convention" if error < 0.01 else', '"convention" if error < 1.0 else', FAULT + "[schedule_float16_with_few_levels]"),
    (SCHEDULE, '"convention" if error < 0.01 else', '"fault" if error < 0.01 else', COLUMN + "[diffusers]"),
    (SCHEDULE, "wrong = error > slack", "wrong = error > 1e3", FAULT + "[schedule_cosine_capped]"),
    (SCHEDULE, "not error[worst] <= epsilon * T ", "not error[worst] <= 1 ", FAULT + "[schedule_product_of_roots]"),
    (SCHEDULE, "[-T:]", "[:T]", CORRECT + "[ddim_one_based_trailing]"),
    (SCHEDULE, "if takes_T(target, table.name):", "if False:", FAULT + "[schedule_same_betas_at_another_T]"),
    (SCHEDULE, "-np.log1p((table.sigma / table.alpha) ** 2)", "-np.log1p(table.sigma / table.alpha)", CORRECT + "[ddpm]"),
    (SCHEDULE, "make(T).log_alpha_bar[1:]", "make(T).log_alpha_bar[:-1]", CORRECT + "[ddpm_fixed_large_clipped]"),
    (SCHEDULE, "float(alpha / np.hypot(alpha, sigma))", "float(alpha)", CORRECT + "[ve_indexed_with_zero]"),
    # add_noise
    (NOISING, "wrong = ~(error <= np.array(bounds))", "wrong = error > 1", FAULT + "[noise_one_level_late]"),
    (NOISING, "return 16 * levels.epsilon *", "return 0 * levels.epsilon *", CORRECT + "[float32_tables]"),
    (
        NOISING,
        "linear = np.abs(batch - (alpha * x0 + sigma * noise)).max() <= bound",
        "linear = True",
        FAULT + "[noise_clipped]",
    ),
    (NOISING, "> 8 * tolerance_of_type(target) * np.abs(pairs).max()", "> 1e3", FAULT + "[noise_of_the_first_time]"),
    (NOISING, "LOST_NOISE = 0.01", "LOST_NOISE = 10.0", FAULT + "[noise_in_half_precision]"),
    (NOISING, "(np.diff(ratio) < 0)", "(np.diff(ratio) > 0)", CORRECT + "[ddpm]"),
    (NOISING, 'if names_x1(target, "add_noise") and', "if False and", CORRECT + "[flow_data_at_one]"),
    (NOISING, '"convention" if wider else "right"', '"fault" if wider else "right"', CORRECT + "[ddpm]"),
    # the noise levels
    ("reference/diffusion/conversions.py", "return -1.0, 1.0", "return 1.0, -1.0", CORRECT + "[flow_velocity]"),
    (LEVELS, "if abs(alpha**2 + sigma**2 - 1).max() < slack:", "if abs(alpha**2 + sigma**2 - 1).min() < slack:", CORRECT + "[edm_sigma]"),
    (LEVELS, '("1-based" if clean else "0-based")', '("0-based" if clean else "1-based")', CORRECT + "[add_noise_alone]"),
    (LEVELS, 'last + (time == "0-based")', "last", CORRECT + "[add_noise_and_grid]"),
    (LEVELS, "if sigma_0 * alpha_1 <= sigma_1 * alpha_0:", "if sigma_0 * alpha_1 > sigma_1 * alpha_0:", CORRECT + "[flow_velocity]"),
    (LEVELS, "_indexed(form, 0 if first else 1)", "_indexed(form, 1)", CORRECT + "[ve_indexed_with_zero]"),
    (LEVELS, '{"0-based": first - 1}.get(chosen, 0)', "0", CORRECT + "[ddpm]"),
    (
        LEVELS,
        "np.sqrt((1 - share) * values[index] ** 2 + share * values[after] ** 2)",
        "np.sqrt(share * values[index] ** 2 + (1 - share) * values[after] ** 2)",
        CORRECT + "[ddim_fractional_grid]",
    ),
    (LEVELS, "if position < 0:", "if position <= 0:", CORRECT + "[ddpm]"),
    (
        LEVELS,
        '("0-based", steps - 1), ("1-based", steps)',
        '("1-based", steps - 1), ("0-based", steps)',
        RIGHT_STEP + "[linear-1000-v-0-none-float64-linspace]",
    ),
    (LEVELS, "(value(t) ** 0.5, (1 - value(t)) ** 0.5)", "(value(t), (1 - value(t)) ** 0.5)", CORRECT + "[cosine_of_real_time]"),
    (LEVELS, "(1.0 - float(t) * (form is flow), float(t))", "(1.0, float(t))", CORRECT + "[flow_sigma_table]"),
    # step: which steps are looked at, and which prediction explains them
    (STEP, '"fault" if refused else "right"', '"convention" if refused else "right"', FAULT + "[step_negative_by_rounding]"),
    (STEP, "misfits[best] > 0.3 * others[0]", "misfits[best] > 30 * others[0]", FAULT + "[step_product_for_factor]"),
    (STEP, "        if lost:\n", "        if not lost:\n", FAULT + "[step_ends_at_the_first_level]"),
    (STEP, "step.t_prev != levels.clean]", "step.t_prev is not None]", FAULT + "[step_ends_at_the_first_level]"),
    (
        STEP,
        "pairs += [(times[b], times[a]) for a, b in pairwise(skipped)]",
        "pass",
        STEPS + "half_or_twice_the_score_is_a_fault[SDE-300]",
    ),
    (CALLS, "clipped = abs(came - 3 * A0) >", "clipped = abs(came - 3 * A0) <", CORRECT + "[ddpm]"),
    (
        CALLS,
        "linear_noise = np.abs(np.abs(batch - signed) - step.B * np.abs(noise)).max() <= bound",
        "linear_noise = True",
        FAULT + "[step_noise_of_the_first_sample]",
    ),
    (CALLS, "if not np.isfinite(came.astype(np.float64)).all():", "if False:", FAULT + "[step_in_half_precision]"),
    # the coefficients of a step
    (
        COEFFICIENTS,
        "self.c_x * self.sigma + self.c_p * r1",
        "self.c_x * self.sigma - self.c_p * r1",
        STEPS + "means_are_those_of_exact_predictions[noise]",
    ),
    (
        COEFFICIENTS,
        "self.c_x * self.alpha + self.c_p * r0",
        "self.c_x * self.alpha - self.c_p * r0",
        STEPS + "means_are_those_of_exact_predictions[v]",
    ),
    (
        COEFFICIENTS,
        "self.beta * (self.sigma_prev / self.sigma) ** 2",
        "self.beta * (self.sigma_prev / self.sigma)",
        STEPS + "kind_of_a_variance[posterior]",
    ),
    (
        COEFFICIENTS,
        "(self.alpha / self.alpha_prev * self.sigma_prev) ** 2",
        "(self.alpha * self.sigma_prev) ** 2",
        STEPS + "kind_of_a_variance[beta]",
    ),
    (
        COEFFICIENTS,
        "min(abs(A1 - a) for a in self.allowed_A1())",
        "0",
        STEPS + "one_prediction_explains_a_ddpm_step[linear-noise]",
    ),
    (COEFFICIENTS, "return 32 * self.epsilon *", "return 0 * self.epsilon *", CORRECT + "[float32_tables]"),
    (COEFFICIENTS, "small = 0.01 * max(alpha, 1e-3)", "small = 1.0", CORRECT + "[ddpm_fixed_large_clipped]"),
    (COEFFICIENTS, "FITS = 1e-3", "FITS = 10.0", STEPS + "one_prediction_explains_a_ddpm_step[linear-noise]"),
    (
        COEFFICIENTS,
        "epsilon = max(epsilon, float(np.finfo(kind).eps))",
        "epsilon = 1e-15",
        RIGHT_STEP + "[linear-100-noise-0-posterior-float32-]",
    ),
    # the verdicts on a step
    (
        VERDICTS,
        "if abs(A0 - step.alpha_prev) > slack:",
        "if False:",
        STEPS + "a_wrong_coefficient_of_the_mean_is_a_fault[0.99-1]",
    ),
    (
        VERDICTS,
        "if not step.posterior_variance - wide <= step.B**2",
        "if not 0 <= step.B**2",
        STEPS + "a_variance_outside_of_its_range_is_a_fault[0.98]",
    ),
    (
        VERDICTS,
        "<= step.beta + wide:",
        "<= 2 * step.beta + wide:",
        STEPS + "a_variance_outside_of_its_range_is_a_fault[1.02]",
    ),
    (
        VERDICTS,
        "bound = 2 * step.length**2",
        "bound = 2 * step.length",
        STEPS + "half_or_twice_the_score_is_a_fault[SDE-300]",
    ),
    (
        VERDICTS,
        "bound = 2 * step.length**2",
        "bound = 0.1 * step.length**2",
        STEPS + "euler_steps_in_time_are_right_to_first_order[SDE-300]",
    ),
    (VERDICTS, "share = 32 * step.epsilon", "share = 1e9 * step.epsilon", STEPS + "kind_of_a_variance[learned]"),
    (VERDICTS, 'if deterministic and step.B else "mean"', 'if False else "mean"', FAULT + "[step_direction_with_the_whole_noise]"),
    (VERDICTS, "wrong = abs(A0 - 1) > slack or left > slack", "wrong = abs(A0 - 1) > slack", FAULT + "[step_noise_at_the_end]"),
    (
        VERDICTS,
        '"convention" if euler else "fault"',
        '"convention"',
        FAULT + "[step_ends_at_the_first_level]",
    ),
    # the time base and the grid
    (TIME_BASE, "clear = all(entry[0] > CLEARLY * least for entry in others)", "clear = False", CORRECT + "[step_alone_one_based]"),
    (
        TIMESTEPS,
        "elif levels is not None and outside(levels, times):",
        "elif False:",
        FAULT + "[step_grid_beyond_the_table]",
    ),
    (TIMESTEPS, "if count != n:", "if False:", FAULT + "[step_grid_of_a_rounded_stride]"),
    (TIMESTEPS, "FEW = range(1, 129)", "FEW = range(1, 4)", FAULT + "[step_grid_longer_by_rounding]"),
    (TIMESTEPS, '"leading": first + ', '"leading": first + steps + ', CORRECT + "[ddim_leading_own_stride]"),
    (TIMESTEPS, '"trailing": last - ', '"trailing": last - steps - ', CORRECT + "[ddim_one_based_trailing]"),
    (TIMESTEPS, "return times[::-1] if", "return times if", CORRECT + "[add_noise_and_grid]"),
    (TIMESTEPS, "times[-1] == clean)", "times[-1] != clean)", CORRECT + "[edm_sigma]"),
    # identities between predictions
    (IDENTITIES, "if v and read in VELOCITIES:", "if False:", FAULT + "[identity_velocity_of_two_signs]"),
    (IDENTITIES, "if ratios.max() <= 1]", "if ratios.max() <= 1e12]", FAULT + "[identity_score_of_the_wrong_sign]"),
    (IDENTITIES, "if max(results) < 0.99 * LARGE:", "if max(results) < 0.01 * LARGE:", GUIDED + "clipping_is_a_convention[noise]"),
    (
        IDENTITIES,
        '"reversed v": lambda alpha, sigma: (sigma, -alpha)',
        '"reversed v": lambda alpha, sigma: (sigma, alpha)',
        GUIDED + "the_velocity_is_recognised[reversed v]",
    ),
    # tables, claims, arguments and calls
    (TABLES, "numbers[order] if numbers[0] > numbers[-1] else numbers", "numbers", CORRECT + "[ve_sigmas_from_much_to_little]"),
    (TABLES, "return bool(self.sigma[0] == 0) and len(self.sigma) > 1", "return False", CORRECT + "[ve_indexed_with_zero]"),
    (CLAIMS, "right = value > 0", "right = True", BAD + "a_target_that_cant_be_loaded_is_refused_in_one_sentence[claimed T of 0]"),
    (ARGUMENTS, "found |= dict(zip(missing, unknown))", "pass", CORRECT + "[v_zero_terminal_snr]"),
    (ARGUMENTS, "for parameter in own or others:", "for parameter in own:", GUIDED + "the_order_of_the_arguments_is_that_of_their_names"),
    (
        GUARD,
        'return f"{text} (does it need a device?)" if needs else text',
        "return text",
        BAD + "a_bad_step_is_one_line_and_the_other_checks_go_on[needs a device]",
    ),
    (GUARD, "            contextlib.redirect_stderr(output),\n", "", BAD + "a_step_that_prints_is_a_convention[stderr]"),
    (TARGET, "if len(late) >= (LATE if piece in self.answered else 1):", "if False:", BAD + "a_piece_that_hangs_is_waited_for_once"),
    (TARGET, "self.changed.add((piece, name))", "pass", FAULT + "[step_overwrites_x]"),
    (
        TARGET,
        "if shape is not None and array.shape != tuple(shape):",
        "if False:",
        BAD + "a_bad_step_is_one_line_and_the_other_checks_go_on[another shape]",
    ),
    (REPORT, "if self.examined else 2", "", BAD + "nothing_that_can_be_examined_exits_with_2"),
    (CONTEXT, "        if claim != value:", "        if False:", FAULT + "[guided_weight_of_the_paper]"),
    (CONTEXT, '"right" if known == value else "fault"', '"right"', FAULT + "[loss_of_v_for_a_step_of_noise]"),
)
