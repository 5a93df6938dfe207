"""Known mistakes in the study sampling-cost: (file, exact old text, new text, test that must fail)."""

TEST = "tests/benchmarks/test_sampling_cost.py::test_"
HOURS, COUNTS = (
    TEST + "hours_are_seconds_of_an_image_times_images_and_the_ratio_of_work",
    TEST + "the_study_counts_evaluations_and_writes_every_value",
)
NETWORK = TEST + "the_published_networks_have_their_parameters_and_attention_at_16x16"

MUTANTS = tuple(
    ("benchmarks/sampling_cost.py", *rest)
    for rest in (
        ("seconds * IMAGES / 3600", "seconds * IMAGES / 60", HOURS),
        ("hours(seconds) * ratio", "hours(seconds) / ratio", HOURS),
        ("hours(there * count)", "hours(there)", HOURS),
        ("[value / batch for value", "[value for value", COUNTS),
        ("return network.evaluations", "return network.evaluations + 1", COUNTS),
        ("steps=steps)", "steps=steps + 1)", COUNTS),
        ("CLOCKS[clock])", 'CLOCKS["wall"])', COUNTS),
        ('"layers": 2', '"layers": 1', NETWORK + "[256]"),
        ("(128, 256, 256, 256), attention=(1,)", "(128, 256, 256, 256), attention=(2,)", NETWORK + "[32]"),
        ("512, 512), attention=(4,)", "512, 512)", NETWORK + "[256]"),
        (
            "sum(recorder.operations.values())",
            "max(recorder.operations.values())",
            TEST + "the_operations_are_those_of_the_workload_with_one_image",
        ),
    )
)
