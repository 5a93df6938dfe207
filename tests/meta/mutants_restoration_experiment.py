"""Known mistakes in samplers of the posterior and in their experiment: (file, exact old text, new text, test that must fail)."""

TESTS = "tests/reference/test_restoration_experiment.py::test_"
PUBLISHED = "samplers_have_their_published_laws[0-20]"
CALIBRATED = "only_samples_of_the_posterior_are_calibrated[None-<lambda>]"
SMALL = "a_smaller_problem_of_the_experiment_passes_and_a_wrong_noise_fails"
DENOISER = "the_exact_denoiser_is_the_posterior_mean_of_each_measurement[0.5-2]"
RECURSION = "the_law_of_a_linear_sampler_is_its_recursion[2]"


def _sampler(name, old, new):
    return f"reference/restoration/{name}.py", old, new, TESTS + PUBLISHED


def _experiment(name, old, new, test):
    return f"reference/tutorial/experiments/{name}.py", old, new, TESTS + test


MUTANTS = (
    # a library divided the noise of DDRM by sqrt(2)
    _sampler("ddrm", "z.reshape(len(z), -1))", "z.reshape(len(z), -1) / 2**0.5)"),
    _sampler("dps", '"squared": 2.0', '"squared": 1.0'),
    _sampler("guided_denoisers", "r2, noise**2)", "r2, (2 * noise) ** 2)"),
    _sampler("guided_denoisers", "rho = weight * (noise", "rho = (noise"),
    _experiment("linear_samplers", "x[0], y[1] = 1.0, 1.0", "x[0], y[0] = 1.0, 1.0", RECURSION),
    _experiment("linear_samplers", "impulse_port(2)", "impulse_port(1)", RECURSION),
    _experiment("restoration_gaussians", "return s * V / noise**2, V", "return s * V / noise, V", PUBLISHED),
    _experiment("restoration_mixtures", "(z**2 / V + np.log(V))", "(z**2 / V)", DENOISER),
    _experiment("restoration_mixtures", "(alpha * values[:, None] / V * z)", "(values[:, None] / V * z)", DENOISER),
    _experiment(
        "restoration_mixtures",
        "np.float64, HIGH, ops)",
        "np.float64, HIGH / 2, ops)",
        SMALL,
    ),
    _experiment("posterior_calibration", " - variance.sum(axis=1) / S", "", CALIBRATED),
    _experiment(
        "posterior_calibration",
        "square = (D.mean(axis=0) ** 2).sum() - noise",
        "square = (D.mean(axis=0) ** 2).sum()",
        "a_constant_error_of_the_covariance_is_found_and_noise_is_subtracted",
    ),
)
