"""Known mistakes in the trained models: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


def _schedule(old, new, test):
    return _mutant("diffusion/schedules", old, new, "variance_exploding.py::test_" + test)


def _denoiser(old, new, test):
    return _mutant("diffusion/denoiser", old, new, "variance_exploding.py::test_" + test)


def _interpolation(old, new, test):
    return _mutant("diffusion/interpolation", old, new, "variance_exploding.py::test_" + test)


def _level(name, old, new, test):
    return _mutant(name, old, new, "sampler_distributions.py::test_" + test)


def _learned(old, new, test):
    return _mutant("ddpm/learned", old, new, "learned_variance.py::test_" + test)


def _ddpm(old, new, test):
    return _mutant("ddpm/ddpm", old, new, "learned_variance.py::test_" + test)


def _vae(old, new, test):
    return _mutant("vae/vae", old, new, "vae.py::test_" + test)


def _indi(old, new, test):
    return _mutant("ddpm/indi", old, new, "indi.py::test_" + test)


def _step(old, new, test):
    return _mutant("samplers/indi", old, new, "indi.py::test_" + test)


def _smld(old, new, test):
    return _mutant("smld/smld", old, new, "score_model.py::test_" + test)


BETWEEN = "edm_output_is_interpolated_between_distant_levels"
LEVELS = "interpolated_score_is_within_its_bound_and_exact_at_run_variance"
OF_F = "return c_in * sigma * data_variance**-0.5, -c_in * alpha * data_variance**0.5"
WEIGHTS = "((1 - share, int(low)), (share, int(low) + 1))"

MUTANTS = (
    _schedule("1000 * (t - 1) / (self.T - 1)", "1000 * t / self.T", "network_time_is_proportional_to_log_sigma"),
    _schedule(
        "np.exp(-self._log(t_prev)) * np.expm1(-self.log_ratio(t, t_prev))",
        "np.expm1(-self.log_ratio(t, t_prev))",
        "the_variance_between_close_levels_keeps_its_digits",
    ),
    _schedule(
        "return as_float(np.expm1(-self._log(t)))",
        "return as_float(-np.expm1(self._log(t)))",
        "signal_is_constant_and_noise_grows_geometrically",
    ),
    _schedule(
        "return alpha / alpha, sigma / alpha",
        "return alpha / alpha, sigma",
        "the_score_of_an_exact_network_is_exact_at_any_noise_level[0.5-0.5-geometric-noise]",
    ),
    _schedule(
        "wanted = 2 * np.log(alpha / sigma)",
        "wanted = np.log(alpha / sigma)",
        "the_score_of_an_exact_network_is_exact_at_any_noise_level[1.0-0.3-geometric-noise]",
    ),
    _schedule(
        "return as_float(np.interp(-wanted, -table, times))",
        "return as_float(np.interp(-wanted, -table, times - 1))",
        "the_time_of_a_noise_level_is_recovered[geometric]",
    ),
    _denoiser(
        "forward(params, scale * x, c, ops, labels, keep=False)\n",
        "forward(params, x, c, ops, labels, keep=False)\n",
        "the_score_of_an_exact_network_is_exact_at_any_noise_level[0.5-0.5-vp-noise]",
    ),
    _denoiser('_target_function("score", params', '_target_function("noise", params', "a_scaled_x_has_the_score_of_its_own_distribution"),
    _denoiser("d = a * v\n", "d = -a * v\n", "the_pullback_is_the_derivative_of_the_score[vp-noise]"),
    _denoiser("d = d + scale * self", "d = d + self", "the_pullback_is_the_derivative_of_the_score[linear-v]"),
    _denoiser("[...] = b * v", "[...] = v", "the_pullback_is_the_derivative_of_the_score[linear-v]"),
    _interpolation("weight * to_F[1], c)", "to_F[1], c)", BETWEEN + "[noise-exploding]"),
    _interpolation("to_F[0] / level_scale * scale", "to_F[0]", BETWEEN + "[noise-exploding]"),
    _mutant(
        "diffusion/conversions", OF_F, "return 0.0, 1.0", f"variance_exploding.py::test_{BETWEEN}[x0-exploding]"
    ),  # eps is interpolated
    _level(
        "diffusion/conversions",
        OF_F,
        "return c_in * sigma, -c_in * alpha",
        LEVELS + "[linear-4-noise]",
    ),
    # the error exceeds a tenth of the bound
    _level("diffusion/interpolation", "h**2 / 8 * np.exp(h)", "h**2 / 80 * np.exp(h)", LEVELS + "[linear-20-noise]"),
    _schedule(WEIGHTS, "((share, int(low)), (1 - share, int(low) + 1))", BETWEEN + "[noise-exploding]"),
    _level("diffusion/schedules", WEIGHTS, "((share, int(low)), (1 - share, int(low) + 1))", LEVELS + "[linear-20-noise]"),
    _schedule(WEIGHTS, "((0.5, int(low)), (0.5, int(low) + 1))", BETWEEN + "[v-preserving]"),
    _schedule(WEIGHTS, "((1 - share, int(low)), (1.01 * share, int(low) + 1))", BETWEEN + "[noise-preserving]"),
    _schedule("return self.T >= 1000", "return self.T >= 5", BETWEEN + "[noise-preserving]"),
    _denoiser("chosen = t == time", "chosen = t <= time", "the_exact_prediction_uses_the_time_of_each_sample"),
    _ddpm(
        "(high + low) / 2 + v * ((high - low) / 2)",
        "(high + low) / 2 - v * ((high - low) / 2)",
        "v_of_one_and_minus_one_give_the_ends_of_the_variance_range",
    ),
    _ddpm(
        "np.maximum(t, 2)",
        "np.maximum(t, 3)",
        "last_step_uses_the_posterior_variance_of_the_step_before",
    ),
    _ddpm(
        "learned if learned is not None else np",
        "np",
        "the_mean_over_all_times_plus_the_prior_is_the_full_bound",
    ),
    _learned("(1 - posterior_variance * precision - c**2", "(1 - c**2", "gradient_of_the_variational_loss_in_every_parameter[noise]"),
    _learned(
        "* precision * per_sample_column(b, x),\n            scale",
        "* precision, scale",
        "gradient_of_the_variational_loss_in_every_parameter[noise]",
    ),
    _learned("scale * dl * (high - low) / 2", "scale * dl * (high - low)", "gradient_of_the_variational_loss_in_every_parameter[v]"),
    _learned("T * nats,\n            scale", "nats,\n            scale", "each_term_is_a_gaussian_kl_and_the_first_a_log_density"),
    _learned(
        "_, squares, d_prediction = simple_loss(prediction, self.target(x0, t, noise, ops), ops)",
        "_, squares, d_simple = simple_loss(prediction, self.target(x0, t, noise, ops), ops)\n"
        "            d_prediction = d_simple + HYBRID_WEIGHT * d_prediction",
        "the_variational_part_of_the_hybrid_loss_trains_v_only[noise]",
    ),
    _mutant(
        "samplers/ancestral",
        "(schedule, t, t_prev, v) / 2)",
        "(schedule, t, t_prev, v))",
        "learned_variance.py::test_samples_with_v_at_an_end_match_the_fixed_variance[float64-7.105427357601002e-15-1.0-beta]",
    ),
    _mutant(
        "networks/autoencoder",
        "dh = ops.concat(dmean, dlog_var)",
        "dh = ops.concat(dlog_var, dmean)",
        "autoencoder.py::test_gradient_of_the_encoder_in_every_parameter_and_in_x[points]",
    ),
    _mutant(
        "networks/autoencoder",
        "h[:, : self.latent], h[:, self.latent :]",
        "h[:, self.latent :], h[:, : self.latent]",
        "autoencoder.py::test_without_hidden_layers_both_halves_are_affine",
    ),
    _vae(
        "dlog_var + dz * eps * np.exp(log_var / 2) / 2",
        "dlog_var + dz * eps * np.exp(log_var / 2)",
        "gradient_of_the_loss_in_every_parameter[points]",
    ),
    _vae("dz + dmean, dlog_var, encoded", "dz, dlog_var, encoded", "gradient_of_the_loss_in_every_parameter[points]"),
    _vae("(each * (1 - squares * precision)", "(each * (squares * precision - 1)", "gradient_of_the_loss_in_every_parameter[points]"),
    _vae(
        "            ops.gaussian_kl(mean, log_var),\n            (x",
        "            ops.gaussian_kl(mean, log_var) / mean.shape[1],\n            (x",
        "the_loss_is_minus_log_likelihood_plus_kl_in_nats",
    ),
    _vae(
        "constant = x.dtype.type(np.log(2 * np.pi * self.data_variance))",
        "constant = x.dtype.type(np.log(2 * np.pi))",
        "the_loss_is_minus_log_likelihood_plus_kl_in_nats",
    ),
    _vae(
        "- log_density(z, mean, deviation) - reconstruction",
        "+ log_density(z, mean, deviation) - reconstruction",
        "the_mean_log_weight_is_the_elbo",
    ),
    _vae("axis=0) - np.log(count)", "axis=0)", "with_the_exact_posterior_every_weight_is_the_evidence"),
    _vae("return y * np.dtype(dtype).type(self.data_variance**0.5)", "return y", "samples_of_a_linear_decoder_have_its_covariance"),
    _indi("ops.add_noise(x0, 1 - t, t, y)", "ops.add_noise(x0, t, 1 - t, y)", "the_path_goes_from_clean_to_degraded"),
    _indi("t = sigma / alpha / noise\n", "t = sigma / noise\n", "the_score_is_tweedies_at_any_trained_noise_level"),
    _indi("(alpha * mean(x, alpha, sigma) - x)", "(mean(x, alpha, sigma) - x)", "the_score_is_tweedies_at_any_trained_noise_level"),
    _indi("epsilon * np.sqrt(t)", "epsilon * t", "constant_noise_adds_none_per_step_and_brownian_noise_a_bridge"),
    _indi(
        "(0, self.blur, self.blur, 0)",
        "(0, self.blur, self.blur, self.blur)",
        "a_blur_is_a_normalised_gaussian_convolution_with_mirrored_borders",
    ),
    _step("x, x0, kept, 1 - kept, fresh", "x, x0, 1 - kept, kept, fresh", "gain_on_gaussian_data_is_the_product_over_steps[1.0-1.0-5]"),
    _step(
        "(wanted - carried) ** 0.5 if",
        "wanted**0.5 if",
        "constant_noise_adds_none_per_step_and_brownian_noise_a_bridge",
    ),
    _step(
        "return lambda x, t: (x - denoise(x, t)) / t",
        "return lambda x, t: x - denoise(x, t)",
        "small_steps_converge_to_the_flow_with_the_variance_of_clean_data",
    ),
    _smld(
        "(-self.schedule.noise_scale(t) * scale)",
        "(self.schedule.noise_scale(t) * scale)",
        "expected_losses_differ_by_constants_for_any_network[3]",
    ),
    _smld(
        "(-self.schedule.noise_scale(t) * scale)",
        "(-self.schedule.noise_scale(t))",
        "expected_losses_differ_by_constants_for_any_network[3]",
    ),
    _smld(
        "found.append((1 - sigma**2 * J) / 2)",
        "found.append((1 / sigma**2 - J) / 2)",
        "printed_weighted_floors_of_example_2_1_lie_between_0_and_half[0.3-.374321]",
    ),
    _mutant(
        "data/metrics",
        "n=2 * len(x), axis=0",
        "n=len(x), axis=0",
        "metrics.py::test_autocorrelation_of_a_short_series_is_its_sum_of_products",
    ),
)
