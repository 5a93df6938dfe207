"""Known mistakes in the distillation of students: (file, exact old text, new text, test that must fail)."""

ROOM = "reference/distillation/"
PROGRESSIVE, CONSISTENCY, REFLOW = (f"{ROOM}{name}.py" for name in ("progressive", "consistency", "reflow"))
SAMPLER, TRAINING, STUDENTS = "reference/samplers/consistency.py", "reference/diffusion/training.py", "reference/runs/students.py"
COMMAND = "reference/commands/distill.py"
TWO_STEPS = "tests/reference/test_progressive.py::test_"
PATHS = "tests/reference/test_consistency.py::test_"
DRAWN = "tests/reference/test_consistency_sampler.py::test_"
PAIRS = "tests/reference/test_reflow.py::test_"
RUNS = "tests/reference/test_distill_command.py::test_"
REFUSALS = "tests/reference/test_distill_bad_input.py::test_"
STAGES = "tests/reference/test_training.py::test_"
TAKEN = TWO_STEPS + "training_takes_all_steps_of_the_student_equally_often[cosine]"
TARGET = TWO_STEPS + "one_step_with_the_target_is_two_steps_of_the_teacher[v-cosine]"
LARGER = TWO_STEPS + "the_loss_is_the_larger_of_the_squared_errors_of_x0_and_noise[v-cosine]"
HALVINGS = TWO_STEPS + "halvings[64-4-found0]"
LAW = DRAWN + "samples_of_the_exact_function_have_the_law_of_the_data[3]"
STOPPED = PATHS + "no_gradient_flows_through_the_target[squared]"
FORMULA = PATHS + "the_loss_is_its_formula[training-pseudo-huber]"
FIXED_TARGET = PATHS + "the_gradient_is_that_of_the_loss_with_the_target_held_fixed[training-pseudo-huber-F]"
APPROACH = PATHS + "r_approaches_t_from_stage_to_stage[8-1]"
HEUN = PATHS + "the_teachers_step_is_that_of_edm_or_of_ddim[heun-ve]"
RESUMED = RUNS + "a_stopped_student_goes_on_with_the_same_bits"
BAD = REFUSALS + "bad_input_exits_2_with_one_line_and_writes_nothing"
SAMPLED = REFUSALS + "a_student_has_one_sampler_and_its_steps"
KEEPS = REFUSALS + "a_student_keeps_its_teacher_and_its_options"
KEY = "Key(seed, sample, step, Purpose.STEP_NOISE)"

