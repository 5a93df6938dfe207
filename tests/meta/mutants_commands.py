"""Known mistakes in the command line and in what builds a run: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_systems.py::test_{test}"


SERVES = "every_sampler_serves_every_system_that_has_what_it_needs_or_says_that_it_does_not"
WRONG = "whatever_does_not_fit_is_said_in_one_line_with_exit_code_2_and_nothing_changes"

MUTANTS = (
    _mutant(
        "commands/sampler_options",
        '"smld": "annealed-langevin"',
        '"smld": "langevin"',
        "each_systems_own_sampler_is_the_one_that_it_is_named_for",
    ),
    _mutant(
        "commands/sampler_options",
        "clean[sample % len(clean)]",
        "clean[sample % len(clean) - 1]",
        "a_restored_file_holds_what_it_was_made_from",
    ),
    _mutant(
        "commands/sampler_options",
        "noise=trained.noise if noise is None else noise",
        "noise=trained.noise",
        "a_restored_file_holds_what_it_was_made_from",
    ),
    _mutant(
        "commands/sampler_options",
        "grid = [start * (steps - k) / steps",
        "grid = [(steps - k) / steps",
        "less_noise_is_restored_from_where_it_lies_on_the_path",
    ),
    _mutant(
        "commands/sampler_options",
        '        if distribution and run.system != "indi"\n',
        "return 2 * sigma**2",
        "a_langevin_step_beyond_its_limit_is_warned_of_in_one_line",
    ),
    (
        "reference/commands/sampler_options.py",
        "            self.evaluations += 1\n",
        "            self.evaluations += 2\n",
        "tests/reference/test_placement.py::test_a_sampler_says_how_often_it_asked_the_network[sde-ddim]",
    ),
    _mutant("commands/sampler_options", "    if not np.isfinite(x).all():", "    if False:", "samples_that_diverge_are_not_written"),
    _mutant(
        "commands/sampler_options", "return levels * steps + denoised", "return levels * steps", "progress_ends_where_the_sampler_does"
    ),
    _mutant(
        "commands/sampler_options", "if value is not None and name not in SAMPLERS[sampler]:", "if False:", WRONG + "[eta of langevin]"
    ),
    _mutant(
        "runs/run", "if data.mixture and bandwidth is None:", "if data.mixture:", "explicit_matching_has_the_exact_law_or_a_kernel_density"
    ),
    _mutant("runs/run", "        if name not in SYSTEM_OPTIONS[system] and any(", "        if False and any(", WRONG + "[blur for vae]"),
    _mutant(
        "runs/run",
        '    check_kind(config["system"], kind)\n',
        "",
        "a_damaged_config_is_refused[vae-change7-vae trains an autoencoder, got --net mlp]",
    ),
    _mutant("commands/train", "        check_trainable(run, padded, ops)\n", "", WRONG + "[bandwidth]"),
    _mutant("commands/train", '"levels": ("schedule", "T"),', '"levels": ("schedule", "sigma_min"),', WRONG + "[another option on resume]"),
    _mutant("commands/evaluate", "float(2 * floors(", "float(floors(", "the_floor_by_quadrature_is_near_that_of_the_draws"),
)
