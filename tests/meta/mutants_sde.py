"""Known mistakes in SDEs, their solvers and the likelihood: (file, exact old text, new text, test that must fail).

E5 and similar codes are rows in the tutorial's list of misprints.  E13b, white noise of variance 1 at every time, is E13 in one solver.
"""

from itertools import starmap


def _sde(old, new, test):
    return "reference/sde/sde.py", old, new, "tests/reference/test_sde.py::test_" + test


def _run(old, new, test):
    return "reference/runs/views.py", old, new, "tests/reference/test_sde.py::test_" + test


def _ode(old, new, test):
    return "reference/samplers/ode.py", old, new, "tests/reference/test_ode_solvers.py::test_" + test


def _dpm(old, new, test):
    return "reference/samplers/dpm_solver.py", old, new, "tests/reference/test_ode_solvers.py::test_" + test


def _edm(old, new, test):
    return "reference/samplers/edm.py", old, new, "tests/reference/test_ode_solvers.py::test_" + test


def _grid(old, new, test):
    return "reference/samplers/grids.py", old, new, "tests/reference/test_ode_solvers.py::test_" + test


def _solver(old, new, test, file="sde_solvers"):
    return "reference/samplers/sde.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


def _command(old, new, test, file="sde_solvers"):
    return "reference/runs/solvers.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


def _likelihood(old, new, test):
    return "reference/sde/likelihood.py", old, new, "tests/reference/test_likelihood.py::test_" + test


def _evaluate(old, new, test):
    return "reference/runs/evaluation.py", old, new, "tests/reference/test_likelihood.py::test_" + test


EQUATIONS = "signal_and_noise_satisfy_the_odes_of_drift_and_diffusion"
FAMILY = "the_reverse_family_preserves_the_marginals_of_a_gaussian"
TABLE = "drift_diffusion_marginal_and_prior_equal_the_table[0.5-{}]".format

SDES = (
    ("return -self.beta(t) / 2", "return -self.beta(t)", EQUATIONS),
    ("return self.beta(t) ** 0.5", "return self.beta(t)", EQUATIONS),
    ("np.exp(self.log_alpha_bar(t) / 2)", "np.exp(self.log_alpha_bar(t))", EQUATIONS),
    ("np.sqrt(-np.expm1(self.log_alpha_bar(t)))", "np.sqrt(-np.expm1(self.log_alpha_bar(t) / 2))", EQUATIONS),
    ("-np.expm1(2 * self.log_alpha_bar(t))", "-np.expm1(self.log_alpha_bar(t))", EQUATIONS),
    ("as_float(-np.expm1(self.log_alpha_bar(t)))", "as_float(np.sqrt(-np.expm1(self.log_alpha_bar(t))))", EQUATIONS),
    ("(2 * self._growth) ** 0.5", "self._growth**0.5", EQUATIONS),
    ("np.sqrt(np.expm1(2 * self._growth * t))", "np.exp(self._growth * t)", "at_time_0_signal_is_one_and_noise_zero"),
    ("return -self.gamma\n", "return -self.gamma / 2\n", EQUATIONS),
    ("-np.expm1(-2 * self.gamma", "-np.expm1(-self.gamma", EQUATIONS),
    ("(self.q / (2 * self.gamma)) ** 0.5", "(self.q / self.gamma) ** 0.5", TABLE("ou")),
    ("as_float(self.a * np.sqrt(t))", "as_float(self.a * t)", TABLE("brownian")),
    (
        "        return 1.0\n",
        "        return self.noise_scale(self.t_max)\n",
        "drift_diffusion_marginal_and_prior_equal_the_table[0.5-vp]",
    ),
    ("(1 + reverse_noise**2) / 2 * self", "(1 + reverse_noise) / 2 * self", FAMILY),
    ("self.drift_coefficient(t) * x - score", "self.drift_coefficient(t) * x + score", FAMILY),
    ("reverse_noise * self.diffusion(t)\n", "self.diffusion(t)\n", FAMILY),
    ("sigma**2 - (a * sigma_prev) ** 2, 0", "sigma**2 - sigma_prev**2, 0", "two_transitions_compose_to_one"),
    ("a = alpha / alpha_prev", "a = alpha_prev / alpha", "two_transitions_compose_to_one"),
    ("as_float(2 * (np.log(alpha)", "as_float((np.log(alpha)", "the_log_snr_is_twice_the_log_of_signal_over_noise"),
    ("if self.log_snr(middle) > log_snr", "if self.log_snr(middle) < log_snr", "time_of_log_snr_inverts_log_snr"),
    ("above = self.log_snr(middle) > log_snr", "above = self.log_snr(middle) < log_snr", "times_of_arrays_are_those_of_their_numbers[vp]"),
    (
        "wanted = as_float(2 * np.log(alpha / sigma))",
        "wanted = as_float(np.log(alpha / sigma))",
        "the_time_of_scaled_x_depends_only_on_the_noise_ratio",
    ),
    (
        "return self.time_of_log_snr(-2 * float(np.log(self.min_noise_ratio)))",
        "return self.time_of_log_snr(-float(np.log(self.min_noise_ratio)))",
        "training_ends_at_the_time_of_the_smallest_noise_ratio",
    ),
    (
        "self.t_min + u * (self.t_max - self.t_min)",
        "u * self.t_max",
        "training_ends_at_the_time_of_the_smallest_noise_ratio",
    ),
    ("1000 * t / self.t_max", "1000 * t", "network_times_range_from_0_to_1000[vp]"),
)

