"""Known mistakes in runs with captions and their samples: (file, exact old text, new text, test that must fail)."""

RUNS = "tests/reference/test_caption_runs.py::test_"
SAMPLES = "tests/reference/test_caption_sampling.py::test_"
CONFIG, RUN, EVALUATION = "reference/runs/config.py", "reference/runs/run.py", "reference/runs/evaluation.py"
CONDITIONS, JUDGES = "reference/runs/conditions.py", "reference/runs/judges.py"
SAMPLE, INVERT = "reference/commands/sample.py", "reference/commands/invert.py"
PICTURES = "reference/commands/sample_pictures.py"
ANOTHER = RUNS + "a_config_of_another_vocabulary_is_refused"
DIGITS = RUNS + "classes_of_images_with_captions_are_their_digits"
NO_TEXT = RUNS + "options_that_do_not_go_with_captions_are_refused"
BY_CAPTION = RUNS + "images_with_captions_are_trained_on_them[ddpm]"
USED = RUNS + "evaluate_shows_whether_the_network_uses_its_caption"
IN_TURN = SAMPLES + "samples_take_the_captions_in_turn"
BATCHES = SAMPLES + "a_file_of_batches_has_the_bytes_and_the_judgement_of_samples_drawn_at_once"
ROWS = SAMPLES + "a_picture_has_a_row_for_each_caption_beside_images_of_the_caption"
ONE = SAMPLES + "a_picture_of_one_caption_is_beside_its_images_if_there_are_any"
PLANTED = SAMPLES + "the_judge_counts_planted_images"
REFUSED = SAMPLES + "bad_captions_and_conditions_are_refused"

MUTANTS = (
    # training
    (CONFIG, 'data.captions is not None and not given.get("classes")', "data.captions is not None", DIGITS),
    (
        CONFIG,
        'not given.get("classes") and "classes" in method.options',
        'not given.get("classes")',
        RUNS + "methods_without_a_condition_are_trained_without_captions[smld --levels 3 --channels 8 8]",
    ),
    (CONFIG, "    elif captioned:\n        chosen.setdefault", "    elif False:\n        chosen.setdefault", BY_CAPTION),
    (
        CONFIG,
        'if vocabulary and kind != "unet":',
        "if False:",
        NO_TEXT + "[ddpm --net mlp --width 4-captions has captions, and --net mlp has no text encoder: take --net unet, or --classes]",
    ),
    (
        CONFIG,
        "words is not None and words != list(VOCABULARY)",
        "words is not None and len(words) != len(VOCABULARY)",
        ANOTHER + "[changed1-network1-vocabulary must be <pad> <null> a red]",
    ),
    (
        CONFIG,
        "if rows != len(words or ()):",
        "if rows and rows != len(words or ()):",
        ANOTHER + "[changed6-network6-the network must have a vocabulary of 28, got 0]",
    ),
    (
        RUN,
        'data.labelled_by_captions() if self.config.get("vocabulary") else data',
        "data",
        RUNS + "a_run_trains_on_no_held_out_combination",
    ),
    (
        CONFIG,
        "UNet.cross_attention[-halvings - 1 :]",
        "UNet.cross_attention[-1:]",
        RUNS + "the_last_two_levels_attend_to_the_caption[channels1-levels1]",
    ),
    # does the network use its caption
    (
        EVALUATION,
        "null = predict(null_labels(own, run.model.network))",
        "null = predict(other_labels(run, own))",
        RUNS + "the_loss_without_a_label_is_that_with_the_null_caption",
    ),
    (EVALUATION, "np.roll(own, -1, axis=0)", "np.roll(own, -1)", RUNS + "another_caption_is_that_of_the_next_image"),
    (EVALUATION, "change, size = mean_square(wrong - right)", "change, size = mean_square(wrong)", USED),
    # the caption of a sample
    (CONDITIONS, "[sample % len(rows)]", "[sample * 0]", IN_TURN),
    (
        CONDITIONS,
        "rows = run.data.held_out_labels",
        "rows = run.data.train_labels",
        SAMPLES + "without_a_caption_samples_have_those_of_the_held_out_images",
    ),
    (
        CONDITIONS,
        "        attributes_of(caption)  # refuses a wrong one\n",
        "        encode(caption)\n",
        REFUSED + "[RUN-words3-a caption must name one colour at most, got red and green]",
    ),
    (
        CONDITIONS,
        "if value is not None and own != labels:",
        "if value is not None and own != labels and labels:",
        REFUSED + "[PLAIN-words7---caption needs a run with captions, and {run} was trained without captions]",
    ),
    (
        INVERT,
        "return conditions.condition_options(run, guidance=0.0)",
        "return conditions.condition_options(run)",
        RUNS + "without_a_caption_the_null_caption_is_taken[invert]",
    ),
    (
        SAMPLE,
        "if arguments.label is None and arguments.caption is None:",
        "if arguments.label is None and arguments.guidance is None:",
        SAMPLES + "latents_keep_their_captions",
    ),
    (
        "reference/commands/evaluate.py",
        'how.get("guidance") and "label" in how',
        '"label" in how',
        "tests/reference/test_evaluate_command.py::test_a_classifier_measures_samples_by_class_in_its_features",
    ),
    (SAMPLE, 'kept = ("label", "caption", "guidance")', 'kept = ("label", "guidance")', SAMPLES + "latents_keep_their_captions"),
    (
        "reference/commands/distill.py",
        "teacher.data.train_labels[:n]",
        "teacher.data.held_out_labels[:n]",
        RUNS + "pairs_of_reflow_have_the_captions_of_training_images",
    ),
    # files and pictures
    (SAMPLE, "run, ops, x, how, first)\n    agreeing", "run, ops, x, how)\n    agreeing", BATCHES),
    (SAMPLE, 'f"U{LONGEST}"', '"U12"', IN_TURN),
    (PICTURES, "(data.held_out_labels == encode(label)[0]).all(axis=1)", "(data.held_out_labels == encode(label)[0]).any(axis=1)", ROWS),
    (PICTURES, "own = np.arange(len(x)) % len(rows)", "own = np.arange(len(x)) * len(rows) // len(x)", ROWS),
    (PICTURES, "one = caption[0] if isinstance(caption, list) else label", "one = label", ONE + "[True]"),
    # the judge
    (JUDGES, "if not guidance:", "if False:", BATCHES),
    (JUDGES, "found[kind] for kind in KINDS", "found[kind] for kind in reversed(KINDS)", PLANTED),
    (
        JUDGES,
        "zip(KINDS, counted) if named",
        "zip(KINDS, counted) if right",
        SAMPLES + "kinds_that_no_caption_names_are_not_in_the_sentence",
    ),
    (
        JUDGES,
        "digit_classifier(digits.train, digits.train_labels)",
        "digit_classifier(digits.train[:200], digits.train_labels[:200])",
        PLANTED,
    ),
)
