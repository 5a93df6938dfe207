"""Known mistakes in the handling of incomplete or wrong ports: (file, exact old text, new text, test that must fail)."""

PORTS, TRACE = "tests/accelerated/test_ports.py::test_", "tests/accelerated/test_trace.py::test_"
BENCHMARKS = "tests/benchmarks/test_command_line.py::test_a_lacking_port_is_not_timed_and_a_wrong_or_failing_one_exits_1"
RESTORATION = "benchmarks/workloads/restoration.py"
NETWORKS, WORKLOADS = "benchmarks/workloads/networks.py", "tests/benchmarks/test_workloads.py::test_"
COEFFICIENTS = WORKLOADS + "the_coefficients_for_peers_give_the_samples_of_the_guided_solver"
LABELS = WORKLOADS + "a_step_with_classes_"
RESTORED = WORKLOADS + "the_coefficients_and_steps_for_peers_give_the_restored_samples"
SUITE, ERRATA = "tests/meta/test_conformance.py::test_", "tests/reference/test_errata.py::test_"
EDGE = SUITE + "a_stride_2_edge_fault_is_reported_on_an_image_with_an_interior"
PARTLY = TRACE + "a_port_that_lacks_ops_is_traced_on_its_own_ones_and_an_op_that_raises_differs"

MUTANTS = (
    (
        "accelerated/__init__.py",
        "ops if name in self.missing_ops else self.port",
        "ops if name in _contract() else self.port",
        PORTS + "what_a_completed_port_has_is_its_own_and_a_checkpoint_names_both",
    ),
    (
        "accelerated/__init__.py",
        'if missing_ops(port) and has_hook(port, "to_device"):',
        "if False:",
        PORTS + "a_port_of_a_device_that_lacks_ops_is_refused_in_one_sentence",
    ),
    (
        "accelerated/__main__.py",
        "if missing := accelerated.missing_ops(module):",
        "if missing := accelerated.missing_ops(whole):",
        PORTS + "ops_that_a_port_lacks_are_the_references_and_named_in_one_line[command1]",
    ),
    (
        "accelerated/gpu/device.py",
        "pip install -e '.[gpu]'",
        "pip install 'diffusion-from-scratch[gpu]'",
        PORTS + "the_hint_for_a_gpu_names_this_checkout_and_no_package_of_an_index",
    ),
    ("accelerated/commands/trace.py", "    for call in compared:", "    for call in tracer.calls:", PARTLY),
    ("accelerated/commands/trace.py", '[*tracer.uncalled_ops(), "other sizes"]', '["other sizes"]', PARTLY),
    ("accelerated/trace.py", "port {error.got}, reference {error.exact}", "port {error.exact}, reference {error.got}", PARTLY),
    ("benchmarks/__main__.py", "int(bool(wrong))", "0", BENCHMARKS + "[wrong]"),
    (
        "benchmarks/measure.py",
        "(accelerated.load_port(implementation)) if name in called]",
        "(accelerated.load_port(implementation))]",
        BENCHMARKS + "[lacking]",
    ),
    (
        "benchmarks/measure.py",
        '"not_timed" in entry and not entry.keys() & {"estimate", "lacks"}',
        '"error_over_tolerance" in entry',
        BENCHMARKS + "[raising]",
    ),
    (NETWORKS, "h / (2 * h_before)", "h / h_before", COEFFICIENTS),
    (NETWORKS, "fixed_labels(model, labels, self.guidance)", "fixed_labels(model, labels)", COEFFICIENTS),
    (RESTORATION, "(self.factor * self.noise) ** 2", "self.noise**2", RESTORED + "[unet32-pigdm]"),
    (
        RESTORATION,
        "return [self.operator.V(noise.reshape(self.batch, -1)) for noise in super().noises()]",
        "return super().noises()",
        RESTORED + "[unet32-ddrm]",
    ),
    (NETWORKS, "dropout = 0.1 if", "dropout = 0.0 if", LABELS + "drops_a_tenth_of_the_labels"),
    (
        NETWORKS,
        "self.data(dtype), self.labels(self.examples),",
        "self.data(dtype), 0 * self.labels(self.examples),",
        LABELS + "trains_on_the_labels_that_peers_get",
    ),
    (
        "tests/conformance/conftest.py",
        ', getattr(item.function, "is_hypothesis_test", False)',
        "",
        EDGE + "[test_ops and conv2d-unequal_sides]",
    ),
    (
        "reference/conformance/op_sizes.py",
        "OneOf((3, 4, 5, 6, 7, 8, 9, 1, 2))",
        "SIZE",
        EDGE + "[results_are and conv2d and not backward and float32-results_are]",
    ),
    (
        "tests/conformance/conftest.py",
        'filterwarnings("default", OURS)',
        'filterwarnings("default")',
        SUITE + "warnings_fail_a_test_if_they_come_from_this_project",
    ),
    (
        "tests/conformance/conftest.py",
        "        if not port.builtin:",
        "        if port.builtin:",
        SUITE + "warnings_fail_a_test_if_they_come_from_this_project",
    ),
    (
        "tests/conformance/conftest.py",
        "[*filter(tried, here), *others]",
        "[*here, *others]",
        SUITE + "tests_of_missing_ops_are_deselected_and_the_ops_listed_in_one_line",
    ),
    (
        "reference/conformance/suite.py",
        "broken.setdefault(result.check, set()).add(result.blamed)",
        "broken[result.check] = {result.blamed}",
        SUITE + "broken_calling_rules_are_reported_with_their_ops",
    ),
    (
        "reference/commands/errata.py",
        "return int(bool(wrong))",
        "return 0",
        ERRATA + "the_errata_command_fails_and_names_the_wrong_number",
    ),
    (
        "reference/tutorial/errata/erratum.py",
        "max(self.tolerance, half_a_unit)",
        "max(self.tolerance, 0.01)",
        ERRATA + "only_the_right_number_passes_the_errata_check[E6]",
    ),
)
