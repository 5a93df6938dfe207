"""Known mistakes in ``sample --live``: (file, exact old text, new text, test that must fail)."""

LIVE, SAMPLE = "reference/commands/live.py", "reference/commands/sample.py"
TEST = "tests/reference/test_live.py::test_"
ALONE, SEEDS = TEST + "the_last_picture_shows_the_samples_of_its_own_seed", TEST + "each_picture_is_written_and_has_the_next_seed"
RATE, CLASSES = TEST + "the_rate_is_the_mean_over_all_pictures_but_the_first", TEST + "a_row_of_the_picture_is_a_class"
INTERRUPT, SAME = TEST + "an_interrupt_finishes_the_picture_and_exits_0", TEST + "a_live_picture_is_overwritten_by_the_same_command_only"
REFUSED = TEST + "bad_options_exit_2_in_one_line_and_draw_nothing"

MUTANTS = (
    (LIVE, "(first + len(seconds)) % 2**64", "first", ALONE),
    (LIVE, "(first + len(seconds)) % 2**64", "first + len(seconds)", SEEDS),
    (LIVE, "np.rint(255 * grid)", "(255 * grid)", ALONE),
    (LIVE, 'settings | {"seed": how["seed"]}', "settings", ALONE),
    (LIVE, "seconds[1:] or seconds", "seconds", RATE),
    (LIVE, "n * frames:.4g", "frames:.4g", RATE),
    (LIVE, "if rows := rows_of(run, **how):", "if rows := None:", CLASSES),
    (LIVE, "run.in_data_units(x), len(x)", "x[::-1], len(x)", CLASSES),
    (LIVE, 'stop_on_signal("picture", "picture")', "stop_on_signal()", INTERRUPT),
    (LIVE, "if arguments.start:", "if False:", REFUSED + "[--live --frames 1 --from {latents} --out s.png---from gives the noise]"),
    (
        LIVE,
        "if arguments.frames is not None:",
        "if False:",
        REFUSED + "[--frames 2 --out s.png---frames is the number of pictures of --live]",
    ),
    (SAMPLE, 'settings["live"] = True', "pass", SAME),
    (SAMPLE, 'found["seed"] = settings["seed"]', "pass", SAME),
    ("reference/plotting.py", "rows[label, : len(own)] = own", "rows[label, len(own) :] = own[:1]", CLASSES),
    (
        "reference/commands/interrupts.py",
        '            f"stopped at once: the last {kept} is kept\\n",',
        '            f"stopped at once: the last {piece} is kept\\n",',
        "tests/reference/test_limits.py::test_a_second_signal_ends_a_step_that_hangs[2]",
    ),
)
