"""Known mistakes in the experiments: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_experiments.py::test_{test}"


def _experiment(name, old, new, test):
    return _mutant(f"tutorial/experiments/{name}", old, new, test)


MUTANTS = (
    _experiment("__init__", "all(holds for", "any(holds for", "one_check_that_fails_fails_the_outcome"),
    _experiment("chains", "np.cumsum(mass) - mass / 2", "np.cumsum(mass)", "distribution_function_distance_and_density_of_the_data_itself"),
    _experiment("chains", "deviation = float(moved[0] - mean[0])", "deviation = 0.5", "a_gaussian_chain_has_the_moments_of_its_recursion"),
    _experiment(
        "few_steps", "*noisy, end = times if times[-1] == 0 else (*times, None)", "noisy, end = times, None", "f1s_last_step_adds_no_noise"
    ),
    _experiment(
        "corrector_bias",
        "gain = c_x - c_score / v",
        "gain = c_x + c_score / v",
        "f2s_recursion_is_the_exact_law_for_one_step_of_each_predictor",
    ),
    _experiment("corrector_bias", "variance**0.5 - exact", "variance - exact", "f2s_error_is_the_wasserstein_distance_of_gaussians"),
    _experiment("what_matters", "+ 0.5 * np.log1p(c * snr[-1])", "", "n2s_gap_of_the_elbo_has_the_known_values"),
    _experiment(
        "what_matters", "(v + A * m**2 - 1 - np.log(v)) / 2", "(v - 1 - np.log(v)) / 2", "n2s_mismatch_of_a_gaussian_is_its_formula"
    ),
    _experiment("what_matters", "K /= K.sum(axis=0)", "K /= K.sum()", "n2s_stationary_law_is_that_of_langevin_on_a_gaussian"),
    _mutant("commands/experiment", "return 1 if failed else 0", "return 0", "a_criterion_that_fails_exits_with_1_and_keeps_what_was_found"),
)
