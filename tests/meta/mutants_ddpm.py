"""Known mistakes in schedules, conversions, mixtures, DDPM, DDIM and samplers: (file, exact old text, new text, test that must fail).

A transposed gain in ``Mixture._kernel`` is no mistake: V_prev and V are functions of one covariance, so the gain is symmetric.
"""

from itertools import starmap


def _schedule(old, new, test):
    return "reference/diffusion/schedules.py", old, new, "tests/reference/test_schedules.py::test_" + test


def _conversion(old, new, test):
    return "reference/diffusion/conversions.py", old, new, "tests/reference/test_conversions.py::test_" + test


def _mixture(old, new, test, file="mixtures"):
    return "reference/diffusion/mixtures.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


def _ddpm(old, new, test):
    return "reference/ddpm/ddpm.py", old, new, "tests/reference/test_ddpm.py::test_" + test


def _elbo(old, new, test):
    return "reference/ddpm/ddpm.py", old, new, "tests/reference/test_elbo.py::test_" + test


def _denoiser(old, new, test):
    return "reference/diffusion/denoiser.py", old, new, "tests/reference/test_denoiser.py::test_" + test


def _kernel(old, new, test, file="samplers"):
    return "reference/ddpm/ddim.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


def _sampler(name, old, new, test, file="samplers"):
    return f"reference/samplers/{name}.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


SCHEDULES = (
    (
        "abs(np.expm1(self._log(t))))\n\n    def signal",
        "abs(np.expm1(-self._log(t))))\n\n    def signal",
        "noise_power_at_the_first_step_is_the_first_beta",
    ),
    (
        "np.abs(np.expm1(self._log(t))))\n\n    def signal",
        "1 - np.exp(self._log(t)))\n\n    def signal",
        "noise_power_at_the_first_step_of_vp_is_accurate",
    ),
    (
        "[self.T * (steps - i) // steps for i",
        "[(self.T - 1) * (steps - i) // steps for i",
        "every_short_grid_is_even_and_runs_from_the_last_step_to_zero",
    ),
    (
        "np.linspace(first, last, 1000), T,",
        "np.linspace(first, last, T), T,",
        "the_last_alpha_bar_does_not_depend_on_the_number_of_steps[linear]",
    ),
    (
        "np.arange(T + 1) / T + offset) / (1 + offset)",
        "np.arange(T + 1) / (T + 1) + offset) / (1 + offset)",
        "cosine_follows_its_formula_until_beta_is_clipped",
    ),
    ("table.flags.writeable = False", "pass", "tables_are_float64_read_only_copies[vp]"),
)

CONVERSIONS = (
    (
        "return log_alpha_bar - np.log(-np.expm1(log_alpha_bar))",
        "return np.log(-np.expm1(log_alpha_bar)) - log_alpha_bar",
        "log_snr_is_the_log_of_signal_to_noise_power",
    ),
    ("return -sigma, alpha", "return sigma, -alpha", "prediction_coefficients_equal_the_definition"),
    ("return 0.0, -1 / sigma", "return 0.0, 1 / sigma", "tweedie_links_score_noise_posterior_mean_and_v"),
)

MIXTURES = (
    ("alpha * self.means, covariances, self.ops)", "alpha * self.means, covariances)", "a_mixture_computes_with_its_port[posterior_mean]"),
    (
        "alpha**2 * self.covariances + sigma**2",
        "alpha * self.covariances + sigma**2",
        "noised_is_the_convolution_with_the_noise",
        "mixture_posteriors",
    ),
    (
        "deviations = x[:, None] - alpha * self.means",
        "deviations = x[:, None] - alpha_prev * self.means",
        "reverse_kernel_follows_bayes_rule",
        "mixture_posteriors",
    ),
    ("G * fresh / (alpha / alpha_prev)", "G * fresh", "reverse_kernel_of_full_covariances_adds_precisions", "mixture_posteriors"),
    ("np.cumsum(self.weights)[:-1], u)", "np.cumsum(self.weights[::-1])[:-1], u)", "samples_have_the_mixtures_moments_and_frequencies"),
)

DDPM = (
    (  # E4
        "schedule.noise_power(t_prev) / schedule.noise_power(t)\n    c_x =",
        "(1 - schedule.signal(t_prev)) / schedule.noise_power(t)\n    c_x =",
        "posterior_is_the_bivariate_gaussian_conditioned_on_the_full_grid[vp]",
    ),
    ("return c_x, c_x0, beta * noise_ratio", "return c_x0, c_x, beta * noise_ratio", "printed_coefficients_of_figure_2_10"),
    ("c_x0 = schedule.signal(t_prev) * beta", "c_x0 = schedule.signal(t) * beta", "printed_coefficients_of_figure_2_10"),
    (
        "    beta = schedule.beta(t, t_prev)\n",
        "    beta = schedule.beta(t, t - 1)\n",
        "posterior_variance_of_skipped_steps_differs_from_one_step[linear]",
    ),
    (
        "np.log(variance + c_x0**2 * mmse(t)))",
        "np.log(variance + c_x0 * mmse(t)))",
        "ancestral_with_exact_variance_is_exact_for_gaussians[10-0.8-0.25]",
    ),
)

