"""Known mistakes in the exchange of weights with diffusers: (file, exact old text, new text, test that must fail)."""

DIFFUSERS, EXPORT = "reference/runs/diffusers_format.py", "reference/commands/export.py"
TESTS = "tests/reference/test_diffusers_weights.py::test_"
LAYOUT = TESTS + "each_kind_of_parameter_has_the_name_and_layout_of_diffusers"
CONFIG = TESTS + "config_describes_the_network"
BACK = TESTS + "saved_weights_are_loaded_bit_for_bit[two levels]"
NAMES = TESTS + "weight_names_and_shapes_match_diffusers"
FED = TESTS + "network_input_equals_the_formulas_in_the_exported_readme"
BETAS = TESTS + "scheduler_betas_match_the_schedule"
FOLDER = TESTS + "an_exported_folder_can_be_loaded_again"

MUTANTS = (
    (DIFFUSERS, "(n - 1, n - 2, *range(n - 2))", "(n - 1, n - 2, *range(n - 2)) if n > 2 else (0, 1)", LAYOUT),
    (DIFFUSERS, "(n - 1, n - 2, *range(n - 2))", "(n - 1, n - 2, *range(n - 2)[::-1])", LAYOUT),
    (DIFFUSERS, "transpose(np.argsort(_axes(name, shape)))", "transpose(_axes(name, shape))", BACK),
    (DIFFUSERS, "params[name] = np.ascontiguousarray(array)", "params[name] = array", BACK),
    (DIFFUSERS, '"scale": "weight", "shift": "bias"', '"scale": "bias", "shift": "weight"', LAYOUT),
    (DIFFUSERS, '"table": "weight"}', '"table": "table"}', NAMES + "[two layers, classes, two outputs]"),
    (DIFFUSERS, '"flip_sin_to_cos": True', '"flip_sin_to_cos": False', CONFIG),
    (DIFFUSERS, '"freq_shift": 0', '"freq_shift": 1', CONFIG),
    (DIFFUSERS, '"norm_eps": 1e-5', '"norm_eps": 1e-6', CONFIG),
    (DIFFUSERS, '["AttnUpBlock2D", *["UpBlock2D"] * lower]', '[*["UpBlock2D"] * lower, "AttnUpBlock2D"]', CONFIG),
    (DIFFUSERS, '"out_channels": network.in_channels * network.outputs', '"out_channels": network.in_channels', CONFIG),
    (DIFFUSERS, "channels[-1] if head is None", "8 if head is None", TESTS + "optional_config_fields_may_be_missing_or_have_other_values"),
    (DIFFUSERS, "betas_of_log_alpha_bar(model.schedule.log_alpha_bar)", "np.linspace(1e-4, 0.02, model.schedule.T)", BETAS + "[model0]"),
    (DIFFUSERS, '"learned_range" if', '"learned" if', BETAS + "[model1]"),
    (EXPORT, "{v} * alpha**2 + sigma**2", "alpha**2 + sigma**2", FED + "[ddpm-options0]"),
    (EXPORT, "({noise} * t)**2", "{noise} * t**2", FED + "[indi-options6]"),
    ("reference/runs/methods.py", "/ log({sigma_max} / {sigma_min})", "/ log({sigma_max})", FED + "[smld-options2]"),
    (EXPORT, 'run.state.ema if arguments.weights == "ema"', 'run.state.ema if arguments.weights != "ema"', FOLDER + "[ema]"),
    (EXPORT, 'run.state.ema if arguments.weights == "ema"', "run.state.ema if True", FOLDER + "[raw]"),
)
