"""The conformance suite as a list of cases: every check of checks.py, calling_rules.py and, on
request, large_sizes.py, for the ops that a port has.

    results = run(port, number_cases(port, draws=20))
    print(*summary(results, port.missing_ops), sep="\n")

``pytest tests/conformance`` calls the same checks with inputs that Hypothesis draws.
"""

import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from reference.conformance import (
    calling_rules,
    checks,
    large_sizes,
    random_numbers,
    special_values,
)
from reference.conformance.call import IN_PLACE_ARGUMENTS, describe
from reference.conformance.contract import OPS
from reference.conformance.op_sizes import OFFSETS, SCALES, SeededDraw, draw_arguments

NUMBERS, RULES = "numbers", "calling rules"
DTYPES = (np.float32, np.float64)
UNIT, MANY = ((1.0,), (0.0,)), (SCALES, OFFSETS)  # scales and offsets of drawn arguments


class Case(NamedTuple):
    """One call of a check.  ``subject`` is the op, or the whole computation, that it checks;
    ``run(port)`` returns mismatches or raises AssertionError.  A check of several ``ops`` runs if
    the port has at least one of them.
    """

    subject: str
    kind: str  # NUMBERS or RULES
    check: str
    dtype: str
    run: Callable
    ops: tuple = ()


@dataclass
class Result:
    """All cases of one subject, check and dtype.

    ``error_over_tolerance`` is the largest of all cases, None for a check without numbers.
    ``blamed`` is the op that the message of a failure names, else the subject; None if it passed.
    """

    op: str
    kind: str
    check: str
    dtype: str
    error_over_tolerance: float | None = None
    verdict: str = "passed"  # passed, failed, missing or known
    message: str = ""
    blamed: str | None = None

    def row(self):
        """The result as JSON takes it; an infinite error is null."""
        ratio = self.error_over_tolerance
        return {
            "op": self.op,
            "check": self.check,
            "dtype": self.dtype,
            "error_over_tolerance": ratio if ratio is not None and math.isfinite(ratio) else None,
            "verdict": self.verdict,
            "message": self.message,
        }


def check_name(function):
    """The name of a check in reports: the name of its function, in words."""
    return function.__name__.replace("_", " ")


def case(kind, function, subject, dtype, *arguments):
    """The case of ``function(port, *arguments)``."""
    ops = SEVERAL_OPS.get(function, (subject,))
    if function is checks.group_norm_of_many_sizes:  # of two ops, each with its backward
        ops = subject, f"{subject}_backward"
    run = lambda port: function(port, *arguments)
    return Case(subject, kind, check_name(function), np.dtype(dtype).name, run, ops)


def _drawn(kind, function, name, dtype, number, scales_and_offsets, *more):
    """A case with drawn arguments: always the same ones for the same number."""

    def run(port):
        draw = SeededDraw([number, *name.encode()])
        arguments = draw_arguments(draw, name, dtype, *scales_and_offsets)
        return function(port, name, arguments, *more)

    return Case(name, kind, check_name(function), np.dtype(dtype).name, run)


SEVERAL_OPS = {
    checks.linear_of_many_sizes: ("linear", "linear_backward"),
    checks.conv2d_with_unequal_sides_and_channels: ("conv2d", "conv2d_backward"),
    checks.conv2d_of_many_sizes: ("conv2d", "conv2d_backward"),
    checks.attention_of_many_sizes: ("attention", "attention_backward"),
    special_values.masked_keys_may_hold_anything_and_attention_is_that_over_the_others: (
        "attention",
        "attention_backward",
    ),
    checks.fokker_planck_steps_of_many_cells_some_without_diffusion: (
        "fokker_planck_step",
        "fokker_planck_step_2d",
    ),
}


def number_cases(port, draws):
    """The cases of checks.py for the ops that a port has, with ``draws`` drawn inputs an op, check
    and dtype.  Fixed sizes come first: their failures are easier to read.
    """
    cases = []
    for one in _fixed_cases():
        ops = [op for op in one.ops if op not in port.missing_ops]
        cases += [one._replace(subject=ops[0])] if ops else []
    for name in OPS:
        if name in port.missing_ops:
            continue
        for number in range(draws):
            for function, dtypes, scales_and_offsets in _drawn_checks(name):
                for dtype in dtypes:
                    cases.append(_drawn(NUMBERS, function, name, dtype, number, scales_and_offsets))
    return cases


def _drawn_checks(name):
    """(check, dtypes, scales and offsets) of checks with drawn arguments."""
    yield checks.results_are_within_tolerance, DTYPES, MANY
    if name in checks.PRODUCTS:
        yield checks.product_of_small_integers_is_exact, DTYPES, UNIT
        sharper = checks.product_of_zero_mean_data_is_within_the_sharper_tolerance
        yield sharper, DTYPES[:1], UNIT
        textbook = checks.product_of_data_of_one_sign_is_within_the_textbook_bound
        yield textbook, DTYPES[:1], UNIT