RUNS = (
    (
        "return VE(sigma_min=smallest, sigma_max=largest, min_noise_ratio=smallest)",
        "return VE(sigma_min=smallest, sigma_max=largest)",
        "a_run_on_a_schedule_is_the_sde_over_its_trained_noise_range[ladder]",
    ),
    (
        "t_max=whole.time_of_log_snr(lowest))",
        "t_max=whole.time_of_log_snr(lowest / 2))",
        "a_run_on_a_schedule_is_the_sde_over_its_trained_noise_range[short]",
    ),
)

TAYLOR = "a_linear_step_is_the_taylor_polynomial_of_exp[{}]".format
ORDER = "the_order_is_the_same_forward_in_time[{}]".format

TABLES = (
    ('"midpoint": (((), (1 / 2,)), (0.0, 1.0))', '"midpoint": (((), (1.0,)), (0.0, 1.0))', TAYLOR("midpoint")),
    ('"heun": (((), (1.0,)), (1 / 2, 1 / 2))', '"heun": (((), (1.0,)), (1.0, 0.0))', TAYLOR("heun")),
    ("(1 / 6, 1 / 3, 1 / 3, 1 / 6)", "(1 / 3, 1 / 6, 1 / 6, 1 / 3)", TAYLOR("rk4")),
    ("(0.0, 1 / 2), (0", "(1 / 2, 0.0), (0", TAYLOR("rk4")),
    ("t + sum(row) * h", "t", "runge_kutta_stages_use_their_times_and_weights[heun-b1]"),
    ("h: float = t_next - t", "h: float = t - t_next", "printed_values_of_eulers_method_on_example_4_8[0.2-3.16969-.23864]"),
    ("t_eval=times[1:]", "t_eval=times[:-1]", "rk45_is_within_ten_times_its_tolerance[0.0001]"),
    ("rtol=rtol, atol=atol)", "rtol=100 * rtol, atol=100 * atol)", "rk45_is_within_ten_times_its_tolerance[1e-08]"),
)

