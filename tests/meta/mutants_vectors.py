"""Known mistakes in the vectors for other languages: (file, exact old text, new text, test that must fail)."""

VECTORS, TESTS = "reference/conformance/test_vectors.py", "tests/reference/test_vectors.py::test_"
COVERED = TESTS + "every_row_of_the_contract_has_cases_in_both_dtypes_and_checks_of_every_result"
PRECISION = TESTS + "bounds_in_double_precision_are_those_in_single_precision_times_one_number"
TRAINING = TESTS + "a_training_step_from_what_is_written_passes_and_every_result_has_a_check"
LINEAR = TESTS + "a_port_that_reads_them_back_passes[linear]"

MUTANTS = (
    (VECTORS, "for dtype in DTYPES if", "for dtype in DTYPES[:1] if", COVERED),
    (VECTORS, "arguments = cast(single, dtype)", "arguments = single", COVERED),
    (VECTORS, "zero_mean=True", "zero_mean=False", COVERED),
    (VECTORS, "exact[part], dtype)\n        ]", "exact[part])]", PRECISION),
    ("reference/conformance/tolerances.py", "FLOAT64_FROM_FLOAT32 if dtype == np.float64 else 1", "1", PRECISION),
    (
        VECTORS,
        "int() if value >= 2**53",
        "int() if value >= 2**64",
        TESTS + "no_number_is_one_that_javascript_would_round_and_none_is_infinite",
    ),
    (VECTORS, 'order="C"', 'order="F"', LINEAR),
    (VECTORS, '{\n        "decay": ema_decay(settings.ema, STEP)\n    }', '{"decay": settings.ema}', TRAINING),
    (VECTORS, '"input_scale": scale,\n    }', '"input_scale": 1 / scale}', TRAINING),
    (
        VECTORS,
        "np.arange(BATCH), STEP,",
        "np.arange(BATCH), STEP - 1,",
        TESTS + "the_draws_of_the_training_step_are_those_of_its_seed_and_step",
    ),
    ("reference/conformance/op_inputs.py", '"per channel": (1, 1), ', "", TESTS + "the_options_of_an_op_all_occur"),
    (
        "reference/runs/files.py",
        "if Path(name).is_dir() and any(Path(name).iterdir()):",
        "if False:",
        TESTS + "a_folder_that_can_not_be_new_is_refused_in_one_line[taken-taken exists already and is not empty: name another --out, or"
        " remove it first]",
    ),
)
