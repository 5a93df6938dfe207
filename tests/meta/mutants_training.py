"""Known mistakes in training, files and data: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


MUTANTS = (
    _mutant(
        "diffusion/schedules",
        "return 1 + np.floor(",
        "return np.floor(",
        "training.py::test_batches_draw_all_indices_and_times_and_no_others",
    ),
    _mutant(
        "diffusion/training", "(step - 1) / (step + 9)", "step / (step + 10)", "training.py::test_the_first_average_is_the_first_parameters"
    ),
    _mutant(
        "diffusion/training",
        "ops.ema_step_(state.ema.flat, state.params.flat,",
        "ops.ema_step_(state.params.flat, state.ema.flat,",
        "training.py::test_the_weight_average_is_a_mix_of_all_parameters_so_far",
    ),
    _mutant(
        "diffusion/training",
        "state.v.flat, number, lr)",
        "state.v.flat, 1, lr)",
        "training.py::test_a_training_step_is_adam_with_learning_rate_warm_up",
    ),
    _mutant(
        "diffusion/training",
        "return FlatParameters(self)\n",
        "return self\n",
        "training.py::test_a_copied_state_trains_like_the_original_without_changing_it",
    ),
    _mutant(
        "diffusion/training",
        "self[name][...] = value",
        "super().__setitem__(name, value)",
        "training.py::test_an_assigned_parameter_array_is_trained",
    ),
    _mutant(
        "diffusion/training",
        "settings.seed, sample, step, Purpose.DATA_ORDER",
        "settings.seed, sample, 1, Purpose.DATA_ORDER",
        "training.py::test_every_step_has_new_draws",
    ),
    _mutant(
        "diffusion/denoiser",
        "sample, step, Purpose.TRAINING_NOISE",
        "sample, 1, Purpose.TRAINING_NOISE",
        "training.py::test_every_step_has_new_draws",
    ),
    _mutant(
        "diffusion/training",
        "    check(loss, norm, step)\n",
        "",
        "training.py::test_a_step_checks_its_loss_and_norm_before_the_state_changes",
    ),
    _mutant(
        "diffusion/training",
        "drop_labels(labels[indices],",
        "drop_labels(labels[: len(indices)],",
        "training.py::test_a_step_trains_each_sample_with_its_own_label",
    ),
    # devices
    _mutant(
        "runs/devices",
        "    state_to_host(state, port)\n",
        "",
        "devices.py::test_a_trained_state_is_moved_back_and_can_be_trained_on",
    ),
    _mutant(
        "runs/devices",
        "    check_finite(state.loss, state.gradient_norm, state.step)\n",
        "",
        "devices.py::test_a_non_finite_loss_is_reported_when_the_device_is_read",
    ),
    _mutant(
        "runs/devices",
        "settings, state, steps, port, unchecked, team)",
        "settings, state, steps, port, team=team)",
        "devices.py::test_training_on_a_device_has_the_same_bits_and_no_host_copies[sde]",
    ),
    _mutant(
        "runs/solvers",
        "flow(to_device(x, ops), t), ops)",
        "flow(to_device(x, ops), times[0]), ops)",
        "devices.py::test_samples_on_a_device_have_the_same_bits_and_are_copied_twice[sde-ode-rk45]",
    ),
    _mutant(
        "runs/checkpoint",
        "np.ascontiguousarray(to_host(array, ops))",
        "to_host(array, ops)",
        "checkpoint.py::test_a_checkpoint_is_loaded_bit_for_bit",
    ),
    _mutant(
        "runs/checkpoint",
        'entry["step"] <= step',
        'entry["step"] < step',
        "checkpoint.py::test_a_log_is_cut_at_the_checkpoint_step_and_torn_lines_are_dropped",
    ),
    _mutant(
        "data/datasets",
        "np.delete(np.arange(len(x)), held_out)",
        "np.delete(np.arange(len(x)), held_out[1:])",
        "datasets.py::test_train_and_held_out_samples_partition_the_data_set",
    ),
    _mutant(
        "data/datasets",
        "bunch.images[..., None] / 8 - 1",
        "bunch.images[..., None] / 16",
        "datasets.py::test_bounded_data_sets_nearly_fill_minus_one_to_one",
    ),
    _mutant(
        "runs/run",
        '!= self.config["data_sha256"]',
        '== self.config["data_sha256"]',
        "resumed_runs.py::test_data_that_changed_since_training_is_refused",
    ),
    _mutant(
        "plotting",
        "(images.clip(-1, 1) + 1) / 2",
        "images.clip(-1, 1) / 2",
        "figures.py::test_a_mosaic_holds_every_image_in_order_with_separating_lines",
    ),
)
