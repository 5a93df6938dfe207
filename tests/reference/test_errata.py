"""The tutorial's misprints: every row exists, and its two numbers equal an independent calculation."""

import re
from pathlib import Path

import numpy as np
import pytest

import reference
from reference.commands.cli import main
from reference.tutorial.errata import ERRATA, LEFT_OUT, chapters_1_to_3, chapters_4_and_5
from tests.meta.mutants_errata import NOT_TYPED, TYPED
from tests.meta.test_mutants import MUTANTS
from tests.oracle_tolerances import LINEAR_ALGEBRA, QUADRATURE, assert_close, assert_printed, z_score

MISPRINTS = (
    "E1 E2 E2b E2c E2d E2e E3 E4 E4b E4c E5 E6 E6b E6c E7 E8 E9 E10 E10b E10c E10d E10e E10f E11 E11b E11c E12 E12b E12c "
    "E13 E13b E13c E13d E14 E14b E14c E15 E15b E15c E15d E15e E15f E16 E17 E18 E19 E20"
).split()
NUMBERS = [row.number for row in ERRATA]
REVERSED = (1 - 0.05 / 2) ** 2 / 0.95  # factor of the variance of N(0, 1) in one printed reverse step
log = np.log
HALF_LOG = log(2 * np.pi) / 2


def chain():
    """-ELBO of x_0 = 1 under p(x_{t-1} | x_t) = N(x_t/2, 1/4), q with beta = 1/2, by the algebra of Gaussians: (printed, correct).

    x_1 ~ N(sqrt(1/2), 1/2) and x_2 ~ N(1/2, 3/4) with covariance sqrt(1/2)/2; the printed expectation treats them as independent.
    """
    root = 0.5**0.5
    square = lambda mean, variance: (mean**2 + variance) / 0.25 / 2 + log(2 * np.pi * 0.25) / 2
    reconstruction = square(1 - root / 2, 0.5 / 4)
    prior = (-1 - log(0.5) + (0.25 + 0.75)) / 2
    entropy = -(1 + log(2 * np.pi * 0.5)) / 2
    middle = lambda covariance: square(root - 0.25, 0.5 + 0.75 / 4 - covariance)
    return tuple(reconstruction + prior + entropy + middle(covariance) for covariance in (0.0, root / 2))


EXACT_VALUES = {  # by hand
    "Ex 1.6": (-HALF_LOG - 1, -HALF_LOG - 1 / 2 - 5e-9),
    "Thm 1.4, (1.35)": (
        -2.5 - log(0.5) + (1.25 - 1 + 2 * log(2)) / 2 + 1.6 + log(1.25) / 2,
        -2.5 - log(0.5) - (0.25 + 2 * log(2)) / 2 + 1.6 + log(1.25) / 2,
    ),
    "(1.34)": ((0.75 - 3 + 2 * log(2)) / 2, (0.75 - 3 + 6 * log(2)) / 2),
    "Ex 1.3": (1 / 2, 1.0),
    "Ex 1.5": (-0.06 - HALF_LOG + log(2), -0.06 - 3 * HALF_LOG + 3 * log(2)),
    "(1.15), Ex 1.8": (0.0, 1.0),
    "Thm 2.3, (2.14)": chain(),
    "(2.28)": (np.e**0.5, np.e**-0.5),
    "training algorithm, p. 36": (0.97**50, 0.97**25),
    "noise loss (version 1)": (  # 1/2 (1-a)^2 A' / (1-A)^2 / sigma_q^2, and the rate of SNRs
        0.03 * 0.97**49 / (1 - 0.97**50) / (1 - 0.97**49) / 2,
        (0.97**49 / (1 - 0.97**49) / (0.97**50 / (1 - 0.97**50)) - 1) / 2,
    ),
    "Thm 2.7, (2.44)": (np.inf, (0.01 / 0.03 + log(2 * np.pi * 0.03)) / 2),
    "Sec. 2.6": (0.97**0.5, 0.97**25),
    "Thm 2.8": (1.0, 4.0 + 1e-12),
    "(3.11)": (0.5, -0.5),
    "Thm 3.4": (-1.0, -0.5),
    "(3.5)": (0.5, 1.0),
    "(4.17), Ex 4.7": ((REVERSED**100 - 1) / (REVERSED - 1) * 0.05 + REVERSED**100, 1.0),
    "corrector for score matching, p. 64": (0.1 / 0.19, 0.2 / 0.19),
    "Algorithm 1": (0.0, 0.9),
    "after (4.21)": (3 / 4, 3 / 16),
    "Ex 4.3, Ex 4.4": (0.04 / 3, 0.01),
    "Sec. 4.2, 5.1": (0.01, 1.0),
    "(4.3)": (np.e**-0.5, 2 * np.e**-0.5),
    "Runge-Kutta, Sec. 4.4": (2 / 3, 0.0),
    "(5.34)": (1.0 - 1e-9, 2.0 - 2e-9),  # to first order in gamma = 1e-9
    "Thm 5.8, proof": (64.0, 5 / 7),  # 15/720 over 3/24 105/40320, and 15^2 over 3 105
    "Thm 5.9": (1.0, 0.5),
    "Ex 5.4": (-1.0, -2.0),
    "Sec. 5.2, p. 76": (2.0, (1 - np.e**-4) / 2),
    "p. 85": (1.0, -1.0),
    "remark, p. 63": (-0.5, -1.0),
}
PRINTED_VALUES = {  # to the digits of a grid or of the literature
    "Thm 5.7": (".39894", "-.39893"),  # 1/sqrt(2 pi), less dx^2/4 = 2.5e-5 of it for the second difference
    "(5.44)": ("0", ".2420"),  # x p(x) at 1
    "Ex 5.7": (".8547", ".6065"),  # e^{W(1) - W(0)}, e^{-1/2}
    "Thm 2.5, (2.26)": (".609", ".991"),
    "p. 30, Fig 2.9": ("1", ".9878"),
    "Sec. 3.3": ("1.67", "1.38"),  # 1.36 / (1 - a / (4 1.36)) for a = 0.2 0.36
}