def _fixed_cases():
    """The cases of checks.py with fixed sizes, for all ops."""
    float32, float64 = DTYPES
    exists = checks.op_exists_with_the_argument_names_and_order_of_the_contract
    number = lambda function, subject, dtype, *sizes: case(
        NUMBERS, function, subject, dtype, *sizes
    )
    for name in OPS:
        yield number(exists, name, float64, name)
    for dtype in DTYPES:
        yield from _fixed_cases_of_sizes(number, dtype)
        yield from _fixed_cases_of_values(number, dtype)
    for seed in range(4):
        yield number(checks.linear_is_the_sum_of_exact_products, "linear", float64, seed)
        stride = 1 + seed % 2
        yield number(checks.conv2d_is_the_sum_of_exact_products, "conv2d", float64, seed, stride)
        index = 2**64 - 1 - seed, 2**32 - 1 - 7 * seed, 3 * seed
        for function, dtype in (
            (random_numbers.float32_normals_are_within_one_rounding_of_the_exact_values, float32),
            (random_numbers.float64_normals_are_within_four_roundings_of_the_radius, float64),
        ):
            yield number(function, "normal", dtype, *index)
    for row in random_numbers.PUBLISHED_BITS:
        yield number(
            random_numbers.philox_bits_equal_the_published_ones, "philox_bits", np.uint32, *row
        )


def _fixed_cases_of_sizes(number, dtype):
    for sizes in checks.LINEAR_SIZES:
        yield number(checks.linear_of_many_sizes, "linear", dtype, *sizes, dtype)
    unequal = checks.conv2d_with_unequal_sides_and_channels
    for sides, stride, k, add in product(checks.CONV_SIDES, (1, 2), (1, 3), checks.CONV_ADDS):
        yield number(unequal, "conv2d", dtype, *sides, stride, k, add, dtype)
    for sizes, k, stride in product(checks.CONV_SIZES, (1, 3), (1, 2)):
        yield number(checks.conv2d_of_many_sizes, "conv2d", dtype, *sizes, k, stride, dtype)
    for name, sizes in product(("group_norm", "group_norm_silu"), checks.NORM_SIZES):
        yield number(checks.group_norm_of_many_sizes, name, dtype, name, *sizes, dtype)
    for sizes in checks.ATTENTION_SIZES:
        yield number(checks.attention_of_many_sizes, "attention", dtype, *sizes, dtype)
    for name in checks.ELEMENTWISE:
        yield number(checks.arrays_of_many_blocks, name, dtype, name, dtype)
    for name, sizes in product(("mixture_log_density", "mixture_score"), checks.MIXTURE_SIZES):
        yield number(checks.mixtures_of_many_sizes, name, dtype, name, *sizes, dtype)
    many_cells = checks.fokker_planck_steps_of_many_cells_some_without_diffusion
    for periodic in (False, True):
        yield number(many_cells, "fokker_planck_step", dtype, periodic, dtype)


def _fixed_cases_of_values(number, dtype):
    logits = special_values.logits_of_ten_thousand_in_one_row_or_in_all_rows
    constant = special_values.group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient
    large = special_values.group_norm_of_entries_up_to_half_the_largest_number
    far = special_values.mixture_at_overflowing_distance_has_density_0_and_nan_score
    batches = random_numbers.noise_has_the_same_bits_in_a_batch_of_eight_and_alone
    keys = random_numbers.key_as_noise_gives_the_normals_of_the_port
    mixtures = "mixture_log_density", "mixture_score"
    any_key = special_values.masked_keys_may_hold_anything_and_attention_is_that_over_the_others
    for counting in special_values.MASKS:
        yield number(any_key, "attention", dtype, counting, dtype)
    for name, rows in product(special_values.WITH_LOGITS, (1, 3)):
        yield number(logits, name, dtype, name, rows, dtype)
    for name in special_values.SILUS:
        for start in special_values.SILU_STARTS:
            yield number(special_values.silu_on_a_wide_grid, name, dtype, name, start, dtype)
        yield number(
            special_values.silu_of_the_largest_and_smallest_floats, name, dtype, name, dtype
        )
    for step in (1, 1000):
        yield number(
            special_values.adam_with_gradients_of_every_size, "adam_step_", dtype, step, dtype
        )
    for sizes, value in product(special_values.CONSTANT_SIZES, special_values.CONSTANTS):
        yield number(constant, "group_norm", dtype, *sizes, value, dtype)
    for name, size in product(("group_norm", "group_norm_silu"), special_values.LARGE[dtype]):
        yield number(large, name, dtype, name, dtype, size)
    yield number(special_values.softmax_of_the_largest_and_smallest_floats, "softmax", dtype, dtype)
    for name in ("cross_entropy", "cross_entropy_backward"):
        extreme = special_values.cross_entropy_of_the_largest_and_smallest_floats
        yield number(extreme, name, dtype, name, dtype)
    for name, d, scalar in product(mixtures, (1, 2, 3), (True, False)):
        yield number(far, name, dtype, name, d, scalar, dtype)
    for name, shape in product(random_numbers.NOISE_OPS, random_numbers.NOISE_SHAPES):
        yield number(batches, name, dtype, name, shape, dtype)
    for name in ("add_noise", "reverse_step"):
        yield number(keys, name, dtype, name, dtype)


