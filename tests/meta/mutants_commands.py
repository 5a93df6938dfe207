"""Known mistakes in the command line and in the construction of runs: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test, file="systems"):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


SERVES = "every_sampler_runs_on_suitable_methods_and_refuses_others"
WRONG = "bad_method_options_exit_2_with_one_line_and_no_side_effects"

MUTANTS = (
    _mutant("commands/sampler_options", '"smld": "annealed-langevin"', '"smld": "langevin"', "each_method_has_its_default_sampler"),
    _mutant(
        "commands/sampler_options",
        "clean[sample % len(clean)]",
        "clean[sample % len(clean) - 1]",
        "a_restored_file_also_holds_the_degraded_and_clean_data",
    ),
    _mutant(
        "commands/sampler_options",
        "noise=trained.noise if noise is None else noise",
        "noise=trained.noise",
        "a_restored_file_also_holds_the_degraded_and_clean_data",
    ),
    _mutant(
        "commands/sampler_options",
        "grid = [start * (steps - k) / steps",
        "grid = [(steps - k) / steps",
        "data_with_less_noise_are_restored_from_their_time_on_the_path",
    ),
    _mutant(
        "commands/sampler_options",
        '        if distribution and run.system != "indi"\n',
        "return 2 * sigma**2",
        "a_langevin_step_above_its_limit_gives_a_one_line_warning",
    ),
    (
        "reference/commands/sampler_options.py",
        "            self.evaluations += 1\n",
        "            self.evaluations += 2\n",
        "tests/reference/test_placement.py::test_a_sampler_reports_its_number_of_network_evaluations[sde-ddim]",
    ),
    _mutant("commands/sampler_options", "    if not np.isfinite(x).all():", "    if False:", "samples_that_diverge_are_not_written"),
    _mutant(
        "commands/sampler_options",
        "return levels * steps + denoised",
        "return levels * steps",
        "progress_ends_at_the_last_step_of_the_sampler",
    ),
    _mutant(
        "commands/sampler_options",
        "if value is not None and name not in SAMPLERS[sampler]:",
        "if False:",
        WRONG + "[eta of langevin]",
        "method_options",
    ),
    _mutant(
        "runs/run", "if data.mixture and bandwidth is None:", "if data.mixture:", "explicit_matching_uses_the_exact_or_a_kernel_density"
    ),
    _mutant(
        "runs/run",
        "        if name not in SYSTEM_OPTIONS[system] and any(",
        "        if False and any(",
        WRONG + "[blur for vae]",
        "method_options",
    ),
    _mutant(
        "runs/run",
        '    check_kind(config["system"], kind)\n',
        "",
        "a_damaged_config_is_refused[vae-change7-vae trains an autoencoder, got --net mlp]",
        "method_options",
    ),
    _mutant("commands/train", "        check_trainable(run, padded, ops)\n", "", WRONG + "[bandwidth]", "method_options"),
    _mutant(
        "commands/train",
        '"levels": ("schedule", "T"),',
        '"levels": ("schedule", "sigma_min"),',
        WRONG + "[another option on resume]",
        "method_options",
    ),
    _mutant(
        "commands/evaluate", "float(2 * floors(", "float(floors(", "the_loss_floor_by_quadrature_is_near_that_of_draws", "evaluate_command"
    ),
)
