"""Known mistakes in the benchmark of processes: (file, exact old text, new text, test that must fail)."""

TEST = "tests/benchmarks/test_processes.py::test_"
TABLE = TEST + "the_table_has_the_speed_over_one_process_without_shards_and_the_efficiency_over_one_with_as_many"
EXCHANGE = TEST + "the_exchange_is_compared_with_the_gradient_by_rounds_and_images"

MUTANTS = tuple(
    ("benchmarks/processes.py", *rest)
    for rest in (
        ("/ (count * median)", "/ median", TABLE),
        ("report, entry, entry['shards'])", "report, entry, 1)", TABLE),
        ('parts["exchange"] / rounds', 'parts["exchange"]', EXCHANGE),
        ('parts["gradient"] * entry["processes"]', 'parts["gradient"]', EXCHANGE),
        ("        team.comm.Barrier()\n", "", TEST + "the_barrier_divides_waiting_from_the_exchange"),
    )
)
