"""Known mistakes in the test vectors for other languages: (file, exact old text, new text, test that must fail)."""

VECTORS, TESTS = "reference/conformance/test_vectors.py", "tests/reference/test_vectors.py::test_"
COVERED = TESTS + "every_op_has_cases_in_both_dtypes_with_every_result_checked"
PRECISION = TESTS + "float64_bounds_are_float32_bounds_times_one_factor"
TRAINING = TESTS + "a_training_step_from_the_file_passes_with_every_result_checked"
LINEAR = TESTS + "a_correct_port_passes_the_test_vectors[linear]"

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
        TESTS + "json_numbers_are_exact_and_finite",
    ),
    (VECTORS, 'order="C"', 'order="F"', LINEAR),
    (VECTORS, '{\n        "decay": ema_decay(settings.ema, STEP)\n    }', '{"decay": settings.ema}', TRAINING),
    (VECTORS, '"input_scale": scale,\n    }', '"input_scale": 1 / scale}', TRAINING),
    (
        VECTORS,
        "np.arange(BATCH), STEP,",
        "np.arange(BATCH), STEP - 1,",
        TESTS + "draws_of_the_training_step_follow_from_its_seed_and_step",
    ),
    ("reference/conformance/op_inputs.py", '"per channel": (1, 1), ', "", TESTS + "all_options_of_an_op_occur"),
    (
        "reference/runs/files.py",
        "if Path(name).is_dir() and any(Path(name).iterdir()):",
        "if False:",
        TESTS
        + "an_existing_or_invalid_output_folder_is_refused_in_one_line[taken-taken exists already and is not empty: name another --out, or"
        " remove it first]",
    ),
)