@pytest.mark.parametrize("row", [row for row in ERRATA if row.where in EXACT_VALUES], ids=lambda row: row.number)
def test_both_numbers_of_a_row_equal_a_calculation_by_hand(row):
    for actual, expected in zip(row.values(), EXACT_VALUES[row.where]):
        if np.isinf(expected):
            assert actual == expected
        else:
            assert_close(actual, expected, max(QUADRATURE, LINEAR_ALGEBRA), 10.0)
    assert_printed(EXACT_VALUES[row.where][1], row.expected)


@pytest.mark.parametrize("row", [row for row in ERRATA if row.where in PRINTED_VALUES], ids=lambda row: row.number)
def test_both_numbers_of_a_row_equal_known_values(row):
    for actual, printed in zip(row.values(), PRINTED_VALUES[row.where]):
        assert_printed(actual, printed)
    assert row.expected == PRINTED_VALUES[row.where][1]


def values(number):
    return row_of(number).values()


def row_of(number):
    (row,) = (row for row in ERRATA if row.number == number)
    return row


def test_unit_noise_in_sgld_inflates_the_variance_tenfold():
    """E8: 1 / (1 - .95^2), and .1 of that for 40,000 particles, with a variance known to sqrt(2 / 40,000)."""
    printed, corrected = values("E8")
    assert_close(printed, 1 / (1 - 0.9025), QUADRATURE)
    chance = z_score() * (2 / 40_000) ** 0.5 * 0.1 / (1 - 0.9025)
    assert_close(corrected, 0.1 / (1 - 0.9025), chance, 1.0)
    assert_printed(0.1 / (1 - 0.9025), row_of("E8").expected)
    assert_printed(chance, str(row_of("E8").tolerance))


def test_a_hundred_steps_leave_too_much_weight_in_the_wide_mode():
    """E9: .6318 by a transition operator on a grid (tests/reference/test_langevin.py), compared with 10,000 particles."""
    printed, corrected = values("E9")
    deviation = (0.6318 * 0.3682 / 10_000) ** 0.5
    assert_printed(printed, ".600")
    assert abs(corrected - 0.6318) < z_score() * deviation and corrected - printed > z_score() * deviation
    assert row_of("E9").expected == ".6318"
    assert_printed(z_score() * deviation, str(row_of("E9").tolerance))