DPM = (
    ("sde.log_snr(t) / 2\n", "sde.log_snr(t)\n", ORDER("dpm-solver-1")),
    ("predict_noise(x_middle, middle)", "predict_noise(x_middle, s)", ORDER("dpm-solver-2")),
    ("_between(sde, s, t, 1 / 2)", "_between(sde, s, t, 1 / 3)", ORDER("dpm-solver-2")),
    (
        "(1 - share) * sde.log_snr(s) + share * sde.log_snr(t)",
        "share * sde.log_snr(s) + (1 - share) * sde.log_snr(t)",
        ORDER("dpm-solver-3"),
    ),
    ("h = (sde.log_snr(t) - sde.log_snr(s)) / 2", "h = sde.log_snr(t) - sde.log_snr(s)", ORDER("dpm-solver-3")),
    ("r2 / r1 * curve", "r1 / r2 * curve", ORDER("dpm-solver-3")),
    ("- (sigma_t / r2 *", "+ (sigma_t / r2 *", ORDER("dpm-solver-3")),
    ("(h / (2 * h_before)) * (x0 - x0_before)", "(h / (2 * h_before)) * (x0_before - x0)", ORDER("dpm-solver++")),
    ("(alpha_t * weight)", "(alpha_s * weight)", ORDER("dpm-solver++")),
    ("        before = x0, h\n", "", ORDER("dpm-solver++")),
)

PRINTED_EDM = "printed_errors_and_evaluations_of_edm_on_the_mixture[18-.13132-.043568]"

EDM = (
    (
        "sigma_min ** (1 / rho), n) ** rho",
        "sigma_min ** (1 / rho), n + 1)[:-1] ** rho",
        "edm_levels_are_even_in_sigma_to_1_over_rho_and_end_with_0",
    ),
    ("predicted - denoise(predicted, sigma_next)", "predicted - denoise(predicted, sigma)", PRINTED_EDM),
    ("* (1 / sigma_next)", "* (1 / sigma)", PRINTED_EDM),
)

GRID = "grids_decrease_strictly_and_evenly_in_their_measure[{}]".format

GRIDS = (
    ("return np.linspace(t_max, t_min, _count(n))", "return np.geomspace(t_max, t_min, _count(n))", GRID("t")),
    ("(2 * rho)) for t", "(3 * rho)) for t", GRID("karras")),
    (
        "np.linspace(sde.log_snr(t_max), sde.log_snr(t_min), _count(n))",
        "np.linspace(sde.log_snr(t_max), sde.log_snr(t_min), n)",
        GRID("log-snr"),
    ),
    ("log_snrs[1:-1]), t_min])", "log_snrs[1:-1]), sde.t_min])", GRID("log-snr")),
)

AS_WRITTEN = "a_step_equals_its_formula_in_either_time_direction[-0.2]"
GEOMETRIC = "strong_order_for_multiplicative_noise[{}]".format
COEFFICIENTS = "predictor_coefficients_have_their_closed_form[{}]".format
DDPM = "ancestral_predictor_on_vp_is_the_ddpm_posterior_step[5-4]"
PAIR = "predictor_corrector_has_the_recursion_moments_near_the_datas[1-0.1-reverse-diffusion-vp]"
ASKED = "predictor_and_corrector_evaluate_the_score_at_the_right_times[1-reverse-diffusion]"
STATIONARY = "the_corrector_keeps_a_gaussian_except_for_the_bias_of_its_step[0.1-vp]"