NO_VARIANTS: tuple = ((),)
LAYOUTS = tuple((layout,) for layout in calling_rules.LAYOUTS)
OUT_LAYOUTS = tuple((layout,) for layout in calling_rules.OUT_LAYOUTS)
DRAWN_RULES: tuple = (  # (check, ops, variants: the further arguments of the check)
    (calling_rules.memory_layout_of_any_argument_does_not_matter, OPS, LAYOUTS),
    (calling_rules.arguments_are_not_modified, OPS, NO_VARIANTS),
    (
        calling_rules.two_calls_return_separate_memory,
        calling_rules.RETURNING,
        NO_VARIANTS,
    ),
    (calling_rules.out_is_filled_and_returned, calling_rules.RETURNING, OUT_LAYOUTS),
    (
        calling_rules.out_with_another_dtype_or_shape_is_refused,
        calling_rules.RETURNING,
        NO_VARIANTS,
    ),
    (
        calling_rules.out_for_several_results_must_be_a_tuple_of_that_length,
        calling_rules.SEVERAL_RESULTS,
        NO_VARIANTS,
    ),
    (calling_rules.wrong_type_of_any_array_is_a_type_error, OPS, NO_VARIANTS),
    (calling_rules.read_only_target_is_a_value_error, IN_PLACE_ARGUMENTS, NO_VARIANTS),
    (
        calling_rules.list_for_an_array_is_a_type_error_that_names_the_argument,
        OPS,
        NO_VARIANTS,
    ),
    (
        calling_rules.wrong_number_of_axes_is_a_value_error_that_names_the_argument,
        OPS,
        NO_VARIANTS,
    ),
    (calling_rules.mismatched_sizes_are_a_value_error, OPS, NO_VARIANTS),
    (
        calling_rules.empty_batch_has_empty_results_and_no_gradient,
        calling_rules.BATCHED_BUT_LOSSES,
        NO_VARIANTS,
    ),
    (calling_rules.losses_refuse_an_empty_batch, calling_rules.LOSSES, NO_VARIANTS),
    (
        calling_rules.the_first_sample_alone_has_the_same_result_as_in_a_batch,
        calling_rules.BATCHED,
        NO_VARIANTS,
    ),
    (
        calling_rules.non_finite_input_makes_only_its_own_sample_non_finite,
        calling_rules.BATCHED,
        ((np.nan,), (np.inf,)),
    ),
)


def rule_cases(port, draws):
    """The cases of calling_rules.py for the ops that a port has, with ``draws`` drawn inputs an op
    and rule.
    """
    cases = []
    of_dtype = calling_rules.dtype_in_is_dtype_out
    of_coefficients = calling_rules.wrong_number_of_coefficients_is_a_value_error_that_names_them
    of_dots = calling_rules.axes_written_as_dots_must_agree_between_arguments
    for number in range(draws):
        for name, dtype in product(OPS, DTYPES):
            cases.append(_drawn(RULES, of_dtype, name, dtype, number, UNIT))
        for function, names, variants in DRAWN_RULES:
            for name, more in product(names, variants):
                cases.append(_drawn(RULES, function, name, np.float64, number, UNIT, *more))
    for name, word in calling_rules.COEFFICIENTS:
        cases.append(case(RULES, of_coefficients, name, np.float64, name, word))
    for name in calling_rules.SEVERAL_DOTS:
        cases.append(case(RULES, of_dots, name, np.float64, name))
    return [case for case in cases if case.subject not in port.missing_ops]


