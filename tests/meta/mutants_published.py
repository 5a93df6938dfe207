"""Known mistakes in models for diffusers and in DDIM inversion: (file, exact old text, new text, test that must fail)."""

PUBLISHED, INVERSION = "reference/runs/published.py", "reference/runs/inversion.py"
DDIM, SAMPLE, INVERT = "reference/samplers/ddim.py", "reference/commands/sample.py", "reference/commands/invert.py"
MODELS = "tests/reference/test_published_models.py::test_"
TRIPS = "tests/reference/test_inversion.py::test_"
LEVELS = MODELS + "their_named_noise_levels_are_ours"
SIGMOID = MODELS + "a_sigmoid_of_betas_is_symmetric_between_its_ends"
INPUTS = MODELS + "the_network_gets_x_itself_and_whole_times_from_0_on"
CLOSED = TRIPS + "the_round_trip_of_gaussian_data_has_its_closed_form[7]"
FROM = TRIPS + "sample_from_latents_is_the_reconstruction_that_invert_measured"

MUTANTS = (
    (PUBLISHED, "        return t - 1\n", "        return t\n", INPUTS),
    (PUBLISHED, "        return t - 1\n", "        return super().network_time(t - 1)\n", INPUTS),
    (PUBLISHED, "return Denoiser(*arguments)", "return Denoiser(*arguments, 0.25)", INPUTS),
    (
        PUBLISHED,
        "np.linspace(first**0.5, last**0.5, T) ** 2",
        "np.linspace(first, last, T)",
        LEVELS + "[fields1-schedule1]",
    ),
    (PUBLISHED, "schedule = zero_terminal_snr(schedule)", "pass", LEVELS + "[fields4-schedule4]"),
    (PUBLISHED, '    "linear": np.linspace,', '    "linear": lambda *ends: np.geomspace(*ends),', MODELS + "another_T_keeps_their_betas"),
    (
        PUBLISHED,
        "np.exp(-np.linspace(-6, 6, T))",
        "np.exp(np.linspace(-6, 6, T))",
        SIGMOID,
    ),
    (DDIM, "at = t or t_next", "at = t_next", CLOSED),
    (INVERSION, '"clip": "none"', '"clip": "data"', TRIPS + "a_reconstruction_is_not_clipped"),
    (INVERSION, "part = x[first : first + batch]", "part = x[:batch]", TRIPS + "latents_of_a_point_do_not_depend_on_its_batch"),
    (SAMPLE, "draw(run, ops, n, start=start, team=team, watch=watch, **how)", "draw(run, ops, n, team=team, watch=watch, **how)", FROM),
    (SAMPLE, '"clip": "none"', '"clip": "data"', FROM),
    (INVERT, "np.concatenate((data.held_out, data.train))", "data.held_out", TRIPS + "images_of_a_folder_are_inverted_in_the_runs_shape"),
    (INVERT, "condition_options(run, guidance=0.0)", "condition_options(run)", TRIPS + "without_a_label_inversion_is_unconditional"),
)
