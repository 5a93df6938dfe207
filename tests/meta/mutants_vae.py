"""Known mistakes in the chapter on auto-encoders, and its misprints: (file, exact old text, new text, test that must fail)."""

from itertools import starmap


def _gaussian(old, new, test):
    return "reference/vae/gaussian.py", old, new, "tests/reference/test_gaussian.py::test_" + test


def _estimator(old, new, test):
    return "reference/vae/estimators.py", old, new, "tests/reference/test_gaussian.py::test_" + test


def _linear(old, new, test):
    return "reference/vae/linear.py", old, new, "tests/reference/test_linear_vae.py::test_" + test


def _toy(old, new, test):
    return "reference/vae/linear.py", old, new, "tests/reference/test_vae_closed_forms.py::test_" + test


def _latent(old, new, test):
    return "reference/vae/latent.py", old, new, "tests/reference/test_vae_closed_forms.py::test_" + test


GAUSSIANS = (
    (
        "/ 2 - np.log(np.diagonal(ratio)).sum())",
        "/ 2 + np.log(np.diagonal(ratio)).sum())",
        "kl_divergence_in_2d_equals_its_defining_integral[0]",
    ),
    ("- len(z) + z @ z", "- 1 + z @ z", "kl_divergence_in_2d_equals_its_defining_integral[0]"),
    ("solve_triangular(A1, A0, lower=True)", "solve_triangular(A0, A1, lower=True)", "kl_divergence_is_the_mean_log_ratio_of_draws[5]"),
    ("z = solve_triangular(A1, np", "z = solve_triangular(A1 @ A1.T, np", "kl_divergence_does_not_depend_on_coordinates"),
    (  # E2: the logarithm once instead of once per dimension, as in (1.34)
        "(squares + (r - 1 - np.log(r))).sum(axis=-1) / 2",
        "((squares + r - 1).sum(axis=-1) - np.mean(np.log(r))) / 2",
        "kl_divergence_from_the_unit_normal_counts_constants_per_dimension",
    ),
    ("dtype=np.float64)) / variance1\n", "dtype=np.float64)) / variance0\n", "full_diagonal_and_isotropic_kl_divergences_agree"),
    ("vectors * np.sqrt(values)", "vectors * values", "a_factor_times_its_transpose_is_the_covariance[5-eigen]"),
    (
        'if method == "cholesky" else vectors',
        'if method != "cholesky" else vectors',
        "covariance_factors_are_cholesky_and_eigen_and_differ_by_a_rotation[5]",
    ),
    ("mean + eps @ A.T", "mean + eps @ A", "full_draws_have_the_mean_and_the_covariance[2-cholesky]"),
    (
        "return mean + deviation * eps",
        "return mean + deviation**2 * eps",
        "diagonal_draws_have_the_mean_and_the_variances_and_no_correlation",
    ),
    (
        "+ np.log(2 * np.pi) / 2).sum(axis=-1)",
        ").sum(axis=-1) - np.log(2 * np.pi) / 2",
        "diagonal_log_density_is_the_sum_over_entries",
    ),
)

ESTIMATORS = (
    ("d * deviation * eps / 2", "d * deviation * eps", "pathwise_draws_are_derivatives_at_fixed_noise"),
    (
        "value * eps / deviation,",
        "value * eps,",
        "gradient_estimators_of_mean_square_have_printed_mean_and_variance[0.7-0.5]",
    ),
    ("(eps**2 - 1) / 2", "eps**2 / 2", "the_score_of_the_own_distribution_has_mean_zero[0.0-1.0]"),
    (  # E2d: grad log q alone, as in (1.15)
        "value = f(reparameterise(mean, deviation, eps))[:, None]",
        "value = np.ones((len(eps), 1))",
        "gradient_estimators_of_the_elbo_are_unbiased",
    ),
)