SOLVERS = (
    # E13: dt of 1, in the noise and in the drift
    ("abs(h) ** 0.5 * z", "z", "printed_stationary_variances_of_example_4_4"),
    (
        "x = x + h * drift(x, t) + diffusion(x, t) * dW\n",
        "x = x + drift(x, t) + diffusion(x, t) * dW\n",
        "stationary_variance_of_euler_maruyama_is_too_large_by_a_closed_form[1.0-2.0-0.3]",
    ),
    ("abs(h) ** 0.5 * z", "abs(h) * z", AS_WRITTEN),
    (
        "Key(seed, sample, n, Purpose.STEP_NOISE), x.shape",
        "Key(seed, sample, 0, Purpose.STEP_NOISE), x.shape",
        "every_step_has_its_own_noise_draw[euler-maruyama]",
        "sde_samplers",
    ),
    ("(dW**2 - abs(h)) / 2", "(dW**2 - h) / 2", AS_WRITTEN),
    ("(dW**2 - abs(h)) / 2", "(dW**2 - abs(h))", GEOMETRIC("milstein-1-1.0")),
    ("(g + g_next) / 2 * dW", "g * dW", "weak_order_is_1_for_multiplicative_noise[heun]"),
    ("drift(predicted, t_next)", "drift(predicted, t)", AS_WRITTEN),
    ("predicted = x + h * f + g * dW", "predicted = x + h * f", "printed_means_of_stratonovich_and_ito"),
    # predictors
    ("1 - h * sde.drift_coefficient(t), h", "1 + h * sde.drift_coefficient(t), h", COEFFICIENTS("vp"), "predictor_corrector"),
    (
        "h, power = t - t_prev, sde.diffusion(t) ** 2",
        "h, power = t - t_prev, sde.diffusion(t_prev) ** 2",
        COEFFICIENTS("ve"),
        "predictor_corrector",
    ),
    ("return 2 - a, deviation**2, deviation", "return 2 - a, deviation**2 / 2, deviation", COEFFICIENTS("ve"), "predictor_corrector"),  # E5
    ("return 1 / a, deviation**2 / a,", "return 1 / a, deviation**2 / (2 * a),", DDPM, "predictor_corrector"),  # E5
    (
        "return 1 / a, deviation**2 / a,",
        "return 1 / a, deviation**2 / (2 * a),",
        "printed_variances_of_example_4_7_with_the_right_beta",
        "predictor_corrector",
    ),  # E5
    (  # E11c
        "deviation * sde.marginal(t_prev)[1] / sde.marginal(t)[1]",
        "deviation",
        "predictors_on_ve_are_4_21_and_ancestral_with_less_noise",
        "predictor_corrector",
    ),
    (
        "deviation * sde.marginal(t_prev)[1] / sde.marginal(t)[1]",
        "deviation * sde.marginal(t)[1] / sde.marginal(t_prev)[1]",
        DDPM,
        "predictor_corrector",
    ),
    # the corrector and the loop
    ("1.0, step, (2 * step) ** 0.5, key", "1.0, step, step**0.5, key", STATIONARY, "predictor_corrector"),  # E11
    ("1.0, step, (2 * step) ** 0.5, key", "1.0, -step, (2 * step) ** 0.5, key", STATIONARY, "predictor_corrector"),
    ("score_at_t(x, t_prev), length", "score_at_t(x, t), length", ASKED, "predictor_corrector"),  # E11b
    (  # E11b: the prediction is discarded
        "x = ops.reverse_step(x, score_at_t(x, t), c_x, c_score, deviation, key)\n",
        "predicted = ops.reverse_step(x, score_at_t(x, t), c_x, c_score, deviation, key)\n        x = x if corrections else predicted\n",
        PAIR,
        "predictor_corrector",
    ),
    ("score_at_t(x, t), c_x", "score_at_t(x, t_prev), c_x", ASKED, "predictor_corrector"),
    ("length = step * sde.noise_power(t_prev)", "length = step * sde.noise_power(t)", PAIR, "predictor_corrector"),
    ("Purpose.CORRECTOR)", "Purpose.STEP_NOISE)", PAIR, "predictor_corrector"),
    ("ops), n + 1", "ops), n\n", ASKED, "predictor_corrector"),
    ("Key(seed, sample, index, Purpose", "Key(seed, sample, n, Purpose", ASKED.replace("[1", "[3"), "predictor_corrector"),
)

COMMANDS = (
    (
        "predict_noise = lambda x, t: at(x, t) * -sde",
        "predict_noise = lambda x, t: at(x, t) * sde",
        "the_default_number_of_steps_samples_the_mixture[dpm-solver-2]",
        "sde_samplers",
    ),
    (
        "flow, _ = sde.reverse(at, 0.0)",
        "flow, _ = sde.reverse(at, 1.0)",
        "the_default_number_of_steps_samples_the_mixture[ode-heun]",
        "sde_samplers",
    ),
    (
        "run.model.data_variance**0.5, sde",
        "run.model.data_variance, sde",
        "a_solver_starts_with_the_variance_of_data_at_the_end_time[ve]",
        "sde_samplers",
    ),
    ("x * (1 / sde.signal(sde.t_max))", "x", "the_default_number_of_steps_samples_the_mixture[edm]", "sde_samplers"),
)

