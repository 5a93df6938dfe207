"""Known mistakes in the audit's checks of losses and models, and in its adapters: a planted fault that passes, or a false alarm."""

AUDIT = "reference/audit/"
CHECKS, ADAPTERS = AUDIT + "checks/", AUDIT + "adapters/"
TESTS = "tests/reference/audit/"
LOSS, PROBES, INPUT, BATCH, VALUE = (
    CHECKS + name for name in ("losses.py", "loss_probes.py", "loss_input.py", "loss_batch.py", "loss_value.py")
)
TRAINED, CALLS, DATA, READING = (CHECKS + name for name in ("trained.py", "model_calls.py", "model_data.py", "model_reading.py"))
MODEL_LOSSES, STATISTICS = CHECKS + "model_losses.py", CHECKS + "statistics.py"
OURS, NAMES = ADAPTERS + "ours.py", ADAPTERS + "targets.py"
FAULT = TESTS + "test_faults.py::test_a_planted_fault_is_caught_by_its_line_alone"
CORRECT = TESTS + "test_faults.py::test_a_correct_target_has_no_fault_and_its_conventions_are_recognised"
LOSSES, MODELS = TESTS + "test_losses.py::test_", TESTS + "test_trained.py::test_"
OUR_TESTS = TESTS + "test_ours.py::test_"