def large_cases(port):
    """The cases of large_sizes.py for the ops that a port has."""
    cases = []
    of_sizes = large_sizes.results_at_large_sizes_are_within_tolerance
    of_calls = large_sizes.op_calls_of_networks_at_default_sizes_are_within_tolerance
    of_entries = large_sizes.repeated_samples_beyond_2_to_the_24_entries_repeat_the_results
    for name, dtype in product(OPS, DTYPES):
        for number in large_sizes.cases(name):
            cases.append(case(NUMBERS, of_sizes, name, dtype, name, number, dtype))
        if name in large_sizes.CALLED:
            cases.append(case(NUMBERS, of_calls, name, dtype, name, dtype))
    for name in large_sizes.WITH_MANY_ENTRIES:
        cases.append(case(NUMBERS, of_entries, name, np.float32, name))
    return [case for case in cases if case.subject not in port.missing_ops]


def all_cases():
    """The cases of a port that lacks no op."""
    port = SimpleNamespace(missing_ops=[])
    return number_cases(port, 1) + rule_cases(port, 1) + large_cases(port)


def run(port, cases: Iterable[Case]) -> list[Result]:
    """A result for every subject, check and dtype.  After a failure its further cases are left
    out.

    A check of an op that also calls its backward counts for both.
    """
    results: dict = {}
    for one in cases:
        if _result(results, one, one.subject).verdict == "failed":
            continue
        for mismatch in _run_case(port, one, results):
            other = _result(results, one, mismatch.op)
            ratio = float(mismatch.ratio)
            if other.verdict != "failed":
                other.error_over_tolerance = max(other.error_over_tolerance or 0.0, ratio)
    return list(results.values())


def _result(results, one, op):
    """The result of a case for an op that it calls: a whole computation has one result."""
    subject = op if one.subject in OPS else one.subject
    made = Result(subject, one.kind, one.check, one.dtype)
    return results.setdefault((subject, one.check, one.dtype), made)


def _run_case(port, one, results):
    """The mismatches of one case.  If it fails there are none, and the result of the blamed op has
    the message.
    """
    port.last_call = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [mismatch for mismatch in one.run(port) or () if mismatch is not None]
    except Exception as error:  # a port under development may raise any
        message, mismatch = str(error), getattr(error, "mismatch", None)
        if mismatch is None and not (isinstance(error, AssertionError) and blamed_op(message)):
            op, arguments = port.last_call or (one.subject, ())
            call = f"; {describe(op, arguments)}" if arguments else ""
            message = f"{op}: raises {type(error).__name__}: {error}{call}"
    blamed = blamed_op(message, one.subject)
    result = _result(results, one, blamed)
    if result.verdict != "failed":
        result.verdict, result.message, result.blamed = "failed", message, blamed
        result.error_over_tolerance = None if mismatch is None else float(mismatch.ratio)
    return []


def blamed_op(message, subject=None):
    """The op that a failure message begins with, else the subject of the check."""
    found = re.match(r"(\w+): ", message)
    return found[1] if found and found[1] in OPS else subject


def worst_result(results):
    """The result to show for an op: a failure, else that with the largest error."""
    order = {"missing": 0, "passed": 0, "known": 1, "failed": 2}
    ratio = lambda one: -1.0 if one.error_over_tolerance is None else one.error_over_tolerance
    return max(results, key=lambda one: (order[one.verdict], ratio(one)))


def summary(results, missing, chosen=OPS):
    """The last three lines of a report: numbers, calling rules, missing ops.

    ``chosen``: the ops that were to be checked.  ``results`` have ``kind``, ``check``, ``op`` and
    ``blamed``, which is None for a passed check.
    """
    numbers = [result for result in results if result.kind == NUMBERS]
    rules = [result for result in results if result.kind == RULES]
    return (
        f"numbers: {_numbers_line(numbers)}",
        f"calling rules: {_rules_line(rules)}",
        f"missing: {len(missing)} of {len(chosen)} ops" + _listed(": ", missing),
    )


def _numbers_line(results):
    wrong = {result.blamed for result in results if result.blamed}
    ops = {result.op for result in results if result.op in OPS} | (wrong & {*OPS})
    whole = {result.op for result in results if result.op not in OPS}
    right = whole - {result.op for result in results if result.blamed}
    right_ops = f"{len(ops - wrong)} of {len(ops)} ops"
    right_whole = f" and {len(right)} of {len(whole)} whole computations" if whole else ""
    agree = f"{right_ops}{right_whole} that were tried agree with the reference"
    return agree + _listed("; wrong: ", sorted(wrong & {*OPS} or wrong))


def _rules_line(results):
    tried: set = {result.check for result in results}
    broken: dict = {}
    for result in results:
        if result.blamed:
            broken.setdefault(result.check, set()).add(result.blamed)
    rows = sorted(f"{check} ({', '.join(sorted(ops))})" for check, ops in broken.items())
    kept = f"{len(tried) - len(broken)} of {len(tried)} that were tried are kept"
    return kept + _listed("; broken: ", rows)


def _listed(before, names):
    return before + ", ".join(names) if names else ""
