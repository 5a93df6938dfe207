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
        "divergence_in_the_plane_is_the_integral_that_defines_it[0]",
    ),
    ("- len(z) + z @ z", "- 1 + z @ z", "divergence_in_the_plane_is_the_integral_that_defines_it[0]"),
    ("solve_triangular(A1, A0, lower=True)", "solve_triangular(A0, A1, lower=True)", "divergence_is_the_mean_of_the_log_ratio_of_draws[5]"),
    ("z = solve_triangular(A1, np", "z = solve_triangular(A1 @ A1.T, np", "divergence_is_the_same_in_any_coordinates"),
    (  # E2e: the logarithm once instead of once a dimension, as in (1.34)
        "(squares + (r - 1 - np.log(r))).sum(axis=-1) / 2",
        "((squares + r - 1).sum(axis=-1) - np.mean(np.log(r))) / 2",
        "divergence_from_the_unit_normal_has_every_constant_once_a_dimension",
    ),
    ("dtype=np.float64)) / variance1\n", "dtype=np.float64)) / variance0\n", "full_diagonal_and_isotropic_divergences_agree"),
    ("vectors * np.sqrt(values)", "vectors * values", "a_factor_times_its_transpose_is_the_covariance[5-eigen]"),
    (
        'if method == "cholesky" else vectors',
        'if method != "cholesky" else vectors',
        "the_factors_are_a_triangle_and_scaled_eigenvectors_and_differ_by_a_rotation[5]",
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
        "log_density_is_the_sum_of_those_of_the_entries",
    ),
)

ESTIMATORS = (
    ("d * deviation * eps / 2", "d * deviation * eps", "pathwise_draws_are_derivatives_at_fixed_noise"),
    (
        "value * eps / deviation,",
        "value * eps,",
        "both_estimators_of_the_mean_square_have_the_printed_means_and_their_variances[0.7-0.5]",
    ),
    ("(eps**2 - 1) / 2", "eps**2 / 2", "the_score_of_the_law_itself_has_mean_zero[0.0-1.0]"),
    (  # E2d: grad log q alone, as in (1.15)
        "value = f(reparameterise(mean, deviation, eps))[:, None]",
        "value = np.ones((len(eps), 1))",
        "both_estimators_have_the_gradient_of_the_elbo_as_mean",
    ),
)

LINEAR = (
    (  # E2: the sign of (1.35)
        "self.reconstruction(x) - self.kl(x)",
        "self.reconstruction(x) + self.kl(x)",
        "elbo_and_the_divergence_from_the_posterior_add_up_to_the_log_likelihood[3-1]",
    ),
    (
        ' + np.einsum("ij,jk,ik->", self.W, self.D, self.W)',
        "",
        "elbo_is_the_expectation_that_defines_it[4-3]",
    ),
    (
        'np.einsum("ij,jk,ik->", self.W, self.D, self.W)',
        "(self.W**2 @ np.diagonal(self.D)).sum()",
        "elbo_is_the_expectation_that_defines_it[4-3]",
    ),
    ("- np.linalg.slogdet(self.D)[1]\n        ) / 2", ") / 2", "elbo_is_the_expectation_that_defines_it[1-1]"),
    (
        "np.eye(len(self.mu))\n        return mixture",
        "np.eye(len(self.mu)) / 2\n        return mixture",
        "likelihood_of_one_latent_variable_is_the_integral_over_it[1]",
    ),
    ("self.s2 * (inverse + inverse.T) / 2", "(inverse + inverse.T) / 2", "posterior_is_bayes[4-3]"),
    ("(inverse + inverse.T) / 2", "inverse", "the_posterior_is_a_covariance_however_ill_conditioned_the_decoder"),
    ("self.W.T @ (x - self.mu).T).T", "self.W.T @ x.T).T", "posterior_is_bayes[3-1]"),
    ("D @ self.W.T / self.s2, offset", "D @ self.W.T, offset", "with_the_posterior_the_elbo_is_the_log_likelihood[3-1]"),
    ("float(values[k:].mean())", "float(values[k])", "elbo_and_likelihood_of_pca_are_the_closed_form_of_the_eigenvalues[5-2]"),
    ("np.maximum(values[:k] - s2, 0)", "values[:k]", "elbo_and_likelihood_of_pca_are_the_closed_form_of_the_eigenvalues[5-2]"),
    ("@ (x - mu) / n)", "@ (x - mu) / (n - 1))", "the_gradient_vanishes_at_pca[5-2]"),
    ("(r.T @ m / n - W * D) / s2", "r.T @ m / n / s2", "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-W]"),
    ("* D).sum()\n    elbo =", ").sum()\n    elbo =", "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-log_s2]"),
    ("- x.shape[1]) / 2\n    return elbo", "- 1) / 2\n    return elbo", "the_gradient_vanishes_at_pca[5-2]"),
    (
        "/ s2 + D - 1) / 2\n    dlog_s2",
        "/ s2 - 1) / 2\n    dlog_s2",
        "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-log_D]",
    ),
    ("dm = r @ W / s2 - m", "dm = r @ W / s2", "the_gradient_of_every_parameter_is_the_derivative_of_the_elbo[3-1-4-V]"),
    ('"maxiter": 20_000', '"maxiter": 20', "training_reaches_the_likelihood_of_pca[6-3-0]"),
    ("W, Vt = normal(seed,", "W, Vt = normal(0,", "training_from_other_weights_ends_elsewhere_and_from_the_same_at_the_same"),
)