MUTANTS = (
    # a loss
    (LOSS, 'if names_x1(target, "loss"):', "if False:", CORRECT + "[loss_flow_x1]"),
    (LOSS, "if not np.isfinite(value).all():", "if False:", FAULT + "[loss_infinite_at_the_first_time]"),
    (LOSS, "name = known if known in fitting else fitting[0]", "name = known or fitting[0]", FAULT + "[loss_x0_called_noise]"),
    (
        LOSS,
        '"fault" if known else "not decidable",\n                equation',
        '"not decidable",\n                equation',
        LOSSES + "the_negative_of_v_is_not_decidable_without_a_claim_and_a_fault_with_one",
    ),
    (
        PROBES,
        '"v with its sign reversed": lambda alpha, sigma: (sigma, -alpha)',
        '"v with its sign reversed": lambda alpha, sigma: (sigma, alpha)',
        LOSSES + "the_negative_of_v_is_not_decidable_without_a_claim_and_a_fault_with_one",
    ),
    (
        PROBES,
        "if not abs(found) <= largest_ratio(target, levels, t):",
        "if not abs(found) <= 1:",
        LOSSES + "each_prediction_is_recognised_and_no_other[v]",
    ),
    (PROBES, "if not (value.size == 1 or", "if False and not (value.size == 1 or", FAULT + "[loss_mean_over_the_batch_alone]"),
    (
        PROBES,
        "abs(share * exact[0].size ** 0.5 - 1) < 0.01",
        "False",
        LOSSES + "the_loss_of_an_error_is_recognised[norm, the root of the squared error]",
    ),
    (
        PROBES,
        "return value(target, draws, t, exact + e) / e**power",
        "return value(target, draws, t, exact + e) / e",
        LOSSES + "the_reported_value_is_the_loss_of_the_exact_denoiser_of_gaussian_data[noise]",
    ),
    (PROBES, "if fa <= fb:", "if fa >= fb:", LOSSES + "the_negative_of_v_is_not_decidable_without_a_claim_and_a_fault_with_one"),
    (INPUT, "if not (abs(b) > 1e-3 and", "if True or not (abs(b) > 1e-3 and", CORRECT + "[loss_of_unit_interval]"),
    (INPUT, '"x0": (x0 - float(b)) / float(k)', '"x0": (x0 + float(b)) / float(k)', CORRECT + "[loss_of_unit_interval]"),
    (INPUT, "if np.ndim(first) or first != second:", "if False:", LOSSES + "a_loss_that_draws_its_own_times_is_not_decidable"),
    (INPUT, "if (steps > 0).all() or (steps < 0).all():", "if False:", CORRECT + "[loss_flow]"),
    (INPUT, "if whole and len(shifts) == 1 and shifts <= {-1.0, 1.0}:", "if False:", FAULT + "[loss_told_the_previous_time]"),
    (INPUT, '"fault" if self.levels.how else "not decidable"', '"not decidable"', FAULT + "[loss_alpha_bar_without_root]"),
    (INPUT, "if max(abs(s - 1) for s in scales) > 1e-3:", "if False:", LOSSES + "an_input_in_unit_variance_is_a_convention"),
    (
        INPUT,
        "min(max(t + shift, low), high)",
        "min(max(t - shift, low), high)",
        FAULT + "[loss_of_the_next_level]",
    ),
    (BATCH, '"sum over the batch": singles.sum()}', "}", CORRECT + "[loss_flow]"),
    (BATCH, "if (np.abs(batch - wanted) <= bound * np.abs(wanted)).all():", "if True:", FAULT + "[loss_root_of_the_batch_mean]"),
    (
        BATCH,
        'if case == "a time for each sample" and not results["one time"][0]:',
        'if case == "a time for each sample":',
        FAULT + "[loss_weights_across_the_batch]",
    ),
    (
        BATCH,
        'batch = "sum" if abs(double.sum() / single.sum() - 2) < 1e-3 else "mean"',
        'batch = "mean"',
        LOSSES + "the_reduction_of_a_loss_is_recognised[sum over the batch, sum over entries]",
    ),
    (BATCH, 'entries = "sum" if abs(', 'entries = "mean" if abs(', CORRECT + "[loss_min_snr]"),
    (
        VALUE,
        "alpha * row[1] - sigma * row[0]",
        "alpha * row[1] + sigma * row[0]",
        LOSSES + "the_reported_value_is_the_loss_of_the_exact_denoiser_of_gaussian_data[v]",
    ),
    (
        VALUE,
        "/ np.hypot(*p) for r, p",
        "for r, p",
        LOSSES + "the_reported_value_of_a_loss_of_x0_with_exploding_variance_is_that_of_its_exact_denoiser",
    ),
    (VALUE, "on_x0 = w * np.abs(D / sigma) ** power", "on_x0 = w * np.abs(D * sigma) ** power", CORRECT + "[loss_edm]"),
    (VALUE, "1 + edm**2 * snr", "1 + edm * snr", CORRECT + "[loss_edm]"),
    (VALUE, "np.minimum(snr, top)", "np.maximum(snr, top)", CORRECT + "[loss_min_snr]"),
    (VALUE, "if abs(factor - 1) < 1e-3 else", "if True else", CORRECT + "[loss_ncsn]"),
    (
        VALUE,
        "mean_of = lambda s: w * s**2",
        "mean_of = lambda s: w * s",
        LOSSES + "the_mean_over_t_of_the_noise_loss_of_gaussian_data_is_that_of_alpha_bar",
    ),
    # the calls of a model
    (CALLS, "    if not _check_finite(context, results):\n        return False\n", "", FAULT + "[model_nan_at_the_end]"),
    (CALLS, "same = bool(error <= bound)", "same = True", FAULT + "[model_with_dropout]"),
    (CALLS, "own = bool(error <= bound)", "own = True", FAULT + "[model_with_batch_normalisation]"),
    (CALLS, "= not depends", "= False", FAULT + "[model_blind_to_time]"),
    # its data
    (DATA, "elif numbers.std() == 0:", "elif False:", FAULT + "[model_of_constant_data]"),
    (DATA, "if not np.isfinite(numbers).all():", "if False:", MODELS + "data_with_nan_are_a_fault"),
    (DATA, "(data == np.round(data)).all()", "False", CORRECT + "[model_images]"),
    (DATA, "if array.ndim < 2 or len(array) < LEAST:", "if len(array) < LEAST:", MODELS + "data_of_another_shape_are_one_sentence"),
    # what it predicts
    (READING, "best = best if contradicted else claimed", "best = claimed", FAULT + "[model_of_v_called_noise]"),
    (READING, "not costs[best] < KNOWS_NOTHING", "False", MODELS + "a_constant_model_is_not_decidable_without_a_claim"),
    (
        READING,
        "rivals = near & same - {best}",
        "rivals = set()",
        MODELS + "two_time_bases_that_the_losses_do_not_tell_apart_are_not_decidable",
    ),
    (READING, "order = np.argsort(costs)", "order = np.argsort(-costs)", MODELS + "the_data_decide_what_a_model_predicts[noise]"),
    # its losses
    (
        MODEL_LOSSES,
        "(alpha * self.output[k] - r0 * self.x[k])",
        "(alpha * self.output[k] + r0 * self.x[k])",
        MODELS + "the_data_decide_what_a_model_predicts[v]",
    ),
    (MODEL_LOSSES, "* width / 2", "* width", MODELS + "the_cost_of_an_excess_is_half_its_integral_over_log_snr"),
    (
        MODEL_LOSSES,
        "np.append(gaps, 0) + np.append(0, gaps)",
        "np.append(gaps, 0) + 0",
        MODELS + "the_cost_of_an_excess_is_half_its_integral_over_log_snr",
    ),
    (MODEL_LOSSES, "np.array([paired(b - a,", "np.array([paired(a - b,", FAULT + "[model_memorises]"),
    (MODEL_LOSSES, "np.array([paired(a - b,", "np.array([paired(b - a,", FAULT + "[model_shrunk]"),
    (
        MODEL_LOSSES,
        "linear.posterior_mean(seen.x0 + scale * seen.noise, scale)",
        "linear.posterior_mean(seen.x0 + scale * seen.noise, scale**2)",
        MODELS + "the_loss_of_an_exact_model_is_that_of_the_best_linear_denoiser",
    ),
    (TRAINED, "fault = total > TOLERATED", "fault = total > 1e3", FAULT + "[model_told_reversed_time]"),
    (TRAINED, "if fault and (other := map_of_data()):", "if other := '':", FAULT + "[model_of_another_range]"),
    (
        TRAINED,
        "return train[half:], train[:half],",
        "return train[:half], train[:half],",
        MODELS + "the_linear_denoiser_is_not_fitted_to_the_half_that_it_is_judged_on",
    ),
    (
        TRAINED,
        "both = gap & on_train.better_than_linear() & held.worse_than_linear()",
        "both = gap",
        MODELS + "a_model_that_is_better_on_training_data_and_still_generalises_is_no_fault",
    ),
    (TRAINED, "above(first, second, len(pairs))", "above(second, first, len(pairs))", FAULT + "[model_memorises]"),
    # statistics
    (STATISTICS, "student.isf(rate / comparisons, freedom)", "student.isf(rate, freedom)", MODELS + "levels_share_one_false_alarm_rate"),
    (
        STATISTICS,
        "student.isf(rate / comparisons, freedom)",
        "student.isf(rate / comparisons, 1000)",
        MODELS + "the_paired_test_of_few_samples_has_its_false_alarm_rate",
    ),
    (STATISTICS, "difference.var(ddof=1) / n", "difference.var(ddof=1) / n / 2", MODELS + "the_paired_test_has_its_false_alarm_rate"),
    (
        STATISTICS,
        "first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)",
        "first.var(ddof=1) / len(first)",
        MODELS + "the_comparison_of_two_samples_has_its_false_alarm_rate",
    ),
    # this project's samplers as targets
    (OURS, '"dpm-solver-1": 1,', '"dpm-solver-1": 3,', OUR_TESTS + "our_samplers_have_no_fault[dpm-solver-1]"),
    (
        OURS,
        'return pieces, claims | {"sampler": "sde"}',
        'return pieces, claims | {"sampler": "ode"}',
        OUR_TESTS + "our_samplers_have_no_fault[ddpm]",
    ),
    (OURS, "noise = None if key is None else self.noise", "noise = None", OUR_TESTS + "our_samplers_have_no_fault[ddpm]"),
    (OURS, "return 1.0 - float(t), float(t)", "return float(t), 1.0 - float(t)", OUR_TESTS + "our_samplers_have_no_fault[indi]"),
    (NAMES, "if options:", "if False:", TESTS + "test_bad_targets.py::test_a_bad_option_is_refused_in_one_sentence[an option of a file]"),
)
