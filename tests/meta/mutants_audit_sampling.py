"""Known mistakes in the audit's checks of samplers and of guidance: a planted fault that passes, or a right target that is accused."""

CHECKS = "reference/audit/checks/"
TESTS = "tests/reference/audit/"
SAMPLING, LEVELS, COUNTS = CHECKS + "sampling.py", CHECKS + "sample_levels.py", CHECKS + "sample_counts.py"
ORDER, MONTE_CARLO = CHECKS + "convergence.py", CHECKS + "monte_carlo.py"
CONVENTIONS, CANDIDATES, TRAJECTORIES = (CHECKS + name for name in ("sampler_conventions.py", "sampler_candidates.py", "trajectories.py"))
GUIDANCE, GUIDED_SAMPLES = CHECKS + "guidance.py", CHECKS + "guided_sampling.py"
FAULT = TESTS + "test_faults.py::test_a_planted_fault_is_caught_by_its_line_alone"
CORRECT = TESTS + "test_faults.py::test_a_correct_target_has_no_fault_and_its_conventions_are_recognised"
SAMPLERS, GUIDED = TESTS + "test_sampling.py::test_", TESTS + "test_guided.py::test_"
EXACT = SAMPLERS + "the_levels_the_noise_and_the_law_of_an_exact_sampler_are_right"
OURS = TESTS + "test_ours.py::test_our_samplers_have_no_fault"

