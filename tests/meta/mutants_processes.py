"""Known mistakes in work of several processes: (file, exact old text, new text, test that must fail)."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


SAME_BITS = "shards.py::test_training_has_the_same_bits_on_any_number_of_processes"
SUM = "processes.py::test_a_sum_adds_neighbours_first_and_is_the_same_in_all_processes"
PAIRS = "shards.py::test_the_gradients_of_shards_are_added_in_pairs_of_neighbours"
CONTINUED = "processes.py::test_processes_continue_a_run_with_the_same_files"
FIT = "shards.py::test_shards_that_do_not_fit_leave_no_folder"
DRAWN_ONCE = "streaming.py::test_processes_draw_each_batch_once"
STREAMED = "streaming.py::test_a_file_has_the_bytes_of_samples_drawn_at_once"
COMPLETED = "streaming.py::test_a_stopped_command_is_completed_by_the_batches_that_are_missing"
MACHINE = "tests/reference/test_shared_machine.py::test_"

MUTANTS = (
    # the sum over shards
    _mutant(
        "diffusion/training",
        "tree_sum(of_shard, team.rank * own, (team.rank + 1) * own)",
        "tree_sum(lambda k: of_shard(k * team.count + team.rank), 0, own)",
        SAME_BITS,
    ),
    _mutant(
        "diffusion/training",
        "    return tree_sum(term, first, middle) + tree_sum(term, middle, end)",
        "    return sum(map(term, range(first + 1, end)), term(first))",
        PAIRS,
    ),
    _mutant("diffusion/training", "middle = (first + end) // 2", "middle = first + 1", PAIRS),
    _mutant("diffusion/training", "mean = team.sum(total) / settings.shards", "mean = team.sum(total)", PAIRS),
    _mutant("diffusion/training", "mean = team.sum(total) / settings.shards", "mean = team.sum(total) / own", SAME_BITS),
    _mutant(
        "diffusion/training",
        "draw_batch(model, data, settings, step, ops, shard)\n        chosen",
        "draw_batch(model, data, settings, step, ops, shard - team.rank * own)\n        chosen",
        SAME_BITS,
    ),
    _mutant("diffusion/training", "np.arange(shard * size, (shard + 1) * size, like=data)", "np.arange(size, like=data)", PAIRS),
    _mutant("diffusion/training", "settings.batch // settings.shards", "settings.batch", PAIRS),
    _mutant("diffusion/training", "settings, step, ops, first)\n", "settings, step, ops)\n", PAIRS),
    _mutant("diffusion/guidance", "np.arange(first, first + len(labels), like=labels)", "np.arange(len(labels), like=labels)", PAIRS),
    _mutant(
        "diffusion/training",
        "if self.shards & (self.shards - 1):",
        "if False:",
        FIT,
    ),
    _mutant("diffusion/training", "if self.batch % self.shards:", "if False:", FIT),
    _mutant("runs/processes", "other = self.rank ^ distance", "other = self.rank ^ (self.count // 2 // distance)", SUM),
    _mutant("runs/processes", "            distance *= 2\n", "            distance *= 4\n", SUM),
    _mutant(
        "runs/processes",
        "        distance = 1\n",
        "        return sum(self.comm.allgather(array)) if self.comm else array\n        distance = 1\n",
        SUM,
    ),
    _mutant("runs/processes", "array = array + received if", "array += received if", SUM),
    _mutant(
        "runs/devices",
        "to_device(add(to_host(array, port)), port)",
        "array",
        "shards.py::test_shards_of_a_device_are_added_on_the_host_with_the_same_bits",
    ),
    # training together
    _mutant("commands/train", "state, last, ops, processes()", "state, last, ops", CONTINUED),
    _mutant("commands/train", "log = team.first(lambda: _locked_log(run, opened))", "log = _locked_log(run, opened)", CONTINUED),
    _mutant(
        "commands/train",
        "stopped = team.any(stop.asked)",
        "stopped = stop.asked",
        "processes.py::test_a_signal_to_one_process_stops_all_after_the_same_step",
    ),
    _mutant(
        "runs/processes",
        "any(self.comm.allgather(bool(flag)))",
        "self.comm.bcast(bool(flag))",
        "processes.py::test_a_flag_of_any_process_is_true_for_all",
    ),
    _mutant(
        "commands/train",
        "if state.step % CHECKED == 0 or",
        "if",
        "processes.py::test_a_process_that_drifts_ends_the_training_before_a_checkpoint",
    ),
    _mutant(
        "commands/train",
        "to_host(state.params.flat, ops)",
        "to_host(state.ema.flat[:0], ops)",
        "processes.py::test_a_process_that_drifts_ends_the_training_before_a_checkpoint",
    ),
    _mutant(
        "commands/train",
        "    if shards % count:",
        "    if False:",
        "processes.py::test_processes_that_can_not_divide_the_shards_are_refused",
    ),
    _mutant(
        "commands/train",
        'run.config | {"training": asdict(run.settings)}',
        "run.config",
        "shards.py::test_a_run_of_an_earlier_version_has_one_shard",
    ),
    _mutant(
        "commands/train",
        'if options["shards"] is None and launched():',
        'if options["shards"] is None:',
        "shards.py::test_a_run_has_one_shard_unless_mpiexec_started_it",
    ),
    _mutant("runs/students", '"stage": 0, "shards": 1}', '"stage": 0}', "shards.py::test_a_student_has_shards_of_its_own"),
    # agreement
    _mutant(
        "runs/processes",
        "            if other != values[0]:",
        "            if False:",
        "processes.py::test_unequal_values_are_an_error_in_all_processes",
    ),
    _mutant(
        "runs/processes",
        "            if not exists:",
        "            if False:",
        "processes.py::test_a_folder_that_is_not_shared_is_an_error_in_all_processes_and_leaves_no_file",
    ),
    _mutant(
        "runs/processes",
        "        self.first(probe.unlink)\n",
        "",
        "processes.py::test_a_folder_that_is_not_shared_is_an_error_in_all_processes_and_leaves_no_file",
    ),
    _mutant(
        "runs/processes",
        "        return met\n",
        "        return False\n",
        "processes.py::test_an_error_of_all_processes_is_printed_once",
    ),
    _mutant(
        "runs/processes",
        "        if not self._all_agree():\n",
        "        if self._all_agree() is None:\n",
        "processes.py::test_an_error_of_one_process_ends_them_all_and_names_its_rank",
    ),
    _mutant(
        "runs/processes",
        "        if self._all_agree() and self.rank:\n",
        "        if self.rank:\n",
        "processes.py::test_an_exception_of_one_process_ends_them_all_and_names_its_rank",
    ),
    _mutant(
        "runs/processes",
        "        if self._all_agree() and self.rank:\n",
        "        if False:\n",
        "processes.py::test_an_exception_of_all_processes_is_printed_once",
    ),
    _mutant(
        "runs/processes",
        "            error = self.comm.bcast(error)\n",
        "            self.comm.bcast(error)\n",
        "processes.py::test_an_error_of_rank_0_is_raised_in_all_processes",
    ),
    _mutant(
        "runs/processes",
        "        if self.rank == 0:\n            try:",
        "        if True:\n            try:",
        "processes.py::test_rank_0_alone_calls_a_function_and_can_share_its_result",
    ),
    _mutant(
        "runs/launch",
        "if rank in os.environ:",
        "if rank == LAUNCHERS[0][0] and rank in os.environ:",
        "processes.py::test_the_variables_of_a_launcher_tell_rank_and_number",
    ),
    _mutant(
        "runs/launch",
        "    if launched():\n",
        "    if True:\n",
        "processes.py::test_blas_has_one_thread_in_a_process_of_mpiexec_unless_told_otherwise",
    ),
    # sampling together
    _mutant("runs/sampling", "firsts[team.rank :: team.count]", "firsts[team.rank + 1 :: team.count]", DRAWN_ONCE),
    _mutant("runs/sampling", "firsts[team.rank :: team.count]", "firsts", DRAWN_ONCE),
    _mutant("runs/sampling", "firsts[team.rank :: team.count]", "firsts[:: 1] if team.rank == 0 else []", DRAWN_ONCE),
    _mutant("runs/sampling", "key=lambda batch: batch.first)", "key=lambda batch: 0)", DRAWN_ONCE),
    _mutant("runs/sampling", "np.arange(first, min(first + size, n))", "np.arange(0, min(size, n - first))", DRAWN_ONCE),
    _mutant(
        "runs/sampling",
        "return range(0, n, BATCH",
        "return range(0, n - 1, BATCH",
        "streaming.py::test_a_last_batch_of_one_sample_is_drawn",
    ),
    _mutant("runs/sampling", "network.evaluations - before", "network.evaluations", "streaming.py::test_processes_draw_each_batch_once"),
    # streaming
    _mutant("runs/parts", 'archive.open(f"{name}.npy", "w", force_zip64=True)', 'archive.open(f"{name}.npy", "w")', STREAMED),
    _mutant("runs/parts", 'header | {"shape": (n, *like.shape[1:])}', "header", STREAMED),
    _mutant("runs/parts", "if not _part(folder, first).exists()]", "if True]", COMPLETED),
    _mutant(
        "runs/parts",
        'path.read_text(encoding="utf-8") != text:',
        "False:",
        "streaming.py::test_batches_of_other_settings_are_refused_and_kept",
    ),
    _mutant(
        "runs/parts",
        '    opened.enter_context(exclusive_lock(folder, "drawing into"))\n',
        "",
        "streaming.py::test_a_file_that_another_process_draws_is_refused",
    ),
    _mutant("commands/stream", "evaluations + own", "own", "streaming.py::test_the_words_are_those_of_samples_drawn_at_once"),
    _mutant(
        "commands/sample",
        "with_origin(run, ops, x, how, first)",
        "with_origin(run, ops, x, how)",
        "streaming.py::test_labels_are_written_batch_by_batch",
    ),
    _mutant(
        "commands/sample",
        "len(batch_starts(run, n)) > 1",
        "False",
        "streaming.py::test_the_memory_does_not_grow_with_the_number_of_samples",
    ),
    # what the processes of a machine share
    (
        "reference/runs/processes.py",
        "if node == own[0]]",
        "]",
        MACHINE + "the_processes_of_a_machine_divide_the_processors_on_which_they_may_run[two machines]",
    ),
    (
        "reference/runs/processes.py",
        "len(set().union(*here)) // len(here)",
        "len(own[1]) // len(here)",
        MACHINE + "the_processes_of_a_machine_divide_the_processors_on_which_they_may_run[bound]",
    ),
    (
        "accelerated/__main__.py",
        "min(threads, team.processors())",
        "team.processors()",
        MACHINE + "a_process_takes_its_part_of_the_processors_and_a_device_of_its_own[2-2]",
    ),
    (
        "accelerated/__main__.py",
        "(team.local[0])",
        "(0)",
        MACHINE + "a_process_takes_its_part_of_the_processors_and_a_device_of_its_own[8-3]",
    ),
    (
        "reference/commands/train.py",
        " and name != without",
        "",
        MACHINE + "another_number_of_threads_is_reported_unless_the_port_has_threads_of_its_own",
    ),
    (
        "reference/commands/interrupts.py",
        "if launched() is None or launched()[0] == 0:",
        "if True:",
        MACHINE + "an_interrupt_before_the_processes_are_connected_is_answered_once[started2-False]",
    ),
)
