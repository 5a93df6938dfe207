"""Known mistakes in the exchange of weights with diffusers: (file, exact old text, new text, test that must fail)."""

DIFFUSERS, EXPORT = "reference/runs/diffusers_format.py", "reference/commands/export.py"
TESTS = "tests/reference/test_diffusers_weights.py::test_"
LAYOUT = TESTS + "each_kind_of_parameter_has_the_name_and_layout_of_diffusers"
CONFIG = TESTS + "config_describes_the_network"
BACK = TESTS + "saved_weights_are_loaded_bit_for_bit[two levels]"
NAMES = TESTS + "weight_names_and_shapes_match_diffusers"
FED = TESTS + "network_input_equals_the_formulas_in_the_exported_readme"
MISSING = TESTS + "optional_config_fields_may_be_missing_or_have_other_values"
FILES = "reference/runs/diffusers_weights.py"
READ = "tests/reference/test_diffusers_files.py::test_"
SINES = READ + "sines_first_exchange_the_halves_of_the_first_layer_on_the_time"
BETAS = TESTS + "scheduler_betas_match_the_schedule"
FOLDER = TESTS + "an_exported_folder_can_be_loaded_again"

MUTANTS = (
    (DIFFUSERS, "(n - 1, n - 2, *range(n - 2))", "(n - 1, n - 2, *range(n - 2)) if n > 2 else (0, 1)", LAYOUT),
    (DIFFUSERS, "(n - 1, n - 2, *range(n - 2))", "(n - 1, n - 2, *range(n - 2)[::-1])", LAYOUT),
    (DIFFUSERS, "transpose(np.argsort(_axes(name, shape)))", "transpose(_axes(name, shape))", BACK),
    (DIFFUSERS, "params[name] = np.ascontiguousarray(array)", "params[name] = array", BACK),
    (DIFFUSERS, '"scale": "weight", "shift": "bias"', '"scale": "bias", "shift": "weight"', LAYOUT),
    (DIFFUSERS, '"table": "weight"}', '"table": "table"}', NAMES + "[two layers, classes, two outputs]"),
    (
        DIFFUSERS,
        '"flip_sin_to_cos": True,\n        "freq_shift": network',
        '"flip_sin_to_cos": False,\n        "freq_shift": network',
        CONFIG,
    ),
    (DIFFUSERS, '"freq_shift": 0', '"freq_shift": 1', MISSING),
    (DIFFUSERS, '"norm_eps": 1e-5', '"norm_eps": 1e-6', MISSING),
    (DIFFUSERS, '"attention_head_dim": 8', '"attention_head_dim": None', MISSING),
    (DIFFUSERS, "in reversed(attends)", "in attends", CONFIG),
    (DIFFUSERS, "-1 if i == last else i", "i", BACK),
    (DIFFUSERS, "// 2, axis=1)", "// 2, axis=0)", SINES),
    (DIFFUSERS, 'if not config.get("flip_sin_to_cos", True)', 'if config.get("flip_sin_to_cos", True)', SINES),
    (FILES, "<< 16)", "<< 15)", READ + "bfloat16_weights_become_the_same_numbers_in_float32"),
    (FILES, '"F16": "<f2"', '"F16": "<i2"', READ + "float16_weights_become_the_same_numbers_in_float32"),
    (FILES, "arrays |= _of_file", "arrays = _of_file", READ + "weights_in_two_files_are_joined"),
    (
        FILES,
        '"query": "to_q", "key": "to_k"',
        '"query": "to_k", "key": "to_q"',
        READ + "old_attention_names_become_the_present_ones[False]",
    ),
    (FILES, "array = array.reshape(array.shape[:2])", "pass", READ + "old_attention_names_become_the_present_ones[True]"),
    (
        FILES,
        "Path(file).name for file",
        "file for file",
        READ + "several_files_that_do_not_fit_are_refused[_outside-names part-0.safetensors, and there is no such file]",
    ),
    (DIFFUSERS, '"out_channels": network.in_channels * network.outputs', '"out_channels": network.in_channels', CONFIG),
    (DIFFUSERS, "betas_of_log_alpha_bar(model.schedule.log_alpha_bar)", "np.linspace(1e-4, 0.02, model.schedule.T)", BETAS + "[model0]"),
    (DIFFUSERS, '"learned_range" if', '"learned" if', BETAS + "[model1]"),
    (EXPORT, "x / sqrt({v} * alpha**2", "x / sqrt(alpha**2", FED + "[ddpm-options0]"),
    (EXPORT, "({noise} * t)**2", "{noise} * t**2", FED + "[indi-options7]"),
    ("reference/runs/methods.py", "/ log({sigma_max} / {sigma_min})", "/ log({sigma_max})", FED + "[smld-options2]"),
    (EXPORT, 'run.state.ema if arguments.weights == "ema"', 'run.state.ema if arguments.weights != "ema"', FOLDER + "[ema]"),
    (EXPORT, 'run.state.ema if arguments.weights == "ema"', "run.state.ema if True", FOLDER + "[raw]"),
)