MUTANTS = (
    # the levels that a sampler passes through
    (LEVELS, "return 16 * u * added + 16 * table", "return 0 * u * added + 0 * table", EXACT),
    (LEVELS, "wrong = ~(errors[:-1] <= allowed[:-1])", "wrong = errors[:-1] > 10", FAULT + "[sample_constant_stride]"),
    (LEVELS, "np.abs(moves).max() <= 1 and abs(moves.mean()) <", "np.abs(moves).max() <= 1e3 and 0 <", FAULT + "[sample_constant_stride]"),
    (LEVELS, "FALLS = 0.6", "FALLS = 0.0", CORRECT + "[sample_euler_maruyama]"),
    # the last step
    (SAMPLING, "    if off <= u:", "    if off <= 1:", FAULT + "[sample_final_alpha_bar]"),
    (SAMPLING, "off = max(abs(alpha - 1), left)", "off = abs(alpha - 1)", FAULT + "[sample_noise_at_the_end]"),
    (SAMPLING, "VISIBLE = 2 / 255", "VISIBLE = 2", FAULT + "[sample_final_alpha_bar]"),
    (SAMPLING, "finer = leftover(sampler, 4 * n)", "finer = leftover(sampler, n)", CORRECT + "[sample_euler_maruyama]"),
    # the cost
    (COUNTS, "wanted = isinstance(error.__cause__, ValueError)", "wanted = True", FAULT + "[sample_index_out_of_range]"),
    (COUNTS, "if not np.isfinite(run.result).all():", "if False:", FAULT + "[sample_ancestral_root]"),
    (COUNTS, "counts[min(counts)] == counts[max(counts)]", "False", FAULT + "[sample_steps_ignored]"),
    (COUNTS, "elif _last_is_wasted(context, sampler):", "elif False:", FAULT + "[sample_heun_extra]"),
    (COUNTS, 'verdict = "not decidable" if broken else "fault"', 'verdict = "fault"', FAULT + "[sample_final_alpha_bar]"),
    # one cause is one fault
    (SAMPLING, 'in (STEP, "timesteps") for n in names', "in () for n in names", FAULT + "[step_wrong_in_a_sampler]"),
    (COUNTS, "return told <= known and", "return False and", CORRECT + "[sample_whole_loop_posterior]"),
    (SAMPLING, "if context.levels is not None and context.levels.how:", "if True:", CORRECT + "[sample_ddim_eta_one_based]"),
    # a sample by itself
    (SAMPLING, "if np.abs(base[0] - changed[0]).max() > rounding:", "if False:", FAULT + "[sample_batch_threshold]"),
    (SAMPLING, "if np.abs(same[0] - same[1]).max() <= rounding:", "if False:", FAULT + "[sample_noise_of_the_batch]"),
    # the order and the law of a deterministic sampler
    (ORDER, "rows[:, 1] - rows[:, 0] - spread", "rows[:, 1] - rows[:, 0] + spread", CORRECT + "[sample_heun_sigma]"),
    (
        ORDER,
        "rows[:, 0] - level[:, 0] * LAW.mean",
        "rows[:, 0] - LAW.mean",
        CORRECT + "[sample_rectified_flow]",
    ),
    (ORDER, "chosen[::rate] = True", "chosen[:] = True", SAMPLERS + "the_fitted_order_is_the_order_of_a_known_solver[heun-2-2]"),
    (
        ORDER,
        "return Fit(-line.slope, -line.slope - width, -line.slope + width)",
        "return Fit(line.slope, line.slope, line.slope)",
        CORRECT + "[sample_euler_sigma]",
    ),
    (ORDER, "elif claim is not None and fit is not None and fit.high < claim - MARGIN:", "elif False:", FAULT + "[sample_multistep_slope]"),
    (ORDER, "MARGIN = 0.5", "MARGIN = -0.5", CORRECT + "[sample_euler_sigma]"),
    (ORDER, "(fit is None or fit.order < MARGIN / 2):", "False:", FAULT + "[sample_noise_of_the_start]"),
    (ORDER, 'elif stays and ends and ends[-1].verdict == "right":', "elif False:", FAULT + "[sample_grid_ends_early]"),
    (ORDER, "& (errors > floor)", "& (errors > 0)", SAMPLERS + "errors_below_the_floor_are_not_fitted"),
    (ORDER, "(1 + LEVEL) / 2", "(1 + LEVEL) / 4", SAMPLERS + "the_interval_of_an_order_holds_it_as_often_as_it_says"),
    # the noise and the law of a stochastic sampler
    (MONTE_CARLO, "FALSE_ALARMS = 1e-6", "FALSE_ALARMS = 1.0", EXACT),
    (MONTE_CARLO, "min(1.0, 2 * tails)", "min(1.0, tails)", SAMPLERS + "p_values_are_uniform_under_the_null"),
    (MONTE_CARLO, "np.sqrt(variance / N)", "np.sqrt(variance)", SAMPLERS + "p_values_are_uniform_under_the_null"),
    (MONTE_CARLO, "shrink**2 * V[-1] + sigma**2", "shrink * V[-1] + sigma**2", SAMPLERS + "the_variance_beta_is_that_of_the_chain"),
    (
        MONTE_CARLO,
        "shrink = r * sigma_s**2 / sigma**2",
        "shrink = r * sigma_s / sigma",
        SAMPLERS + "the_variance_beta_is_that_of_the_chain",
    ),
    (MONTE_CARLO, "if shared := _shared_noise(run, rate):", "if shared := '':", SAMPLERS + "noise_that_is_used_twice_is_named"),
    (
        MONTE_CARLO,
        "            return False\n    return True\n\n\ndef _errors",
        "            return True\n    return True\n\n\ndef _errors",
        FAULT + "[sample_corrector_noise]",
    ),
    (MONTE_CARLO, "if (after > 0.6 * first + noise).any():", "if (after > 6 * first + noise).any():", FAULT + "[sample_half_score]"),
    (MONTE_CARLO, "if (after > 0.6 * first + noise).any():", "if (after > 0.1 * first).any():", CORRECT + "[sample_euler_maruyama]"),
    (MONTE_CARLO, '"fault" if wrong or moved else "right"', '"right"', FAULT + "[sample_sde_ends_early]"),
    (
        MONTE_CARLO,
        "B2 = max(sigma_s**2 - Q**2 * sigma**2, 0.0)",
        "B2 = sigma_s**2",
        SAMPLERS + "the_variance_of_samples_is_that_of_the_recursion",
    ),
    (MONTE_CARLO, "if wrong.any() else", "if False else", FAULT + "[sample_whole_loop_without_root]"),
    # conventions
    (CONVENTIONS, "FITS = 0.35", "FITS = 0.0", CORRECT + "[sample_rectified_flow]"),
    (CONVENTIONS, "CLEARER = 3.0", "CLEARER = 1e30", CORRECT + "[sample_rectified_flow]"),
    (CONVENTIONS, "elif noisy and equal:", "elif False:", FAULT + "[sample_seed_fixed]"),
    (CONVENTIONS, "    elif not same:", "    elif False:", FAULT + "[sample_seed_ignored]"),
    (CONVENTIONS, "if not takes and not same:", "if not same:", FAULT + "[sample_seed_ignored]"),
    (
        CONVENTIONS,
        '(True, False): "trailing", (False, True): "leading"',
        '(True, False): "leading", (False, True): "trailing"',
        CORRECT + "[sample_ddpm_leading]",
    ),
    (CONVENTIONS, "top = abs(distinct[0] - first) < 0.6 * unit", "top = True", CORRECT + "[sample_ddpm_leading]"),
    (CONVENTIONS, "distinct = distinct[::-1]", "pass", CORRECT + "[sample_rectified_flow]"),
    (CONVENTIONS, "clipped = abs(came[1] - 3) >", "clipped = abs(came[1] - 3) <", CORRECT + "[sample_ddim_linspace]"),
    (CANDIDATES, "return alpha / size, sigma / size", "return alpha, sigma / size", CORRECT + "[sample_ancestral_network_input]"),
    (CANDIDATES, "(lambda t: levels.at(t - shift))", "(lambda t: levels.at(t + shift))", CORRECT + "[sample_ddim_eta_one_based]"),
    (CONVENTIONS, "sigma**2 - sampler.start_noise", "sigma**2 + sampler.start_noise", CORRECT + "[sample_heun_churn]"),
    (CONVENTIONS, "(claimed[0][0] < FITS or not alone):", "True:", FAULT + "[sample_claims_noise]"),
    # data that are known
    (TRAJECTORIES, "alpha * law.variance * shifted", "law.variance * shifted", CORRECT + "[sample_rectified_flow]"),
    (
        TRAJECTORIES,
        "            return -shifted",
        "            return shifted",
        SAMPLERS + "an_exact_prediction_of_a_point_mass_is_its_own[score]",
    ),
    (TRAJECTORIES, "+ r1 * sigma * shifted", "- r1 * sigma * shifted", SAMPLERS + "an_exact_prediction_of_a_point_mass_is_its_own[v]"),
    (TRAJECTORIES, "spread * z) / self.gain", "spread * z) * self.gain", CORRECT + "[sample_heun_churn]"),
    (TRAJECTORIES, "total - self.start_noise", "total + self.start_noise", CORRECT + "[sample_heun_churn]"),
    (TRAJECTORIES, "mean(axis=1) / 0.5", "mean(axis=1)", SAMPLERS + "the_response_of_an_exact_sampler_is_at_its_levels"),
    # samples with guidance
    (GUIDED_SAMPLES, "for c in (B, A)", "for c in (A, B)", SAMPLERS + "guidance_has_the_closed_form_of_the_ode"),
    (GUIDED_SAMPLES, "wanted = law(B, A, weight", "wanted = law(A, B, weight", SAMPLERS + "guidance_has_the_closed_form_of_the_ode"),
    (
        GUIDED_SAMPLES,
        "law = sde_variance if sampler.stochastic else ode_variance",
        "law = ode_variance",
        SAMPLERS + "guidance_has_the_closed_form_of_the_sde",
    ),
    # how guidance joins two predictions
    (GUIDANCE, "if slope <= bound:", "if False:", FAULT + "[guided_exchanged]"),
    (GUIDANCE, "if slope <= bound:", "if slope < -bound:", FAULT + "[guided_without_condition]"),
    (GUIDANCE, "    if off[worst] > bound:\n        low", "    if False:\n        low", FAULT + "[guided_plain_up_to_one]"),
    (GUIDANCE, "own = errors[worst] <= 8 * _bound(target)", "own = True", FAULT + "[guided_rescaled_by_the_batch]"),
    (GUIDANCE, "right = off[worst] <= bound", "right = True", FAULT + "[guided_sum_above_one]"),
    (
        GUIDANCE,
        'NAMES = {(1.0, 0.0): "conditional at 1"',
        'NAMES = {(1.0, 0.5): "conditional at 1"',
        GUIDED + "the_weight_is_recognised[conditional at 1]",
    ),
    (GUIDANCE, "for at in (1, 0))", "for at in (0, 1))", GUIDED + "the_weight_is_recognised[conditional at 10, unconditional at 0]"),
    (
        GUIDANCE,
        "return phi if fits_all and 0 < phi <= 1 + 1e-6 else None",
        "return phi if fits_all and 0 < phi < 0.9 else None",
        GUIDED + "guidance_rescale_is_recognised[1.0]",
    ),
    (GUIDANCE, "(k - A) * u[index]", "(k + A) * u[index]", CORRECT + "[guided_rescaled]"),
    (GUIDANCE, "linear = residual[worst] <= 8 * _bound(context.target)", "linear = True", GUIDED + "a_constant_that_is_added_is_a_fault"),
    (GUIDANCE, "if not np.isfinite(result).all()]", "if False]", GUIDED + "nan_at_weight_0_is_a_fault"),
    (GUIDANCE, "ode_variance(1.0, 2.0, f)", "ode_variance(2.0, 1.0, f)", GUIDED + "a_fault_says_what_it_does_to_gaussian_samples"),
)
