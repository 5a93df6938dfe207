"""Known mistakes in rectified flow, in the predictions velocity and F, and in weights of the loss: (file, exact old text, new text, test
that must fail).
"""

FLOW, WEIGHTS = "reference/sde/flow.py", "reference/diffusion/loss_weights.py"
CONVERSIONS, DENOISER = "reference/diffusion/conversions.py", "reference/diffusion/denoiser.py"
OF_FLOW, OF_WEIGHTS = (f"tests/reference/test_{name}.py::test_" for name in ("flow", "loss_weights"))
OF_CONVERSIONS = "tests/reference/test_conversions.py::test_"
OF_EXPORT = "tests/reference/test_diffusers_flow.py::test_"
OPTIONS = "tests/reference/test_method_options.py::test_bad_method_options_exit_2_with_one_line_and_no_side_effects"
EQUATIONS = "tests/reference/test_sde.py::test_drift_diffusion_marginal_and_prior_equal_the_table[0.5-flow]"
DENSITY = OF_FLOW + "training_times_have_their_density_between_t_min_and_t_max"
EULER = OF_FLOW + "ddim_takes_steps_of_eulers_method_to_time_0[7-{}]"
PUBLISHED = OF_WEIGHTS + "weights_of_a_schedule_that_preserves_the_variance_are_the_published_ones"
EDM = OF_WEIGHTS + "the_weight_of_edm_is_the_published_one"
GRADIENT = OF_WEIGHTS + "the_weighted_loss_returns_gradients_of_its_mean[x0-edm]"
GAUSSIAN = OF_WEIGHTS + "the_exact_F_of_gaussian_data_of_the_variance_is_0"
PRECONDITIONING = OF_CONVERSIONS + "F_is_the_output_of_a_network_with_the_preconditioning_of_edm"

MUTANTS = (
    # the SDE
    (FLOW, "-1 / np.subtract(1.0, t)", "-1.0 * np.ones_like(t)", EQUATIONS),
    (FLOW, "np.sqrt(2 * t / np.subtract(1.0, t))", "np.sqrt(t / np.subtract(1.0, t))", EQUATIONS),
    (FLOW, "1 / (1 + np.exp(log_snr / 2))", "1 / (1 + np.exp(log_snr))", EULER.format("velocity")),
    (FLOW, "return 1000 * t", "return 1000 * t / self.t_max", OF_FLOW + "flow_defaults"),
    # training times
    (FLOW, "low + u * (high - low)", "u", DENSITY + "[logit-normal]"),
    (FLOW, "float(ndtr(np.log(t / (1 - t))))", "float(ndtr(np.log(t)))", DENSITY + "[logit-normal]"),
    (FLOW, "expit(ndtri(u))", "expit(-ndtri(u))", DENSITY + "[logit-normal]"),
    (FLOW, "np.sinh(STEEPNESS / 2) / 2)", "np.sinh(STEEPNESS) / 2)", DENSITY + "[u-shaped]"),
    (FLOW, "(2 * u - 1) * np.sinh", "(u - 0.5) * np.sinh", DENSITY + "[u-shaped]"),
    (FLOW, "STEEPNESS = 4.0", "STEEPNESS = 3.0", DENSITY + "[u-shaped]"),
    # predictions
    (CONVERSIONS, "return -1.0, 1.0", "return 1.0, -1.0", OF_CONVERSIONS + "prediction_coefficients_equal_the_definition"),
    (CONVERSIONS, "return -1.0, 1.0", "return -alpha, sigma", EULER.format("velocity")),
    (CONVERSIONS, "c_in * sigma * data_variance**-0.5", "c_in * sigma * data_variance**0.5", PRECONDITIONING),
    (CONVERSIONS, "-c_in * alpha * data_variance**0.5", "c_in * alpha * data_variance**0.5", PRECONDITIONING),
    (CONVERSIONS, "(alpha**2 * data_variance + sigma**2) ** -0.5", "(alpha**2 + sigma**2) ** -0.5", PRECONDITIONING),
    (DENOISER, "self.sampled_prediction, *self._level(t))", "self.sampled_prediction, *self._level(t)[:2], 1.0)", EULER.format("F")),
    (DENOISER, '(x0, x_t, "x0", prediction, *level, data_variance)', '(x0, x_t, "x0", prediction, *level, 1.0)', GAUSSIAN),
    # the grid of DDIM
    ("reference/sde/sde.py", "max(self.t_min, self.t_max / steps)", "self.t_min", EULER.format("velocity")),
    # weights of the loss
    (WEIGHTS, "LARGEST_SNR = 5.0", "LARGEST_SNR = 4.0", PUBLISHED),
    (WEIGHTS, "np.minimum(snr, LARGEST_SNR)", "np.maximum(snr, LARGEST_SNR)", PUBLISHED),
    (WEIGHTS, "snr / (1 + snr)", "1 / (1 + snr)", PUBLISHED),
    (WEIGHTS, "snr + 1 / data_variance", "snr + 1", EDM),
    (WEIGHTS, "(alpha / sigma) ** 2, data_variance) * slope**2", "(alpha / sigma) ** 2, data_variance)", PUBLISHED),
    (WEIGHTS, "* slope**2", "* abs(slope)", PUBLISHED),
    (DENOISER, "weights * per_sample, weights * d_per_sample", "weights * per_sample, d_per_sample", GRADIENT),
    (DENOISER, "        mean = per_sample.mean()\n", "", GRADIENT),
    (
        DENOISER,
        'if self.loss_weight in ("min-snr", "p2") and signal < SMALLEST_SIGNAL:',
        "if False:",
        OPTIONS + "[loss weight 0 at the end]",
    ),
    (
        "reference/runs/evaluation.py",
        "per_sample_column(weights**0.5, target)",
        "per_sample_column(weights, target)",
        OF_WEIGHTS + "evaluation_has_the_loss_of_training",
    ),
    # export
    (
        "reference/runs/diffusers_format.py",
        'isinstance(model.schedule, Flow) and model.prediction == "velocity"',
        "isinstance(model.schedule, Flow)",
        OF_EXPORT + "predictions_without_a_scheduler_are_exported_with_their_formula_alone[words1-It returns x_0.]",
    ),
    (
        FLOW,
        "return as_float(np.multiply(t, 1.0))",
        "return as_float(np.multiply(t, 0.999))",
        OF_EXPORT + "ddim_draws_what_diffusers_draws_from_an_export",
    ),
)