ROWS = "evaluate_reports_the_density_at_the_smallest_noise[None]"
DENSITY = "likelihood_with_exact_score_and_prior_is_the_exact_log_density[{}]".format

LIKELIHOOD = (
    ("(x_end) + end[:, d]", "(x_end) - end[:, d]", DENSITY("example-2.1-vp")),
    ("(d * sde.drift_coefficient(t) - power / 2 * trace)", "(d * sde.drift_coefficient(t) + power / 2 * trace)", DENSITY("gaussian-ve")),
    ("(d * sde.drift_coefficient(t) - power", "(sde.drift_coefficient(t) - power", DENSITY("plane-vp")),
    ("- power / 2 * trace)", "- power * trace)", DENSITY("gaussian-vp")),
    (
        "drift = sde.drift_coefficient(t) * x_t - power / 2 * score",
        "drift = sde.drift_coefficient(t) * x_t - power * score",
        DENSITY("gaussian-vp"),
    ),
    ("sde.diffusion(t) ** 2, _trace", "sde.diffusion(t), _trace", DENSITY("gaussian-subvp")),
    ("(t_start, sde.t_max), start", "(0.0, sde.t_max), start", "likelihood_from_a_later_time_is_the_density_at_that_time[vp]"),
    (
        "_dot(probe, pullback(probe))",
        "_dot(np.ones_like(probe), pullback(probe))",
        "the_mean_over_all_sign_probes_is_the_exact_trace[plane]",
    ),
    ("direction.reshape(len(x), -1)[:, i] = 1", "direction.reshape(len(x), -1)[:, : i + 1] = 1", DENSITY("plane-vp")),
    ("trace += _dot", "trace = _dot", DENSITY("plane-ve")),
    ("/ sde.prior_scale) ** 2", "/ sde.prior_scale**2) ** 2", "the_prior_is_a_gaussian_of_the_documented_scale[ve]"),
    ("(-np.asarray(log_p) / dimensions", "(np.asarray(log_p) / dimensions", "bits_per_dimension_divide_by_the_number_of_entries"),
    ("- np.log(bin_width)) /", "+ np.log(bin_width)) /", "bits_per_dimension_divide_by_the_number_of_entries"),
    (" / dimensions - np.log", " - np.log", "bits_per_dimension_divide_by_the_number_of_entries"),
    ("(bin_width * (u - 0.5))", "(bin_width * u)", "dequantisation_spreads_data_over_bins_and_keeps_the_dtype"),
)

EVALUATE = (
    ("x = add_noise(x, alpha, sigma, Key(seed, sample, 1,", "x = add_noise(x, 1.0, 0.0, Key(seed, sample, 1,", ROWS),
    ("Purpose.PROBE, data", "Purpose.EVALUATION, data", "images_use_one_random_sign_per_entry_as_probe"),
    ("float(-log_p)}", "float(log_p)}", ROWS),
)

MUTANTS = (
    *starmap(_evaluate, EVALUATE),
    *starmap(_sde, SDES),
    *starmap(_run, RUNS),
    *starmap(_ode, TABLES),
    *starmap(_dpm, DPM),
    *starmap(_edm, EDM),
    *starmap(_grid, GRIDS),
    *starmap(_solver, SOLVERS),
    *starmap(_command, COMMANDS),
    *starmap(_likelihood, LIKELIHOOD),
    (
        "reference/ops/checks.py",
        "return np.ravel(values)[~np.ravel(inside)]",
        "return np.ravel(values) if not np.all(inside) else np.empty(0)",
        "tests/reference/test_sde.py::test_times_of_arrays_are_those_of_their_numbers[vp]",
    ),
    (
        "reference/runs/views.py",
        "ratios = sde.noise_scale(times) / sde.signal(times)",
        "ratios = sde.noise_scale(times)",
        "tests/reference/test_sde_samplers.py::test_chain_samplers_receive_the_posterior_mean_of_the_sde_at_even_times[6-vp]",
    ),
)
