"""Known mistakes in the command ``check`` and its checks: (file, exact old text, new text, test that must fail)."""

TESTS, SUITE = "tests/accelerated/test_check.py::test_", "reference/conformance/suite.py"
FAULT, RULE = TESTS + "a_planted_fault_ends_with_exit_code_1_and_the_name_of_its_op", TESTS + "a_broken_calling_rule_ends_with_exit_code_1"
RULE += "_and_its_name"
COMMAND, RULES = "accelerated/commands/check.py", "reference/conformance/calling_rules.py"

MUTANTS = (
    # checks left out
    (SUITE, "    (calling_rules.arguments_are_not_modified, OPS, NO_VARIANTS),\n", "", TESTS + "the_command_and_pytest_make_every_check"),
    (
        SUITE,
        "                for dtype in dtypes:",
        "                for dtype in dtypes[:1]:",
        TESTS + "every_op_has_cases_of_numbers_and_rules_in_both_dtypes[False]",
    ),
    (COMMAND, "        cases += suite.large_cases(port)\n", "        pass\n", TESTS + "the_command_and_pytest_make_every_check"),
    (
        COMMAND,
        "if name in port.missing_ops or name not in arguments.ops]",
        "if name in port.missing_ops]",
        TESTS + "the_report_has_settings_versions_and_a_row_per_op_check_and_dtype",
    ),
    # verdicts and exit codes
    (SUITE, '= "failed", message, blamed', '= "passed", message, blamed', FAULT + "[wrong eps]"),
    (COMMAND, 'return int(any(result.verdict == "failed" for result in results))', "return 0", FAULT + "[wrong eps]"),
    (
        SUITE,
        "return found[1] if found and found[1] in OPS else subject",
        "return subject",
        TESTS + "a_network_on_a_faulty_op_fails_with_the_name_of_the_op",
    ),
    (
        SUITE,
        "right = whole - {result.op for result in results if result.blamed}",
        "right = whole",
        TESTS + "a_network_on_a_faulty_op_fails_with_the_name_of_the_op",
    ),
    (
        "reference/conformance/tolerances.py",
        "not mismatch.ratio <= 1:",
        "not mismatch.ratio <= np.inf:",
        TESTS + "a_failure_names_shapes_seed_and_the_worst_element_with_both_values",
    ),
    (
        "accelerated/__init__.py",
        "[] if builtin else missing_ops(port)",
        "[]",
        TESTS + "a_partial_port_passes_and_its_missing_ops_are_no_failures",
    ),
    # known exceptions
    (
        "reference/conformance/known_exceptions.py",
        "if today <= exception.until:",
        "if today >= exception.until:",
        TESTS + "an_expired_exception_fails_with_a_sentence",
    ),
    (
        "reference/conformance/known_exceptions.py",
        "        if not failed:",
        "        if failed:",
        TESTS + "exceptions_that_do_not_fail_any_more_are_named",
    ),
    (
        "reference/conformance/known_exceptions.py",
        "or not row[field].strip()",
        "",
        TESTS + "a_wrong_row_of_known_exceptions_is_refused_in_one_sentence[rows1-row 1: reason must be a text, got ' ']",
    ),
    # calling rules
    (RULES, "kept = id(array) in targets or same(array, copy)", "kept = True", RULE + "[arguments are not modified]"),
    (RULES, "not np.shares_memory(result, other)", "True", RULE + "[two calls return separate memory]"),
    (
        RULES,
        '    raise AssertionError(f"{name}: accepts arguments that need',
        '    return (f"{name}: accepts arguments that need',
        RULE + "[losses refuse an empty batch]",
    ),
    (
        RULES,
        "matches = not port.builtin or re.search(pattern, message)",
        "matches = True",
        TESTS + "error_messages_are_required_of_builtin_ports_only[True]",
    ),
)
