"""Known mistakes in EDM's sampler with churn and in SDE-DPM-Solver++: (file, exact old text, new text, test that must fail)."""

from itertools import starmap

EDM, DPM, RUN = "reference/samplers/edm.py", "reference/samplers/dpm_solver.py", "reference/runs/solvers.py"
LAW = "the_law_of_churned_samples_is_its_recursion[18-{}]".format
RAISES = "churn_raises_levels_by_its_share_within_the_interval_and_at_most_doubles_the_variance"
CONTINUOUS = "noise_of_another_size_changes_the_variance_as_in_continuous_churn[{}]".format
ORDER = "sde_dpm_solver_is_of_weak_order_2[1.0-vp]"
SOLVED = "the_law_of_sde_dpm_solver_is_its_recursion[1.0-{}]".format
REFUSED = (
    "a_bad_option_is_refused_in_one_sentence["
    "reference:edm --option churn_interval=[3,2]-churn-interval must be a low and a higher noise level, got 3 2]"
)
POSTERIOR = "the_first_step_of_sde_dpm_solver_is_the_posterior_step_of_ddpm"


def _mutant(file, old, new, test, where="test_stochastic_solvers"):
    return file, old, new, f"tests/reference/{where}.py::test_{test}"


CHURN = (
    # no bound, or a bound that doubles the level in place of the variance
    (EDM, "min(churn / (len(levels) - 1), 2**0.5 - 1)", "churn / (len(levels) - 1)", LAW("bounded")),
    (EDM, "2**0.5 - 1)", "1.0)", RAISES + "[options1]"),
    # divided by the number of levels, one more than the steps
    (EDM, "churn / (len(levels) - 1)", "churn / len(levels)", LAW("little")),
    # S_noise is left out, or is a variance
    (EDM, "x = x + churn_noise * (", "x = x + (", CONTINUOUS("0.9-1.0-0.002-80.0")),
    (EDM, "x = x + churn_noise * (", "x = x + churn_noise**0.5 * (", LAW("noisier")),
    # noise of another size: of the level, of the raise, of the new level
    (EDM, "(sigma_hat**2 - sigma**2) ** 0.5 * z", "sigma * z", "edm_is_of_weak_order_2_at_any_churn[5.0]"),
    (EDM, "(sigma_hat**2 - sigma**2) ** 0.5 * z", "(sigma_hat - sigma) * z", "edm_is_of_weak_order_2_at_any_churn[40.0]"),
    (EDM, "(sigma_hat**2 - sigma**2) ** 0.5 * z", "sigma_hat * z", LAW("bounded")),
    # x gets noise, and the network is told the level from before
    (EDM, "denoise(x, sigma_hat)) * (1 / sigma_hat)", "denoise(x, sigma)) * (1 / sigma)", "edm_is_of_weak_order_2_at_any_churn[5.0]"),
    # the step begins at the level from before
    (
        EDM,
        "predicted = x + (sigma_next - sigma_hat) * slope\n        if",
        "predicted = x + (sigma_next - sigma) * slope\n        if",
        LAW("little"),
    ),
    (
        EDM,
        "predicted = x + (sigma_next - sigma_hat) * slope\n        x",
        "predicted = x + (sigma_next - sigma) * slope\n        x",
        LAW("little"),
    ),
    # churn at all levels, or outside of the interval alone
    (EDM, "if gamma and low <= sigma <= high:", "if gamma:", RAISES + "[options2]"),
    (
        EDM,
        "if gamma and low <= sigma <= high:",
        "if gamma and not low <= sigma <= high:",
        "without_churn_at_any_level_the_samples_are_those_of_the_ode[options1]",
    ),
    # one draw for all steps
    (
        EDM,
        "sample, step, Purpose.STEP_NOISE",
        "sample, 0, Purpose.STEP_NOISE",
        "every_step_has_its_own_noise_draw[edm, churned]",
        "test_sde_samplers",
    ),
    (EDM, "min((1 + gamma) * sigma, max(sigma, largest))", "(1 + gamma) * sigma", LAW("below the largest")),
    (RUN, "largest=levels[0], ", "", "churn_of_a_run_is_edms_and_stays_within_its_noise[linear]", "test_sampler_distributions"),
    (
        RUN,
        "largest=levels[0], ops=ops, **own)",
        "largest=levels[0], ops=ops)",
        "churn_of_a_run_is_edms_and_stays_within_its_noise[linear]",
        "test_sampler_distributions",
    ),
    (EDM, "if not 0 <= low < high:", "if not 0 <= low:", REFUSED, "audit/test_ours"),
)

SDE = (
    # noise of another size or sign
    (DPM, "-np.expm1(-2 * c * h)) ** 0.5 * z", "-np.expm1(-c * h)) ** 0.5 * z", ORDER),
    (DPM, "-np.expm1(-2 * c * h)) ** 0.5 * z", "-np.expm1(-2 * c * h)) * z", POSTERIOR),
    (DPM, "-np.expm1(-2 * c * h)) ** 0.5 * z", "np.expm1(2 * c * h)) ** 0.5 * z", ORDER),
    (DPM, "x = x + sigma_t * float(", "x = x - sigma_t * float(", POSTERIOR),
    (DPM, "x = x + sigma_t * float(", "x = x + sigma_s * float(", "a_constant_x0_has_its_exact_law_in_any_steps[1.0-vp]"),
    (DPM, "float(np.exp(-c * h))", "1.0", "a_constant_x0_has_its_exact_law_in_any_steps[1.0-vp]"),
    (DPM, "-float(np.expm1(-(1 + c) * h))", "-float(np.expm1(-h))", ORDER),
    (DPM, "before, c = None, reverse_noise**2", "before, c = None, reverse_noise", SOLVED("vp").replace("1.0", "0.6")),
    # half of the line's slope; the ratio of the steps upside down
    (DPM, "(h / (2 * h_before))", "(h / (4 * h_before))", ORDER),
    (DPM, "(h / (2 * h_before))", "(h_before / (2 * h))", SOLVED("ve")),
    (
        DPM,
        "sample, step, Purpose.STEP_NOISE",
        "sample, 0, Purpose.STEP_NOISE",
        "every_step_has_its_own_noise_draw[sde-dpm-solver++]",
        "test_sde_samplers",
    ),
    (
        RUN,
        'reverse_noise if sampler.startswith("sde") else 0.0',
        "reverse_noise",
        "sde_dpm_solver_of_a_run_has_its_reverse_noise",
        "test_sampler_distributions",
    ),
    (
        RUN,
        'reverse_noise if sampler.startswith("sde") else 0.0',
        "0.0",
        "sde_dpm_solver_of_a_run_has_its_reverse_noise",
        "test_sampler_distributions",
    ),
)

MUTANTS = (*starmap(_mutant, CHURN), *starmap(_mutant, SDE))
