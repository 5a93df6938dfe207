"""Known mistakes in interrupts and limits: (file, exact old text, new text, test that must fail)."""

LIMITS = "tests/reference/test_limits.py::test_"
INTERRUPT = LIMITS + "an_interrupt_during_imports_exits_with_one_line"
SECOND = LIMITS + "a_second_signal_ends_a_step_that_hangs[15]"
TOGETHER = LIMITS + "a_group_of_files_is_written_completely_or_not_at_all"
MEASUREMENT = "tests/benchmarks/test_report.py::test_invalid_results_files_are_refused_in_one_line"
COMMAND = "tests/benchmarks/test_command_line.py::test_"
READ_OLD = "tests/benchmarks/test_report.py::test_results_files_of_format_1_are_read_with_the_new_names"
CRITERION = "tests/benchmarks/test_studies.py::test_winograd_training_exits_1_if_losses_differ_beyond_the_seeds[2.0-1]"

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
    ("reference/commands/interrupts.py", "        os._exit(130)\n\n    sender", "        return\n\n    teller", SECOND),
    ("reference/commands/interrupts.py", "descriptor = signal.set_wakeup_fd(sender.fileno())", "descriptor = -1", SECOND),
    # folders and files
    (
        "reference/commands/train.py",
        "    if resume and not folder.exists():",
        "    if False:",
        LIMITS + "resume_in_a_mistyped_folder_starts_no_run[None-does not exist]",
    ),
    (
        "reference/commands/train.py",
        'any(path.suffix != ".tmp" and path.name != TEACHER for path in folder.iterdir())',
        "any(folder.iterdir())",
        LIMITS + "a_run_killed_while_writing_its_config_can_be_started_again",
    ),
    (
        "reference/commands/train.py",
        'if holds_run(folder) and not (folder / "config.json").exists():',
        'if resume and holds_run(folder) and not (folder / "config.json").exists():',
        LIMITS + "a_folder_without_config_is_refused_with_and_without_resume[resume0]",
    ),
    (
        "reference/runs/files.py",
        "with contextlib.suppress(OSError):\n            temporary",
        "with contextlib.nullcontext():\n            temporary",
        LIMITS + "a_read_only_disk_is_reported_even_if_cleanup_fails",
    ),
    (
        "reference/runs/files.py",
        "output_folder(path.parent, path.name)",
        "output_folder(path.parent)",
        LIMITS + "an_unwritable_output_is_refused_before_the_work_begins",
    ),
    (
        "benchmarks/__main__.py",
        "output_folder(path.parent, path.name)",
        "pass",
        COMMAND + "bad_options_exit_2_with_one_line[arguments5-can't be written]",
    ),
    ("reference/runs/files.py", "[] if path.exists() else [path]", "[path]", TOGETHER),
    ("reference/runs/files.py", "        for path in reversed(created):", "        for path in created:", TOGETHER),
    (
        "reference/commands/export.py",
        "write_together(folder, _diffusers_files(run, weights, arguments.weights))",
        "for name, data in _diffusers_files(run, weights, arguments.weights).items():\n        write_together(folder, {name: data})",
        LIMITS + "an_export_stopped_by_a_full_disk_can_be_repeated[2]",
    ),
    (
        "reference/runs/run.py",
        'yield from _entries(value, f"{prefix}{name}.")',
        "yield name, value",
        "tests/reference/test_resumed_runs.py::test_a_config_that_differs_from_the_checkpoint_is_refused",
    ),
    (
        "reference/runs/checkpoint.py",
        "if array.dtype.isbuiltin != 1:",
        "if False:",
        "tests/reference/test_checkpoint.py::test_dtypes_registered_by_other_libraries_are_refused_by_name",
    ),
    # memory and weights
    (
        "reference/runs/train_checks.py",
        "/ (more - few) * (run.settings.batch - few)",
        "/ more * (run.settings.batch - few)",
        LIMITS + "memory_of_a_step_grows_linearly_with_the_batch",
    ),
    (
        "reference/runs/train_checks.py",
        "if loss < of_zero",
        "if loss < np.inf * of_zero",
        LIMITS + "untrained_weights_give_a_warning_in_one_line[10-120-True]",
    ),
    (
        "reference/commands/train.py",
        "if log and run.state.step > run.settings.warmup:",
        "if log:",
        LIMITS + "untrained_weights_give_a_warning_in_one_line[1e-06-20-False]",
    ),
    (
        "reference/runs/checkpoint.py",
        "        if not np.isfinite(array).all():\n            raise FloatingPointError",
        "        if False:\n            raise FloatingPointError",
        LIMITS + "non_finite_weights_are_not_saved[ema]",
    ),
    # solvers of other versions
    (
        "reference/samplers/ode.py",
        "min(max(t, low), high)",
        "max(t, low)",
        "tests/reference/test_ode_solvers.py::test_rk45_evaluates_no_time_outside_its_interval[span0]",
    ),
    (
        "reference/samplers/ode.py",
        "low, high = (times[0], times[-1]), min(times), max(times)",
        "low, high = (times[0], times[-1]), times[0], times[-1]",
        "tests/reference/test_ode_solvers.py::test_rk45_evaluates_no_time_outside_its_interval[span1]",
    ),
    # help and benchmarks
    (
        "reference/commands/train_options.py",
        "known - served - {*own.options}",
        "set()",
        LIMITS + "help_of_a_method_lists_only_its_options[vae]",
    ),
    ("benchmarks/report.py", "it has no {missing[0]}", "KeyError {missing[0]}", MEASUREMENT + "[content10-it has no warnings]"),
    ("benchmarks/report.py", '    "product": "matmul",\n', "", READ_OLD),
    (
        "benchmarks/__main__.py",
        "get_close_matches(name, SUBCOMMANDS, 1)",
        "[]",
        COMMAND + "bad_options_exit_2_with_one_line[arguments9-did you mean scaling?]",
    ),
    ("benchmarks/studies.py", "bool(difference <= spread)", "True", CRITERION),
    (
        "benchmarks/__main__.py",
        "if not options.filter or any(text in name",
        "if not options.filter or name != MATMUL and any(text in name",
        COMMAND + "filter_selects_any_workload_and_its_row_is_printed_at_once",
    ),
    (
        "benchmarks/__main__.py",
        'log("\\n".join(["done", "", *rows(name, add_ratios(report)["workloads"][name]), ""]))',
        "add_ratios(report)",
        COMMAND + "filter_selects_any_workload_and_its_row_is_printed_at_once",
    ),
)
