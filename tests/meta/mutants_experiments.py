"""Known mistakes in the experiments: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_experiments.py::test_{test}"


def _experiment(name, old, new, test):
    return _mutant(f"tutorial/experiments/{name}", old, new, test)


GUIDED = "tests/reference/test_guided_gaussian.py::test_"
IMAGES = "tests/reference/test_guided_images.py::test_"
GUIDANCE = "tests/reference/test_guidance_experiment.py::test_"


def _guided(old, new, test):
    return "reference/diffusion/guided_gaussian.py", old, new, GUIDED + test


def _guidance(name, old, new, test):
    return f"reference/tutorial/experiments/{name}.py", old, new, GUIDANCE + test


MUTANTS = (
    _experiment("__init__", "all(holds for", "any(holds for", "one_failed_check_fails_the_experiment"),
    _experiment("chains", "np.cumsum(mass) - mass / 2", "np.cumsum(mass)", "cdf_wasserstein_distance_and_density_of_exact_data"),
    _experiment("chains", "deviation = float(moved[0] - mean[0])", "deviation = 0.5", "a_gaussian_chain_has_the_moments_of_its_recursion"),
    _experiment(
        "mixture_steps",
        "*noisy, end = times if times[-1] == 0 else (*times, None)",
        "noisy, end = times, None",
        "f1_last_step_adds_no_noise",
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
    _mutant(
        "commands/experiment",
        "module.run(quick, ops, **options)",
        "module.run(quick, **options)",
        "a_failed_criterion_exits_1_and_keeps_the_results",
    ),
    _mutant("commands/experiment", "results(folder) | {name: report}", "{name: report}", "results_in_a_folder_grow_with_all_digits"),
    _mutant("commands/experiment", "if name in results(folder):", "if False:", "results_are_not_overwritten[held already]"),
    # another convention of w, and signs
    _guided(
        "conditional**weight * unconditional ** (1 - weight)",
        "conditional ** (1 + weight) * unconditional**-weight",
        "known_variances[2.0-1.0-2-.6667-.5-.5833]",
    ),
    _guided(
        "precision = weight / conditional + (1 - weight) / unconditional",
        "precision = (1 + weight) / conditional - weight / unconditional",
        "the_tilted_variance_is_that_of_its_density[2.0-1.0-3]",
    ),
    _guided("power = 2 * weight - 1", "power = 2 * weight + 1", "known_variances[1.0-0.25-3-.1-.015625-.066602]"),
    _guided("low, 1.0) ** 2", "low, 1.0)", "variance_solves_its_differential_equation[sde-2.0-1.0-2]"),
    _guided("** (weight - 1)", "** weight", "an_interval_adds_its_integral_to_the_log_variance[0.05-2.0]"),
    _guided("first * second / unconditional", "first * second", "composition_solves_its_equation_and_differs_from_the_product"),
    _guidance("linear_samplers", "z[drawn] = 1.0", "z[1:] = 1.0", "impulses_give_the_variance_of_a_predictor_corrector_by_hand"),
    _guidance("linear_samplers", "start * of_start**2", "start * of_start", "particles_have_the_variance_of_the_impulses[DDPM]"),
    _guidance(
        "guided_gaussians",
        "guide(1 / (B + s), 1 / (A + s), w)",
        "guide(1 / (B + s), 1 / (A + s), 1 + w)",
        "samplers_converge_at_their_orders",
    ),
    _guidance(
        "guided_gaussians",
        "w if low <= s <= high else 1",
        "w if s <= high else 1",
        "gaussian_parts_of_the_experiment_agree_with_theory[intervals]",
    ),
    _guidance(
        "guided_gaussians",
        "1 / (first + s) + 1 / (second + s) - 1 / (A + s)",
        "1 / (first + s) + 1 / (second + s)",
        "gaussian_parts_of_the_experiment_agree_with_theory[composition]",
    ),
    _guidance(
        "guided_mixtures",
        "np.eye(len(mixture.weights))[k] - r",
        "r - np.eye(len(mixture.weights))[k]",
        "the_classifiers_gradient_is_a_central_difference[full-2]",
    ),
    _guidance(
        "guided_mixtures",
        "return guide(conditional, unconditional, weight)",
        "return conditional",
        "the_sde_has_the_moments_of_its_fokker_planck_equation",
    ),
    _guidance(
        "guided_mixtures", "-np.exp(2 * u) * score", "-2 * np.exp(2 * u) * score", "the_ode_carries_quantiles_as_an_adaptive_solver_does"
    ),
    _guidance("guided_mixtures", "mass = K @ mass", "K @ mass", "correctors_reach_the_tilted_distribution"),
    _guidance(
        "guided_mixtures",
        "log_density = guide(conditional, unconditional, weight)",
        "log_density = guide(conditional, unconditional, 1 + weight)",
        "the_tilted_distribution_is_the_product_of_powers[3]",
    ),
    (
        "reference/tutorial/experiments/guided_images.py",
        "accuracy[2].high >= accuracy[1].low",
        "accuracy[2].high >= 0",
        IMAGES + "class_accuracy_fails_the_check_that_it_contradicts[values3-failed3]",
    ),
    (
        "reference/tutorial/experiments/guided_images.py",
        "abs(z) < Z_SCORE",
        "z > -Z_SCORE",
        IMAGES + "class_accuracy_fails_the_check_that_it_contradicts[values1-failed1]",
    ),
    (
        "reference/tutorial/experiments/guided_images.py",
        "guidance=w)",
        "guidance=1)",
        IMAGES + "curves_hold_real_images_and_every_weight",
    ),
)