LINEAR = (
    (  # E2: the sign of (1.35)
        "self.reconstruction(x) - self.kl(x)",
        "self.reconstruction(x) + self.kl(x)",
        "elbo_plus_posterior_kl_is_the_log_likelihood[3-1]",
    ),
    (
        ' + np.einsum("ij,jk,ik->", self.W, self.D, self.W)',
        "",
        "elbo_equals_its_defining_expectation[4-3]",
    ),
    (
        'np.einsum("ij,jk,ik->", self.W, self.D, self.W)',
        "(self.W**2 @ np.diagonal(self.D)).sum()",
        "elbo_equals_its_defining_expectation[4-3]",
    ),
    ("- np.linalg.slogdet(self.D)[1]\n        ) / 2", ") / 2", "elbo_equals_its_defining_expectation[1-1]"),
    (
        "np.eye(len(self.mu))\n        return mixture",
        "np.eye(len(self.mu)) / 2\n        return mixture",
        "likelihood_with_one_latent_variable_is_the_integral_over_it[1]",
    ),
    ("self.s2 * (inverse + inverse.T) / 2", "(inverse + inverse.T) / 2", "posterior_follows_bayes_rule[4-3]"),
    ("(inverse + inverse.T) / 2", "inverse", "posterior_covariance_is_positive_for_ill_conditioned_decoders"),
    ("self.W.T @ (x - self.mu).T).T", "self.W.T @ x.T).T", "posterior_follows_bayes_rule[3-1]"),
    ("D @ self.W.T / self.s2, offset", "D @ self.W.T, offset", "with_the_posterior_the_elbo_is_the_log_likelihood[3-1]"),
    ("float(values[k:].mean())", "float(values[k])", "pca_elbo_and_likelihood_have_the_closed_form_of_the_eigenvalues[5-2]"),
    ("np.maximum(values[:k] - s2, 0)", "values[:k]", "pca_elbo_and_likelihood_have_the_closed_form_of_the_eigenvalues[5-2]"),
    ("@ (x - mu) / n)", "@ (x - mu) / (n - 1))", "the_elbo_gradient_vanishes_at_pca[5-2]"),
    ("(r.T @ m / n - W * D) / s2", "r.T @ m / n / s2", "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-W]"),
    ("* D).sum()\n    elbo =", ").sum()\n    elbo =", "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-log_s2]"),
    ("- x.shape[1]) / 2\n    return elbo", "- 1) / 2\n    return elbo", "the_elbo_gradient_vanishes_at_pca[5-2]"),
    (
        "/ s2 + D - 1) / 2\n    dlog_s2",
        "/ s2 - 1) / 2\n    dlog_s2",
        "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-log_D]",
    ),
    ("dm = r @ W / s2 - m", "dm = r @ W / s2", "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-V]"),
    ('"maxiter": 20_000', '"maxiter": 20', "training_reaches_the_likelihood_of_pca[6-3-0]"),
    ("W, Vt = normal(seed,", "W, Vt = normal(0,", "training_is_deterministic_and_depends_on_the_initial_weights"),
)

TOY = (
    (  # E2: the logarithm once instead of once per dimension
        "- np.linalg.slogdet(self.D)[1]\n        ) / 2",
        "- np.linalg.slogdet(self.D)[1] / len(self.b)) / 2",
        "restricted_toy_terms_count_constants_per_dimension[0.5-0.3-3]",
    ),
    (  # E2c: the constants of one dimension
        "len(self.mu) / 2 * np.log(2 * np.pi * self.s2)",
        "np.log(2 * np.pi * self.s2) / 2",
        "restricted_toy_terms_count_constants_per_dimension[1.0-1.6-3]",
    ),
    (  # E2b: the encoder's line in the decoder
        "LinearVAE(c * eye, v * ones, s**2,",
        "LinearVAE(a * eye, b * ones, s**2,",
        "a_curve_of_toy_models_has_minus_the_entropy_as_mean_elbo[0.3-1]",
    ),
    ("v * ones, s**2, a", "v * ones, s, a", "restricted_toy_loses_half_t_squared_per_dimension[0.5-1]"),
    ("b * ones, t**2 * eye)", "b * ones, t * eye)", "the_best_noise_of_the_restricted_toy_depends_on_its_encoder[0.5-1]"),
)

LATENT = (
    ("C[0] /= np.sqrt(2)", "C[0] /= 2", "cosines_are_orthonormal[8]"),
    (
        "k * (2 * j + 1) / (2 * n))",
        "k * j / n)",
        "cosine_transform_equals_scipys_and_is_orthonormal[8-8]",
    ),
    (
        "@ x @ dct_matrix(x.shape[2]).T",
        "@ x @ dct_matrix(x.shape[2])",
        "cosine_transform_equals_scipys_and_is_orthonormal[8-8]",
    ),
    ("np.argsort(-np.abs(flat)", "np.argsort(-flat", "ties_keep_the_first_coefficients_and_signs_do_not_matter"),
    ("[:, :count]", "[:, count:]", "no_other_choice_of_coefficients_has_a_smaller_error"),
    (
        "mixture.responsibilities(x).argmax(axis=1)",
        "(mixture.component_log_densities(x) - np.log(mixture.weights)).argmax(axis=1)",
        "map_encoder_boundary_is_where_components_tie",
    ),
    (
        "1 - mixture.responsibilities(x).max(axis=1)",
        "mixture.responsibilities(x).max(axis=1)",
        "map_encoder_error_is_the_bayes_error",
    ),
)

MUTANTS = (
    *starmap(_gaussian, GAUSSIANS),
    *starmap(_estimator, ESTIMATORS),
    *starmap(_linear, LINEAR),
    *starmap(_toy, TOY),
    *starmap(_latent, LATENT),
    (
        "reference/diffusion/mixtures.py",
        "np.linalg.cholesky(self.full)[component]",
        "self.full[component]",
        "tests/reference/test_vae_closed_forms.py::test_decoding_a_component_draws_from_that_component[0]",
    ),
)