MUTANTS = (
    # mistakes of public code: noise after the last evaluation of a multistep sampler
    (
        SAMPLER,
        "        if step:\n            x = ops.add_noise(x, 1.0, level, KEY)\n        x = denoise(x, level)\n".replace("KEY", KEY),
        "        x = denoise(x, level)\n        x = ops.add_noise(x, 1.0, level, KEY)\n".replace("KEY", KEY),
        LAW,
    ),
    # c_skip with sigma^2 in its numerator
    (
        CONSISTENCY,
        "np.where(noisy, a * alpha, 1.0)",
        "np.where(noisy, 1 - a * alpha, 1.0)",
        PATHS + "for_F_the_coefficients_are_those_of_edm_at_any_schedule[ve]",
    ),
    # the mean of ln t with another sign
    (
        CONSISTENCY,
        "MEAN, DEVIATION = -1.1, 2.0",
        "MEAN, DEVIATION = 1.1, 2.0",
        PATHS + "ln_t_has_mean_minus_1_1_and_deviation_2_within_the_range",
    ),
    # t' and t'' exchanged
    (
        PROGRESSIVE,
        "np.take(times, last + 1), np.take(times, last), noise",
        "np.take(times, last), np.take(times, last + 1), noise",
        TAKEN,
    ),
    (PROGRESSIVE, "self._ddim_step(z, t, t_half, labels, ops)", "self._ddim_step(z, t, t_prev, labels, ops)", TARGET),
    # a student of consistency training begun from a teacher
    (
        STUDENTS,
        '    if kind == "consistency":\n',
        '    if kind.startswith("consistency"):\n',
        RUNS + "consistency_training_has_no_teacher_and_distillation_has",
    ),
    # the gradient at the target not stopped
    (
        CONSISTENCY,
        "        _, gradients = self.network.backward(params, d * slope, saved, ops)\n",
        "        _, gradients = self.network.backward(params, d * slope, saved, ops)\n"
        "        x_r = ops.add_noise(y, 1.0, cast_like(r, y), noise)\n"
        "        _, slope, saved = self.evaluate(params, x_r, at_r, labels, ops)\n"
        "        _, more = self.network.backward(params, -d * slope, saved, ops)\n"
        "        gradients = {name: gradients[name] + more[name] for name in gradients}\n",
        STOPPED,
    ),
    # other noise in the second pass
    (
        CONSISTENCY,
        "x_r = ops.add_noise(y, 1.0, cast_like(r, y), noise)",
        "x_r = ops.add_noise(y, 1.0, cast_like(r, y), noise[::-1])",
        PATHS + "both_passes_have_the_same_noise_and_labels",
    ),
    # progressive distillation
    (PROGRESSIVE, "np.maximum((alpha / sigma) ** 2, 1.0)", "(alpha / sigma) ** 2", LARGER),
    (PROGRESSIVE, "np.maximum((alpha / sigma) ** 2, 1.0)", "np.maximum(alpha / sigma, 1.0)", LARGER),
    (PROGRESSIVE, "_combine(z_prev, scale, z, -kept * scale)", "_combine(z_prev, scale, z, kept * scale)", TARGET),
    (PROGRESSIVE, "_combine(z, kept, x0, alpha_next - kept * alpha)", "_combine(z, kept, x0, alpha_next)", TARGET),
    (PROGRESSIVE, "self.predict(self.teacher, z, t,", "self.predict(self.teacher, 2 * z, t,", TARGET),
    (
        PROGRESSIVE,
        "self.network.backward(params, d * slope, saved, ops)",
        "self.network.backward(params, d, saved, ops)",
        TWO_STEPS + "the_gradient_is_that_of_the_loss_with_the_target_held_fixed[zero terminal SNR-v]",
    ),
    (
        PROGRESSIVE,
        "target = self.target_of(z, t, t_half, t_prev, labels, ops)",
        "target = self.target_of(z, t, t_half, t_prev, None if labels is None else 0 * labels, ops)",
        TWO_STEPS + "labels_reach_the_teacher_in_the_loss",
    ),
    (PROGRESSIVE, "2 * np.floor(u * self.steps)", "2 * np.floor(u * (self.steps - 1))", TAKEN),
    (PROGRESSIVE, "not found or count != steps", "not found", BAD + "[steps that do not halve]"),
    (PROGRESSIVE, "found.append(count)", "found.insert(0, count)", HALVINGS),
    (
        PROGRESSIVE,
        "1 <= steps <= most // 2",
        "1 <= steps <= most",
        BAD + "[too many steps]",
    ),
    # consistency models
    (CONSISTENCY, "np.where(noisy, b, 0.0)", "b", PATHS + "f_at_noise_0_is_x[v-cosine]"),
    (
        CONSISTENCY,
        "scale = self.input_scale(1.0, level**2)",
        "scale = self.input_scale(alpha**2, sigma**2)",
        PATHS + "f_is_the_posterior_mean_of_the_denoiser_that_it_begins_as[v-cosine]",
    ),
    (CONSISTENCY, "(1 + K * (1 - np.tanh(t / 2)) / 2)", "(1 + K * (1 + np.tanh(t / 2)) / 2)", APPROACH),
    (CONSISTENCY, "Q ** -(stage + 1.0)", "Q ** -(stage + 2.0)", APPROACH),
    (CONSISTENCY, "(step - 1) // self.stage_steps", "step // self.stage_steps", PATHS + "r_approaches_t_from_stage_to_stage[7-0]"),
    (CONSISTENCY, "np.where(r < low, 0.0, r)", "r", PATHS + "r_approaches_t_from_stage_to_stage[1-0]"),
    (CONSISTENCY, ".clip(low, high)", ".clip(low)", PATHS + "ln_t_has_mean_minus_1_1_and_deviation_2_within_the_range"),
    (
        CONSISTENCY,
        "np.take(grid, n + 1), np.take(grid, n)",
        "np.take(grid, n + 1), 0 * np.take(grid, n)",
        PATHS + "fixed_levels_are_neighbours_and_equally_frequent",
    ),
    (CONSISTENCY, "weights = cast_like(1 / (t - r), y)", "weights = cast_like(1 / t, y)", FORMULA),
    (CONSISTENCY, "HUBER_C = 0.00054", "HUBER_C = 0.0054", FORMULA),
    (CONSISTENCY, "weights / (2 * root)", "weights / root", FIXED_TARGET),
    (CONSISTENCY, "root - HUBER_C, weights", "root, weights", FORMULA),
    (CONSISTENCY, "(slope + slope_r) / 2", "(slope + slope_r)", HEUN),
    (CONSISTENCY, "self.evaluate(self.teacher, euler, at_r, labels", "self.evaluate(self.teacher, x, at_r, labels", HEUN),
    (CONSISTENCY, "np.where(r > 0, heun, euler)", "heun", HEUN),
    (
        CONSISTENCY,
        "self.evaluate(self.teacher, x, at_t, labels, ops, keep=False)",
        "self.evaluate(self.teacher, x, at_t, None, ops, keep=False)",
        PATHS + "labels_reach_the_teacher[euler]",
    ),
    (
        SAMPLER,
        "sigmas(steps + 1, sigma_min, sigma_max)[:-2]",
        "sigmas(steps + 1, sigma_min, sigma_max)[1:-1]",
        DRAWN + "levels_of_the_sampler_begin_at_the_largest_noise_and_leave_out_the_smallest",
    ),
    # reflow
    (
        REFLOW,
        "np.concatenate((x0, noise), axis=-1)",
        "np.concatenate((noise, x0), axis=-1)",
        PAIRS + "pairs_hold_x0_and_noise_on_the_last_axis",
    ),
    (
        REFLOW,
        "np.split(pairs, 2, axis=-1)",
        "np.split(pairs, 2, axis=-1)[::-1]",
        PAIRS + "the_loss_is_that_of_a_denoiser_with_the_noise_of_the_pair",
    ),
    (REFLOW, "(self.schedule.sample_times(u),)", "(u * self.schedule.t_max,)", PAIRS + "training_draws_u_shaped_times_and_no_noise"),
    (STUDENTS, "0, Purpose.PRIOR, x.shape", "1, Purpose.PRIOR, x.shape", RUNS + "the_pairs_are_draws_of_the_teacher_and_their_noise"),
    (
        STUDENTS,
        '{"times": "u-shaped"}',
        '{"times": "uniform"}',
        RUNS + "a_progressive_run_has_a_learning_rate_that_falls_in_each_halving_and_no_average",
    ),
    (
        COMMAND,
        "partial(_draw_pairs, teacher, ops)",
        "partial(_draw_pairs, run, ops)",
        RUNS + "pairs_that_were_removed_are_drawn_from_the_teacher_again",
    ),
    # stages of training
    (
        TRAINING,
        "1 - (step - 1) / self.stage if",
        "1 - 0 * (step - 1) / self.stage if",
        STAGES + "the_learning_rate_falls_to_0_in_each_stage",
    ),
    (TRAINING, "(step - 1) % self.stage + 1 if", "step % self.stage + 1 if", STAGES + "the_learning_rate_falls_to_0_in_each_stage"),
    (TRAINING, "state.m.flat[...], state.v.flat[...] = 0, 0", "pass", STAGES + "adam_and_the_average_begin_anew_with_a_stage"),
    (TRAINING, "ema_decay(settings.ema, number)", "ema_decay(settings.ema, step)", STAGES + "adam_and_the_average_begin_anew_with_a_stage"),
    (TRAINING, "state.v.flat, number, lr)", "state.v.flat, step, lr)", STAGES + "adam_and_the_average_begin_anew_with_a_stage"),
    # students on disk
    (
        STUDENTS,
        "        if run.state.step == stage * updates:\n            weights = FlatParameters(run.state.ema)",
        "        if run.state.step == stage * updates:\n            weights = dict(run.state.ema)",
        RESUMED + "[progressive-2]",
    ),
    (STUDENTS, "FlatParameters(run.state.ema) if at_start else", "dict(run.state.ema) if at_start else", RESUMED + "[consistency-2]"),
    (
        STUDENTS,
        "        run.state.params.flat[...] = run.state.ema.flat\n",
        "",
        RUNS + "a_student_on_the_way_to_fewer_steps_is_the_teacher_of_the_next",
    ),
    (
        STUDENTS,
        "exported.to_bytes(run.state.ema, facts))\n        run",
        "exported.to_bytes(run.state.m, facts))\n        run",
        RUNS + "a_student_on_the_way_to_fewer_steps_is_the_teacher_of_the_next",
    ),
    (
        STUDENTS,
        "_stages(config)[number - 1]",
        "_stages(config)[number]",
        RUNS + "a_student_has_its_files_and_can_be_sampled_and_evaluated[progressive]",
    ),
    (
        STUDENTS,
        '    if (found := exported.digest(weights)) != config["teacher"]["weights"]:\n',
        "    if not (found := exported.digest(weights)):\n",
        REFUSALS + "a_teacher_file_that_was_changed_is_refused",
    ),
    (STUDENTS, '        "data_seed": teacher.data_seed,\n', "", RESUMED + "[progressive-2]"),
    (STUDENTS, "    if own and first not in (None, own):\n", "    if own and first == 0:\n", BAD + "[other steps of a student]"),
    (STUDENTS, "while first < KINDS", "while first <= KINDS", RUNS + "the_default_steps_of_the_teacher_are_the_first_from_64_on"),
    (
        STUDENTS,
        'training["stage"] = chosen["updates"]',
        'training["stage"] = 2 * chosen["updates"]',
        RUNS + "a_progressive_run_has_a_learning_rate_that_falls_in_each_halving_and_no_average",
    ),
    (COMMAND, '    if begun["weights"] != digest(teacher.state.ema):\n', "    if not begun:\n", KEEPS + "[another teacher]"),
    (
        COMMAND,
        '        if value != (was := begun["options"].get(name)):\n',
        '        if not (was := begun["options"].get(name)):\n',
        KEEPS + "[other steps]",
    ),
    (
        "reference/runs/sampler_options.py",
        "if steps < 1 or trained % steps:",
        "if steps < 1:",
        SAMPLED + "[more steps]",
    ),
    (
        "reference/runs/sampler_options.py",
        "if steps == 1 < _default_steps(run)",
        "if steps == 0",
        REFUSALS + "one_step_of_a_run_that_predicts_noise_is_refused",
    ),
    (
        "reference/commands/train.py",
        '    if "teacher" in run.config:\n        raise ValueError(f"{run.folder} was begun by distill',
        '    if "students" in run.config:\n        raise ValueError(f"{run.folder} was begun by distill',
        REFUSALS + "runs_of_train_and_of_distill_are_not_mixed_up",
    ),
    (
        STUDENTS,
        "max(run.state.step - 1, 0) // run.settings.stage",
        "max(run.state.step, 0) // run.settings.stage - 1",
        RUNS + "an_unfinished_student_takes_the_steps_of_the_halving_that_it_is_in",
    ),
)
