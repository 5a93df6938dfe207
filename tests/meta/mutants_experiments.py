"""Known mistakes in the experiments: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_experiments.py::test_{test}"


def _experiment(name, old, new, test):
    return _mutant(f"tutorial/experiments/{name}", old, new, test)


MUTANTS = (
    _experiment("__init__", "all(holds for", "any(holds for", "one_failed_check_fails_the_experiment"),
    _experiment("chains", "np.cumsum(mass) - mass / 2", "np.cumsum(mass)", "cdf_wasserstein_distance_and_density_of_exact_data"),
    _experiment("chains", "deviation = float(moved[0] - mean[0])", "deviation = 0.5", "a_gaussian_chain_has_the_moments_of_its_recursion"),
    _experiment(
        "few_steps", "*noisy, end = times if times[-1] == 0 else (*times, None)", "noisy, end = times, None", "f1_last_step_adds_no_noise"
    ),
    _experiment(
        "corrector_bias",
        "gain = c_x - c_score / v",
        "gain = c_x + c_score / v",
        "f2_recursion_has_the_exact_moments_of_one_step_of_each_predictor",
    ),
    _experiment("corrector_bias", "variance**0.5 - exact", "variance - exact", "f2_error_is_the_wasserstein_distance_of_gaussians"),
    _experiment("what_matters", "+ 0.5 * np.log1p(c * snr[-1])", "", "n2_elbo_gap_has_the_known_values"),
    _experiment(
        "what_matters", "(v + A * m**2 - 1 - np.log(v)) / 2", "(v - 1 - np.log(v)) / 2", "n2_mismatch_of_a_gaussian_has_its_closed_form"
    ),
    _experiment("what_matters", "K /= K.sum(axis=0)", "K /= K.sum()", "n2_stationary_distribution_of_langevin_on_a_gaussian_is_exact"),
    _mutant("commands/experiment", "return 1 if failed else 0", "return 0", "a_failed_criterion_exits_1_and_keeps_the_results"),
    _mutant("commands/experiment", "module.run(quick, ops)", "module.run(quick)", "a_failed_criterion_exits_1_and_keeps_the_results"),
)
