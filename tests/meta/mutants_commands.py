"""Known mistakes in the command line and in the construction of runs: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test, file="methods"):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{file}.py::test_{test}"


SERVES = "every_sampler_runs_on_suitable_methods_and_refuses_others"
WRONG = "bad_method_options_exit_2_with_one_line_and_no_side_effects"

MUTANTS = (
    _mutant(
        "commands/sample_pictures",
        " | {len(states) - 1})",
        ")",
        "the_frames_of_a_gif_are_even_in_the_distance_that_the_samples_move",
        "sample_command",
    ),
    _mutant(
        "commands/sample_pictures",
        "np.arange(n), start=start, **how)",
        "np.arange(1, n + 1), **how)",
        "the_last_frame_of_a_gif_shows_the_samples",
        "sample_command",
    ),
    _mutant(
        "commands/sampler_options",
        "seed of all noise (default 0)",
        "seed of all noise",
        "help_states_the_default_of_every_option",
        "readme",
    ),
    _mutant(
        "__init__",
        "[*globals(), *_MODULES]",
        "[*globals()]",
        "every_name_exported_by_reference_resolves_and_is_documented",
        "imports",
    ),
    _mutant("runs/methods", 'sampler="annealed-langevin",', 'sampler="langevin",', "each_method_has_its_default_sampler"),
    _mutant(
        "runs/trajectory",
        "clean[sample % len(clean)]",
        "clean[sample % len(clean) - 1]",
        "a_restored_file_also_holds_the_degraded_and_clean_data",
    ),
    _mutant(
        "runs/trajectory",
        'given = {"noise": noise, "blur": blur}',
        'given = {"blur": blur}',
        "a_restored_file_also_holds_the_degraded_and_clean_data",
    ),
    _mutant(
        "runs/trajectory",
        "grid = [start * (steps - k) / steps",
        "grid = [(steps - k) / steps",
        "data_with_less_noise_are_restored_from_their_time_on_the_path",
    ),
    _mutant(
        "runs/sampler_options",
        "if distribution and not run.method.restores:",
        "if False:",
        "a_langevin_step_above_its_limit_gives_a_one_line_warning",
    ),
    (
        "reference/runs/sampling.py",
        "        self.evaluations += len(x)\n",
        "        self.evaluations += 1\n",
        "tests/reference/test_devices.py::test_a_sampler_reports_its_number_of_network_evaluations[sde-ddim]",
    ),
    _mutant("runs/sampling", "    if not np.isfinite(x).all():", "    if False:", "samples_that_diverge_are_not_written"),
    _mutant(
        "runs/trajectory",
        "return levels * steps + denoised",
        "return levels * steps",
        "progress_ends_at_the_last_step_of_the_sampler",
    ),
    _mutant(
        "runs/sampler_options",
        "        if value is not None and name not in SAMPLERS[sampler]:",
        "        if False:",
        WRONG + "[eta of langevin]",
        "method_options",
    ),
    _mutant(
        "runs/run", "if data.mixture and bandwidth is None:", "if data.mixture:", "explicit_matching_uses_the_exact_or_a_kernel_density"
    ),
    _mutant(
        "runs/config",
        "        if option in others:",
        "        if False:",
        WRONG + "[blur for vae]",
        "method_options",
    ),
    _mutant(
        "runs/config",
        'method_of(config["method"])\n    _check_kind(method, kind)\n',
        'method_of(config["method"])\n',
        "a_damaged_config_is_refused[vae-change8-vae trains an autoencoder, got --net mlp]",
        "method_options",
    ),
    _mutant("commands/train", "        check_trainable(run, padded, ops)\n", "", WRONG + "[bandwidth]", "method_options"),
    _mutant(
        "commands/train_options",
        '"levels": ("schedule", "T"),',
        '"levels": ("schedule", "sigma_min"),',
        WRONG + "[another option on resume]",
        "method_options",
    ),
    _mutant(
        "runs/evaluation",
        "float(2 * loss_floors(",
        "float(loss_floors(",
        "the_loss_floor_by_quadrature_is_near_the_floor_on_draws",
        "evaluate_command",
    ),
)
