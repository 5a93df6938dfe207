"""Known mistakes in interrupts and limits: (file, exact old text, new text, test that must fail)."""

LIMITS = "tests/reference/test_limits.py::test_"
INTERRUPT = LIMITS + "an_interrupt_while_modules_are_imported_ends_in_a_line"
SECOND = LIMITS + "a_second_signal_ends_a_step_that_does_not_come_back[15]"
TOGETHER = LIMITS + "files_that_are_written_together_are_all_there_or_none_is_and_older_ones_stay"
MEASUREMENT = "tests/benchmarks/test_report.py::test_what_is_no_measurement_is_refused_in_a_line"
COMMAND = "tests/benchmarks/test_command_line.py::test_"

MUTANTS = (
    # interrupts
    ("reference/__main__.py", '    end_on_interrupt("python -m reference")', "    pass", INTERRUPT + "[reference]"),
    ("accelerated/__main__.py", '    end_on_interrupt("python -m accelerated")', "    pass", INTERRUPT + "[accelerated]"),
    (
        "accelerated/__init__.py",
        "import importlib.util",
        "import importlib.util\n\nimport numpy",
        INTERRUPT + "[accelerated]",
    ),
    ("benchmarks/__main__.py", '    end_on_interrupt("python -m benchmarks")', "    pass", INTERRUPT + "[benchmarks]"),
    ("reference/commands/progress.py", "        os._exit(130)\n\n    teller", "        return\n\n    teller", SECOND),
    ("reference/commands/progress.py", "descriptor = signal.set_wakeup_fd(teller.fileno())", "descriptor = -1", SECOND),
    # folders and files
    (
        "reference/commands/train.py",
        "    if resume and not folder.exists():",
        "    if False:",
        LIMITS + "no_run_is_begun_in_a_folder_that_was_mistyped[None-does not exist]",
    ),
    (
        "reference/commands/train.py",
        'any(path.suffix != ".tmp" for path in folder.iterdir())',
        "any(folder.iterdir())",
        LIMITS + "a_run_that_was_killed_while_its_config_was_written_is_begun_again",
    ),
    (
        "reference/commands/train.py",
        'if holds_run(folder) and not (folder / "config.json").exists():',
        'if resume and holds_run(folder) and not (folder / "config.json").exists():',
        LIMITS + "a_folder_that_lost_its_config_is_refused_in_the_same_words_with_and_without_resume[resume0]",
    ),
    (
        "reference/runs/files.py",
        "with contextlib.suppress(OSError):\n            temporary",
        "with contextlib.nullcontext():\n            temporary",
        LIMITS + "a_disk_that_can_only_be_read_is_named_though_nothing_can_be_removed_there_either",
    ),
    (
        "reference/runs/files.py",
        "output_folder(path.parent, path.name)",
        "output_folder(path.parent)",
        LIMITS + "an_output_that_can_not_be_written_is_refused_before_the_work_begins",
    ),
    (
        "benchmarks/__main__.py",
        "output_folder(path.parent, path.name)",
        "pass",
        COMMAND + "a_wrong_option_is_one_sentence_and_code_2[arguments5-can't be written]",
    ),
    ("reference/runs/files.py", "[] if path.exists() else [path]", "[path]", TOGETHER),
    ("reference/runs/files.py", "        for path in reversed(created):", "        for path in created:", TOGETHER),
    (
        "reference/commands/export.py",
        "        write_together(folder, _diffusers(run, weights, arguments.weights))",
        "        for name, data in _diffusers(run, weights, arguments.weights).items():\n            write_together(folder, {name: data})",
        LIMITS + "an_export_that_a_full_disk_stopped_can_be_tried_again[2]",
    ),
    (
        "reference/runs/run.py",
        'yield from _entries(value, f"{prefix}{name}.")',
        "yield name, value",
        "tests/reference/test_command_line.py::test_a_config_that_is_not_that_of_the_checkpoint_is_refused",
    ),
    (
        "reference/runs/checkpoint.py",
        "if array.dtype.isbuiltin != 1:",
        "if False:",
        "tests/reference/test_checkpoint.py::test_numbers_that_another_library_has_taught_numpy_are_refused_by_name",
    ),
    # memory and weights
    (
        "reference/commands/train.py",
        "/ (more - few) * (run.settings.batch - few)",
        "/ more * (run.settings.batch - few)",
        LIMITS + "what_a_step_takes_grows_by_the_sample",
    ),
    (
        "reference/commands/train.py",
        "if not loss < of_zero",
        "if not loss < np.inf * of_zero",
        LIMITS + "weights_that_learned_nothing_are_warned_of_in_a_line[1-120-True]",
    ),
    (
        "reference/commands/train.py",
        "    if run.state.step > run.settings.warmup:",
        "    if True:",
        LIMITS + "weights_that_learned_nothing_are_warned_of_in_a_line[1e-06-20-False]",
    ),
    (
        "reference/runs/checkpoint.py",
        "        if not np.isfinite(array).all():\n            raise FloatingPointError",
        "        if False:\n            raise FloatingPointError",
        LIMITS + "weights_that_are_not_finite_are_not_saved[ema]",
    ),
    # solvers of other versions
    (
        "reference/samplers/ode.py",
        "min(max(t, low), high)",
        "max(t, low)",
        "tests/reference/test_ode_solvers.py::test_rk45_asks_for_no_time_beyond_its_interval_though_its_solver_does[span0]",
    ),
    (
        "reference/samplers/ode.py",
        "low, high = (times[0], times[-1]), min(times), max(times)",
        "low, high = (times[0], times[-1]), times[0], times[-1]",
        "tests/reference/test_ode_solvers.py::test_rk45_asks_for_no_time_beyond_its_interval_though_its_solver_does[span1]",
    ),
    # help and benchmarks
    (
        "reference/commands/train.py",
        "own = set().union(SYSTEM_OPTIONS[value], *networks)",
        "own = set().union(*SYSTEM_OPTIONS.values(), *networks)",
        LIMITS + "help_of_a_system_lists_its_options_and_no_others[vae]",
    ),
    ("benchmarks/report.py", "it has no {missing[0]}", "KeyError {missing[0]}", MEASUREMENT + "[content10-it has no doubts]"),
    (
        "benchmarks/__main__.py",
        "if not options.only or any(word in name",
        "if not options.only or name != PRODUCT and any(word in name",
        COMMAND + "every_row_of_the_table_can_be_asked_for_by_name_and_is_shown_as_soon_as_it_is_measured",
    ),
    (
        "benchmarks/__main__.py",
        'say("\\n".join(["done", "", *rows(name, compare(report)["workloads"][name]), ""]))',
        "compare(report)",
        COMMAND + "every_row_of_the_table_can_be_asked_for_by_name_and_is_shown_as_soon_as_it_is_measured",
    ),
)
