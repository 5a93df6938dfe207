"""Known mistakes in the command restore and in PNG files: (file, exact old text, new text, test that must fail)."""

PNG, MEASUREMENT, RESTORE = "reference/data/png.py", "reference/commands/measurement.py", "reference/commands/restore.py"
FILTERS = "tests/reference/test_png.py::test_colours_of_16_bits_are_read_exactly_for_every_filter"
TIE = "tests/reference/test_png.py::test_in_a_tie_the_left_neighbour_comes_before_the_upper_one_and_that_before_the_corner[10-40-30-10]"
COMMAND = "tests/reference/test_restore_command.py::test_"
PRINTED = COMMAND + "the_printed_numbers_are_those_of_the_arrays"
SAMPLES = COMMAND + "samples_are_those_of_the_method_and_mean_and_deviation_are_theirs[inpaint]"
OPERATOR = COMMAND + "without_noise_the_measurement_is_the_operator_on_the_held_out_image[inpaint-words0]"

MUTANTS = (
    (PNG, "(far_a <= far_b) & (far_a <= far_c)", "(far_a < far_b) & (far_a < far_c)", TIE),
    (PNG, "x[row + below, column + right].astype(np.int16)", "x[row + below, column + right]", FILTERS),
    (PNG, 'samples.view(">u2")', 'samples.view("<u2")', FILTERS),
    (MEASUREMENT, ".mean(axis=2) > 0", ".mean(axis=2) < 0", COMMAND + "unknown_pixels_of_a_degraded_picture_are_ignored"),
    (MEASUREMENT, "return (x / (largest / 2) - 1)", "return (x / largest)", COMMAND + "bits_are_scaled_to_the_whole_range"),
    (MEASUREMENT, "[: height // 2, : width // 2]", "[: height // 2, :]", OPERATOR),
    (MEASUREMENT, "square / self.noise**2", "square / self.noise", PRINTED),
    (
        MEASUREMENT,
        "np.array([index])",
        "np.array([0])",
        COMMAND + "the_noise_has_the_wanted_deviation_and_depends_on_seed_and_index",
    ),
    (RESTORE, "x.std(axis=0, ddof=1)", "x.std(axis=0)", SAMPLES),
    (RESTORE, "np.arange(samples)", "np.zeros(samples, int)", SAMPLES),
    (RESTORE, "quality(x.mean(axis=0, keepdims=True))", "quality(x[:1])", PRINTED),
    (RESTORE, '{"measurement": pixels}', '{"measurement": 0}', COMMAND + "another_picture_under_the_same_name_is_another_setting"),
    (
        "reference/commands/invert.py",
        "conditions.condition_options(run, guidance=0.0)",
        "conditions.condition_options(run)",
        COMMAND + "without_a_label_the_prior_is_unconditional_and_with_one_it_is_the_class",
    ),
)