FORWARD = (
    (
        "reference/diffusion/forward_process.py",
        "deviation = schedule.beta(t, t_prev) ** 0.5",
        "deviation = schedule.beta(t, t - 1) ** 0.5",
        "tests/reference/test_ddpm.py::test_composed_steps_of_any_length_have_the_one_shot_marginal",
    ),
    (  # E6
        "reference/diffusion/forward_process.py",
        "signal = cast_like(schedule.signal(t), x0)",
        "signal = cast_like(schedule.signal_power(t), x0)",
        "tests/reference/test_elbo.py::test_elbo_with_the_exact_variance_is_tight_in_any_number_of_steps[7-vp-0.7-1.0]",
    ),
)

ELBO = (
    (
        "np.expm1(schedule.log_snr(t) - before)) / 2",
        "np.expm1(schedule.log_snr(t) - before))",
        "printed_limit_of_the_elbo_gap_where_beta_begins_at_zero",
    ),
    (
        "log_r = per_sample_column(np.log(posterior_variance), x0) - log_variance",
        "log_r = log_variance - per_sample_column(np.log(posterior_variance), x0)",
        "elbo_with_the_exact_variance_is_tight_in_any_number_of_steps[7-vp-0.7-1.0]",
    ),
    (
        "- log_r + squares).reshape(len(x0), -1).sum(axis=1) / 2",
        "- log_r + squares).reshape(len(x0), -1).sum(axis=1)",
        "elbo_of_gaussian_data_in_closed_form[10-0.7-1.0]",
    ),
    ("+ power - 1 - np.log(power)", "+ power - 1", "prior_term_is_a_divergence_from_the_unit_normal[1-vp]"),
    ("flat >= 1 - half, np.inf", "flat >= 1 + half, np.inf", "discretised_decoder_integrates_the_density_over_the_cell"),
)

DENOISER = (
    (
        "(signal_power * self.data_variance + noise_power)",
        "(self.data_variance + noise_power)",
        "noise_prediction_for_samplers_is_converted_from_any_prediction",
    ),
)

KERNELS = (
    ("return eta * float(", "return float(", "ancestral_sampling_on_sub_grids_has_the_posterior_variance[9-vp]", "ancestral_and_ddim"),
    (
        "left = schedule.noise_power(t_prev) - deviation**2",
        "left = schedule.noise_power(t_prev)",
        "ddim_with_eta_one_equals_ancestral_with_posterior_variance[50]",
        "ancestral_and_ddim",
    ),
    (
        "return c_x, schedule.signal(t_prev) - c_x * schedule.signal(t)",
        "return c_x, schedule.signal(t_prev)",
        "ddim_gain_on_centred_gaussian_data",
        "ancestral_and_ddim",
    ),
)

SAMPLERS = (
    (
        "ancestral",
        "        if not t_prev:\n            return c_x, c_x0, 0.0\n",
        "",
        "the_last_step_returns_the_x0_estimate[vp-5-ancestral beta]",
    ),
    ("ancestral", "Key(seed, sample, step, Purpose", "Key(seed, sample, 0, Purpose", "every_step_except_the_last_draws_noise"),
    (
        "ancestral",
        "Key(seed, sample, step, Purpose",
        "Key(seed, np.arange(len(x)), step, Purpose",
        "samples_do_not_depend_on_their_batch[float32-ancestral beta]",
    ),
    (
        "ancestral",
        "else x0.clip(-clip, clip)",
        "else x0.clip(-2 * clip, 2 * clip)",
        "clipping_bounds_the_x0_estimate_and_uses_the_bounded_value",
    ),
    (
        "ddim",
        "schedule.signal(t), schedule.noise_scale(t))\n        x0 =",
        "schedule.signal(t_next), schedule.noise_scale(t_next))\n        x0 =",
        "inversion_of_a_point_mass_recovers_its_noise",
        "ancestral_and_ddim",
    ),
    ("ddim", "at = t or t_next", "at = t_next", "inversion_evaluates_the_noise_at_its_current_time", "ancestral_and_ddim"),
    (
        "exact",
        "(np.cumsum(weights, axis=1)[:, :-1] < u)",
        "(mixture.weights.cumsum()[:-1] < u)",
        "the_exact_kernel_has_the_exact_marginals_on_a_coarse_grid",
        "exact_kernel",
    ),
    (
        "exact",
        "Purpose.STEP_COMPONENT",
        "Purpose.COMPONENT",
        "the_exact_kernel_shares_no_randomness_with_data_of_the_same_seed",
        "exact_kernel",
    ),
)

MUTANTS = (
    *starmap(_schedule, SCHEDULES),
    *starmap(_conversion, CONVERSIONS),
    *starmap(_mixture, MIXTURES),
    *starmap(_ddpm, DDPM),
    *FORWARD,
    *starmap(_elbo, ELBO),
    *starmap(_denoiser, DENOISER),
    *starmap(_kernel, KERNELS),
    *starmap(_sampler, SAMPLERS),
)