TOY = (
    (  # E2e: the logarithm once instead of once a dimension
        "- np.linalg.slogdet(self.D)[1]\n        ) / 2",
        "- np.linalg.slogdet(self.D)[1] / len(self.b)) / 2",
        "terms_of_the_restricted_toy_have_every_constant_once_a_dimension[0.5-0.3-3]",
    ),
    (  # E2c: the constants of one dimension
        "len(self.mu) / 2 * np.log(2 * np.pi * self.s2)",
        "np.log(2 * np.pi * self.s2) / 2",
        "terms_of_the_restricted_toy_have_every_constant_once_a_dimension[1.0-1.6-3]",
    ),
    (  # E2b: the encoder's line in the decoder
        "LinearVAE(c * eye, v * ones, s**2,",
        "LinearVAE(a * eye, b * ones, s**2,",
        "a_whole_curve_of_toys_has_the_data_as_their_evidence_and_minus_the_entropy_as_mean_elbo[0.3-1]",
    ),
    ("v * ones, s**2, a", "v * ones, s, a", "the_restricted_toy_loses_half_of_t_squared_a_dimension_and_is_tight_in_the_limit[0.5-1]"),
    ("b * ones, t**2 * eye)", "b * ones, t * eye)", "the_best_noise_of_the_restricted_toy_follows_its_encoders[0.5-1]"),
)

LATENT = (
    ("C[0] /= np.sqrt(2)", "C[0] /= 2", "cosines_are_orthonormal[8]"),
    (
        "k * (2 * j + 1) / (2 * n))",
        "k * j / n)",
        "cosine_transform_is_scipys_and_has_an_inverse_and_keeps_the_sum_of_squares[8-8]",
    ),
    (
        "@ x @ dct_matrix(x.shape[2]).T",
        "@ x @ dct_matrix(x.shape[2])",
        "cosine_transform_is_scipys_and_has_an_inverse_and_keeps_the_sum_of_squares[8-8]",
    ),
    ("np.argsort(-np.abs(flat)", "np.argsort(-flat", "of_equal_coefficients_the_first_are_kept_and_a_sign_is_no_size"),
    ("[:, :count]", "[:, count:]", "no_other_coefficients_leave_a_smaller_error"),
    (
        "mixture.responsibilities(x).argmax(axis=1)",
        "(mixture.component_log_densities(x) - np.log(mixture.weights)).argmax(axis=1)",
        "the_map_encoder_changes_its_mind_where_two_components_are_equally_probable",
    ),
    (
        "1 - mixture.responsibilities(x).max(axis=1)",
        "mixture.responsibilities(x).max(axis=1)",
        "the_mean_error_of_the_map_encoder_is_the_bayes_error",
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
        "tests/reference/test_vae_closed_forms.py::test_decoding_a_component_draws_from_it_alone[0]",
    ),
)
