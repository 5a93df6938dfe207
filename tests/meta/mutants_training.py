"""Known mistakes in training, files, data and metrics: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


MUTANTS = (
    _mutant(
        "diffusion/schedules",
        "return 1 + np.floor(",
        "return np.floor(",
        "training.py::test_a_batch_draws_all_indices_and_times_and_none_beyond",
    ),
    _mutant(
        "diffusion/training", "(step - 1) / (step + 9)", "step / (step + 10)", "training.py::test_the_first_average_is_the_first_parameters"
    ),
    _mutant(
        "diffusion/training",
        "ops.ema_step_(state.ema.flat, state.params.flat,",
        "ops.ema_step_(state.params.flat, state.ema.flat,",
        "training.py::test_the_average_lags_behind_the_parameters_that_it_averages",
    ),
    _mutant(
        "diffusion/training",
        "state.v.flat, step, lr)",
        "state.v.flat, 1, lr)",
        "training.py::test_a_step_is_adams_with_the_gradients_of_the_batch_and_a_learning_rate_that_warms_up",
    ),
    _mutant(
        "diffusion/training",
        "return FlatParameters(self)\n",
        "return self\n",
        "training.py::test_a_copy_of_a_state_trains_like_the_state_and_leaves_it_alone",
    ),
    _mutant(
        "diffusion/training",
        "self[name][...] = value",
        "super().__setitem__(name, value)",
        "training.py::test_an_array_that_is_set_is_trained",
    ),
    _mutant(
        "diffusion/training",
        "settings.seed, sample, step, Purpose.DATA_ORDER",
        "settings.seed, sample, 1, Purpose.DATA_ORDER",
        "training.py::test_every_step_draws_anew",
    ),
    _mutant(
        "diffusion/denoiser",
        "sample, step, Purpose.TRAINING_NOISE",
        "sample, 1, Purpose.TRAINING_NOISE",
        "training.py::test_every_step_draws_anew",
    ),
    _mutant(
        "runs/checkpoint",
        "np.ascontiguousarray(to_host(array))",
        "to_host(array)",
        "checkpoint.py::test_a_checkpoint_comes_back_bit_for_bit",
    ),
    _mutant(
        "runs/checkpoint",
        'entry["step"] <= step',
        'entry["step"] < step',
        "checkpoint.py::test_a_log_is_cut_to_the_step_of_the_checkpoint_and_a_torn_line_is_dropped",
    ),
    _mutant(
        "data/datasets",
        "np.delete(np.arange(len(x)), held_out)",
        "np.delete(np.arange(len(x)), held_out[1:])",
        "datasets.py::test_train_and_held_out_are_the_whole_set_without_overlap",
    ),
    _mutant(
        "data/datasets",
        "bunch.images[..., None] / 8 - 1",
        "bunch.images[..., None] / 16",
        "datasets.py::test_bounded_sets_lie_within_minus_one_and_one_and_nearly_fill_it",
    ),
    _mutant("data/metrics", "- 2 * cross)", "- cross)", "metrics.py::test_frechet_distance_of_affine_copies_has_its_closed_form"),
    _mutant(
        "data/metrics",
        "np.partition(squares, k - 1, axis=1)[:, k - 1]",
        "np.partition(squares, k, axis=1)[:, k]",
        "metrics.py::test_neighbour_distance_is_that_of_a_sorted_list",
    ),
    _mutant(
        "runs/run",
        '!= self.config["data_sha256"]',
        '== self.config["data_sha256"]',
        "command_line.py::test_data_that_changed_since_training_is_refused",
    ),
    _mutant(
        "plotting",
        "(images.clip(-1, 1) + 1) / 2",
        "images.clip(-1, 1) / 2",
        "figures.py::test_a_mosaic_holds_every_image_in_order_with_lines_between",
    ),
)
