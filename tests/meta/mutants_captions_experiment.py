"""Known mistakes in the experiment ``captions``: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    file = f"reference/tutorial/experiments/captions_{name}.py"
    return file, old, new, f"tests/reference/test_captions_experiment.py::test_{test}"


KNOWN = "exact_predictions_have_no_excess_and_wrong_ones_their_distance"
LAW = "a_law_is_that_of_the_block_averages_of_the_data_set[unseen]"
TABLES = "losses_in_the_tables_are_floor_and_excess_and_checks_hold"
SEEDS = "seeds_that_disagree_leave_the_comparison_open"
REAL = "real_images_are_right_and_exchanged_captions_are_wrong"
WITHOUT_TEXT = "the_denoiser_without_text_has_the_score_of_the_mixture_of_seen_captions"

MUTANTS = (
    _mutant("exact", "length**2 * digit.eigenvalues", "4 * length**2 * digit.eigenvalues", LAW),
    _mutant("exact", "digit.mean[None] + 1, -1.0", "digit.mean[None], -1.0", LAW),
    _mutant("exact", "z[own] * one.eigenvalues**0.5", "z[own] * one.eigenvalues", "images_have_the_mean_and_the_variance_of_their_law"),
    _mutant("exact", "np.log(variances).sum()", "0", "log_densities_of_captions_differ_as_scipys_do"),
    _mutant("exact", "self.of_kind(SEEN)", "np.arange(len(self.held_out))", WITHOUT_TEXT),
    _mutant("exact", "(g.eigenvalues * noise / (g", "(g.eigenvalues / (g", KNOWN),
    _mutant("losses", "factor = (v + sigma**2) / (v * sigma**2)", "factor = 1 / sigma**2", KNOWN),
    _mutant("losses", "name: factor * one for", "name: one for", KNOWN),
    _mutant("losses", "floor, floor + mean,", "floor, mean,", TABLES),
    _mutant("losses", "len({*np.sign(of_seeds)}) == 1", "True", SEEDS),
    _mutant(
        "losses",
        "share + Z_SCORE * _standard_error(one) < price",
        "True",
        "a_network_that_gains_nothing_from_the_text_fails_its_checks[seen]",
    ),
    _mutant("losses", "if not in_training:", "if True:", "a_network_in_training_is_checked_at_the_highest_level_alone"),
    _mutant("images", "one.low > chance", "True", "accuracies_fail_the_checks_that_they_contradict[0.9-True-0.14-failed2]"),
    _mutant("images", "right.min(axis=1)))", "right.max(axis=1)))", REAL),
    _mutant("images", "chosen[i % len(chosen)]", "chosen[0]", "samples_of_every_weight_are_judged_by_their_own_captions"),
    _mutant("images", "if is_held_out(one) == (kind == UNSEEN)]", "]", "combinations_are_those_of_their_kind_in_mixed_order"),
    _mutant("images", "interval.low), float(interval.high)", "interval.high), float(interval.low)", "shares_have_wilsons_interval"),
)
