"""Known mistakes in restoration: (file, exact old text, new text, test that must fail)."""

ROOM = "reference/restoration/"
OPERATORS, SEPARABLE, DPS, DDRM, GUIDED_DENOISERS, POSTERIOR = (
    f"{ROOM}{name}.py" for name in ("operators", "separable", "dps", "ddrm", "guided_denoisers", "posterior")
)
OF_OPERATORS = "tests/reference/test_operators.py::test_"
OF_POSTERIORS = "tests/reference/test_mixture_measurements.py::test_"
GUIDED = "tests/reference/test_guided_denoisers.py::test_"
SAMPLED = "tests/reference/test_restoration_samplers.py::test_"
ESTIMATED = "tests/reference/test_point_estimates.py::test_"
ADJOINT = OF_OPERATORS + "adjoint_is_the_transpose_and_no_identity_and_no_upsampling"
PROXIMAL = OF_OPERATORS + "proximal_equals_dense_linear_algebra_and_is_stationary"
QUADRATURE = OF_POSTERIORS + "posterior_is_bayes_rule_by_quadrature[m < n]"
LAW = SAMPLED + "law_on_a_gaussian_of_twenty_steps_has_the_noise_of_the_formula_not_that_over_root_two"
GRADIENT = GUIDED + "guidance_is_the_gradient_of_the_log_likelihood"
TRANSPOSED = "        return _two_sided(self.rows.T, y, self.columns.T)"

MUTANTS = (
    # mistakes of public code: identity and nearest upsampling as adjoints
    (SEPARABLE, TRANSPOSED, "        return y", ADJOINT + "[blur]"),
    (SEPARABLE, TRANSPOSED, "        return _two_sided(self.rows.T > 0, y, self.columns.T > 0)", ADJOINT + "[block mean]"),
    # s_y doubled by a conversion from [0, 1] to [-1, 1]
    (
        OPERATORS,
        "self.forward(x), 1.0, noise,",
        "self.forward(x), 1.0, 2 * noise,",
        OF_OPERATORS + "a_measurement_has_mean_ax_and_the_noise_that_was_asked_for_not_twice_it",
    ),
    (GUIDED_DENOISERS, "r2, noise**2)", "r2, (2 * noise) ** 2)", LAW + "[pigdm]"),
    # the noise of a step divided by sqrt 2
    (DDRM, "np.where(rows[2], left, eta * u)", "np.where(rows[2], left, eta * u) / 2**0.5", LAW + "[ddrm]"),
    (
        "reference/samplers/ancestral.py",
        "float(np.exp(log_variance / 2))",
        "float(np.exp(log_variance / 2)) / 2**0.5",
        LAW + "[pigdm]",
    ),
    # the norm over the batch, and the code's zeta read as the paper's
    (
        DPS,
        "(y * y).reshape(len(y), -1).sum(axis=1)",
        "np.full_like(y, (y * y).sum(), shape=len(y))",
        SAMPLED + "a_sample_does_not_depend_on_its_batch[blur-dps]",
    ),
    (DPS, '"norm": 1.0', '"norm": 2.0', SAMPLED + "dps_by_the_norm_takes_half_the_step_of_the_paper"),
    # the direction with u s = s_y dropped
    (DDRM, "u >= spread]", "u > spread]", SAMPLED + "ddrm_keeps_the_directions_whose_noise_is_that_of_the_level[0.5-0.85-1.0]"),
    # r^2 of variance 1
    (
        GUIDED_DENOISERS,
        "r2 = data_variance * power / (data_variance + power)",
        "r2 = power / (1 + power)",
        GUIDED + "pigdm_that_presumes_variance_one_is_wrong_for_data_of_another_variance",
    ),
    # operators
    (
        SEPARABLE,
        "np.exp(-((distance / deviation) ** 2) / 2)",
        "np.exp(-((distance / deviation) ** 2))",
        OF_OPERATORS + "singular_values_of_blur_are_the_fourier_transform_of_its_kernel",
    ),
    (OPERATORS, "of_x = 1 - values * of_y", "of_x = 1 - of_y", PROXIMAL),
    (
        OPERATORS,
        "np.where(values > least, values, 0.0)",
        "values",
        OF_OPERATORS + "rounding_does_not_measure_a_direction",
    ),
    (
        OPERATORS,
        "np.asarray(array, x.dtype, like=x)",
        "np.asarray(array, like=x)",
        "tests/reference/test_restoration_devices.py::"
        "test_operators_on_a_device_have_the_same_bits_and_dtype_and_no_host_copies[float32-blur]",
    ),
    # posteriors and denoisers
    (
        POSTERIOR,
        "Mixture(evidence.responsibilities(y[None])[0]",
        "Mixture(mixture.weights",
        OF_POSTERIORS + "posterior_weights_and_moments_of_two_components_by_hand",
    ),
    (POSTERIOR, "+ noise**2 * K @", "+ noise * K @", QUADRATURE),
    (
        "reference/diffusion/mixtures.py",
        "(within + between)",
        "within",
        OF_POSTERIORS + "pullback_of_a_mixture_is_the_derivative_of_its_posterior_mean[0.9-0.3-full-2]",
    ),
    (
        GUIDED_DENOISERS,
        "residual, power, noise**2",
        "residual, power / (1 + power), noise**2",
        GRADIENT + "[0.6-0.8-dmps-blur]",
    ),
    (GUIDED_DENOISERS, "(1 / noise**2)", "(1 / noise)", GRADIENT + "[0.6-0.8-likelihood-blur]"),
    (GUIDED_DENOISERS, "(noise * alpha / sigma)", "(noise / sigma)", GUIDED + "proximal_estimate_is_stationary[0.6-0.8-blur]"),
    # samplers
    (
        DPS,
        "pullback(operator.adjoint(residual))",
        "operator.adjoint(residual)",
        SAMPLED + "dps_steps_down_the_gradient_of_each_samples_own_residual[squared-2-exploding-blur]",
    ),
    (
        DDRM,
        "(1 - eta**2) ** 0.5 * u",
        "(1 - eta) * u",
        SAMPLED + "ddrm_with_the_true_x0_has_the_variance_of_the_level_at_every_step[0.85-1.0-0.0]",
    ),
    (
        ROOM + "diffpir.py",
        "(1 - zeta) ** 0.5",
        "(1 - zeta)",
        SAMPLED + "diffpir_step_is_its_formula[0.3-exploding-blur]",
    ),
    # point estimates
    (
        ROOM + "point_estimates.py",
        "(sigma / before) ** 2 * u",
        "u",
        ESTIMATED + "pnp_admm_ends_at_the_posterior_mean_of_a_gaussian_and_stays_there[fallen-blur]",
    ),
    (
        ROOM + "point_estimates.py",
        "d[:, 1:] -= below",
        "d[:, 1:] += below",
        ESTIMATED + "divergence_is_minus_the_adjoint_of_the_differences",
    ),
)