def test_gradient_ascent_raises_the_density_and_descent_lowers_it():
    """E19: from log p(0) = log 1.60596e-4, by an independent loop."""
    from scipy.stats import norm

    density = lambda x: 0.6 * norm.pdf(x, 2, 0.5) + 0.4 * norm.pdf(x, -2, 0.2)
    score = lambda x: (0.6 * norm.pdf(x, 2, 0.5) * (2 - x) / 0.25 + 0.4 * norm.pdf(x, -2, 0.2) * (-2 - x) / 0.04) / density(x)
    for sign, actual in zip((-1, 1), values("E19")):
        x = 0.0
        for _ in range(10):
            x += sign * 0.01 * score(x)
        assert_close(actual, log(density(x)), QUADRATURE, 100.0)
    printed, corrected = values("E19")
    assert printed < log(1.60596271e-4) < corrected
    assert_printed(log(density(x)), row_of("E19").expected)


def test_every_row_of_the_errata_is_compared_with_numbers():
    held = {*EXACT_VALUES, *PRINTED_VALUES} | {row.where for row in ERRATA if row.number in ("E8", "E9", "E19")}
    assert {row.where for row in ERRATA} == held


@pytest.mark.parametrize("row", ERRATA, ids=lambda row: row.number)
def test_the_two_numbers_of_a_row_differ_clearly(row):
    printed, corrected = row.values()
    assert np.isfinite(corrected) and f"{printed:.2g}" != f"{corrected:.2g}" and row.printed != row.corrected


def test_every_number_stands_once_and_in_order():
    assert [number for number in MISPRINTS if number in NUMBERS] == NUMBERS
    assert [number for number in MISPRINTS if number in LEFT_OUT] == [*LEFT_OUT]
    key = lambda number: (int(re.findall(r"\d+", number)[0]), number)
    assert sorted({*NUMBERS, *LEFT_OUT}, key=key) == MISPRINTS and len(NUMBERS) + len(LEFT_OUT) == len(MISPRINTS)
    for rows in (chapters_1_to_3.ROWS, chapters_4_and_5.ROWS):
        assert [row.number for row in rows] == sorted((row.number for row in rows), key=key)


def test_every_misprint_has_a_row_or_a_reason():
    assert sorted({*NUMBERS, *LEFT_OUT}) == sorted(MISPRINTS) and not {*NUMBERS} & {*LEFT_OUT}
    assert all(LEFT_OUT.values())


def test_every_erratum_that_the_code_cites_exists():
    for path in Path(reference.__file__).parent.rglob("*.py"):
        assert {*re.findall(r"\b(E\d+[a-f]?)\b", path.read_text(encoding="utf-8"))} <= {*MISPRINTS}, path


def test_every_misprint_that_can_be_typed_is_a_mutant():
    assert {*TYPED} | {*NOT_TYPED} == {*NUMBERS} and not {*TYPED} & {*NOT_TYPED}
    mutants = {(file, new) for file, _, new, _ in MUTANTS}
    for number, mutant in TYPED.items():
        assert mutant in mutants, f"{number}: no mutant {mutant}"


def test_the_errata_command_prints_every_row_by_number(capsys):
    assert main(["errata"]) == 0
    lines = capsys.readouterr().out.splitlines()
    begun = [line.split()[0] for line in lines if re.match(r"E\d", line)]
    assert begun == [*NUMBERS, *LEFT_OUT]
    assert sum("as printed" in line and "as corrected" in line for line in lines) == len(ERRATA)


def test_the_errata_command_fails_and_names_the_wrong_number(capsys, monkeypatch):
    from reference.diffusion.schedules import Schedule

    right = Schedule.signal
    monkeypatch.setattr(Schedule, "signal", lambda self, t: 1.001 * right(self, t))
    assert main(["errata"]) == 1
    captured = capsys.readouterr()
    assert (
        captured.err.startswith("python -m reference errata: the code no longer gives the correct number for ") and "E6 (" in captured.err
    )
    wrong = [line for line in captured.out.splitlines() if "WRONG" in line]
    assert any(line.endswith("0.4674417 by this code, WRONG: it should be .466975") for line in wrong)
    assert not any("as corrected" in line for line in wrong) and "E1 (" not in captured.err


@pytest.mark.parametrize("row", ERRATA, ids=lambda row: row.number)
def test_only_the_right_number_passes_the_errata_check(row):
    printed, corrected = row.values()
    away = max(row.tolerance, 10.0 ** -len(row.expected.partition(".")[2]))
    assert row.holds(corrected) and not row.holds(printed) and not row.holds(float("nan"))
    assert not row.holds(float(row.expected) + 1.01 * away) and not row.holds(float(row.expected) - 1.01 * away)
