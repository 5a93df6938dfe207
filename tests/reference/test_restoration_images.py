"""The part on images of the experiment ``restoration``: its numbers for invented restorations, and its checks on invented numbers."""

import inspect

import numpy as np
import pytest
from scipy.stats import chi2

from reference import ops
from reference.diffusion.conversions import log_alpha_bar_of_sigma
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.plotting import subplots
from reference.restoration.dps import RULES
from reference.restoration.guided_denoisers import dmps_denoiser
from reference.restoration.operators import Mask
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.tutorial.experiments import Outcome, guided_images, restoration_images
from reference.tutorial.experiments.restoration_images import Row
from tests.oracle_tolerances import EXACT, FALSE_ALARM

SHAPE, N = (16, 16, 1), 3
OFFSETS = (0.1, 0.2)  # of the two invented samples from the truth


@pytest.fixture
def truth():
    return np.random.default_rng(0).uniform(-0.7, 0.7, (N, *SHAPE))


@pytest.fixture
def found(truth, monkeypatch):
    def restore(run, ops, operator, y, noise, method, seed, sample, steps, guidance):
        assert len(y) == len(sample) == len({*sample}) and guidance == 0  # no label
        offsets = np.repeat(OFFSETS, N)[: len(y), None, None, None]
        assert (y[:N] == y[-N:]).all()
        return np.tile(truth, (len(y) // N, 1, 1, 1)) + offsets, steps or 0

    monkeypatch.setattr(restoration_images, "restore", restore)
    monkeypatch.setattr(restoration_images, "BORDER", 2)
    operators = restoration_images.tasks(SHAPE)
    setting = {"images": N, "samples": 2, "steps": 7}
    return list(restoration_images.compare("run", truth, operators, lambda x: len(x), setting, ops))


def decibels(*offsets):
    return pytest.approx(np.mean([20 * np.log10(2 / offset) for offset in offsets]), rel=EXACT)


def test_every_task_has_a_row_for_the_truth_the_degraded_image_and_each_method(found):
    names = [row[:2] for row, _ in found]
    assert len(names) == len({*names}) == 4 * (2 + len(restoration_images.SHOWN))
    assert names[:2] == [("inpainting", "truth"), ("inpainting", "degraded")]


def test_a_sampler_is_judged_by_its_samples_and_by_their_mean(found):
    row = next(row for row, _ in found if row.method == "DDRM")
    assert row.psnr == decibels(*OFFSETS) and row.psnr_of_mean == decibels(np.mean(OFFSETS))
    assert row.accuracy == 2 * N and row.evaluations == 7


def test_an_estimate_has_one_image_and_no_mean(found):
    row = next(row for row, _ in found if row.method == "PnP-ADMM")
    assert row.psnr == decibels(OFFSETS[0]) and row.psnr_of_mean == ""
    assert row.accuracy == N and row.evaluations == 0


def test_the_truth_explains_its_measurement(truth, found):
    row = found[0][0]
    assert row.ssim == pytest.approx(1, rel=EXACT) and row.psnr == row.psnr_of_mean == ""
    outcome = Outcome()
    count = N * int(restoration_images.tasks(SHAPE)["inpainting"].measured_shape[0])
    restoration_images.check_truth(outcome, "inpainting", row.residual, count)
    assert outcome.passed


def test_the_residual_is_in_units_of_the_noise(truth):
    operator = restoration_images.tasks(SHAPE)["2x super-resolution"]
    y, offset = operator.forward(truth), np.repeat((0.1, 0.3), N)[:, None, None, None]
    expected = (0.1**2 + 0.3**2) / 2 / restoration_images.NOISE**2  # a mean of pixels keeps an offset
    assert restoration_images.residual(np.tile(truth, (2, 1, 1, 1)) + offset, operator, y) == pytest.approx(expected, rel=EXACT)


def test_the_border_does_not_count(truth):
    x = truth.copy()
    x[:, :2] = x[:, :, -2:] = 5
    x[:, 2:-2, 2:-2] += 0.1
    assert restoration_images.quality(x, truth)[0] == decibels(0.1)


@pytest.mark.parametrize("n, fewest", [(4, 0), (10, 1), (32, 3)])
def test_images_are_spread_over_the_classes(n, fewest):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 100))
    chosen = restoration_images.by_class(labels, n)
    counts = np.bincount(labels[chosen], minlength=10)
    assert len({*chosen}) == n and counts.min() == fewest and counts.max() <= fewest + 1


def test_the_hole_is_half_of_each_side_of_the_picture_and_in_its_middle():
    known = restoration_images.tasks((32, 32, 1))["inpainting"].known[2:-2, 2:-2, 0]
    assert (~known).sum() == 14**2 and not known[7:21, 7:21].any()


def row(method, psnr, ssim, of_mean):
    return Row("t", method, psnr, ssim, of_mean, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("of_mean, passes", [(21.0, True), (19.9, False)])
def test_a_mean_that_is_farther_from_the_truth_than_its_samples_fails(of_mean, passes):
    outcome = Outcome()
    restoration_images.check_means(outcome, "t", [row("a", 20.0, 0.5, 22.0), row("b", 20.0, 0.5, of_mean), row("c", 30.0, 0.5, "")])
    assert outcome.passed == passes


@pytest.mark.parametrize("ssim, passes", [(0.71, True), (0.69, False)])
def test_the_network_must_exceed_the_better_classical_method(ssim, passes):
    values = {"Wiener filter": 0.6, "total variation": 0.7, "DDRM": ssim, "DPS": 0.5, "truth": 1.0}
    outcome = Outcome()
    restoration_images.check_classical(outcome, "t", {name: row(name, 20.0, value, "") for name, value in values.items()})
    assert outcome.passed == passes


@pytest.mark.parametrize("ratio, passes", [(1.0, True), (1.2, False), (0.8, False)])
def test_noise_of_another_variance_fails(ratio, passes):
    outcome = Outcome()
    restoration_images.check_truth(outcome, "t", ratio, 2000)
    assert outcome.passed == passes


@pytest.mark.parametrize("quick", [True, False])
def test_the_report_has_all_rows_and_judges_the_network_in_the_full_run_only(quick, truth, found):
    outcome = Outcome()
    rows = [row for row, _ in found]
    restoration_images.report(outcome, rows, truth, restoration_images.tasks(SHAPE), quick)
    ((header, shown),) = outcome.tables.values()
    assert len(shown) == len(rows) and {len(header)} == {len(row) for row in shown}
    claims = [claim for claim, _, _ in outcome.checks]
    assert len(claims) == (8 if quick else 12) and bool(outcome.findings) != quick


def test_the_findings_name_the_best_method_and_the_ratio_of_the_times():
    of = {"PiGDM": (20.0, 1.4, 9.0, 21.25), "DDRM": (21.0, 0.9, 3.0, 21.5), "PnP-ADMM": (23.0, 1.0, 1.0, "")}
    of |= {"Wiener filter": (19.0, 0.5, 0.1, ""), "total variation": (18.0, 0.5, 0.1, "")}
    rows = [
        Row(task, name, a + up, 0.5, d and d + up, b, 0.9, 1, c) for task, up in (("s", -1), ("t", 1)) for name, (a, b, c, d) in of.items()
    ]
    for method in restoration_images.METHODS.values():
        if method.samples and method.title not in of:
            rows += [Row(task, method.title, 10.0, 0.5, 11.0, 3.0, 0.9, 1, 9.0 if method.backward else 3.0) for task in "st"]
    text = " ".join(restoration_images.findings(rows))
    assert "take PnP-ADMM: 23.0 dB" in text and "19.0 dB of the Wiener filter" in text
    assert "gains 1.25 dB" in text and "PiGDM 1.25 and 1.40" in text and "samples of DDRM vary least" in text
    assert "3.0 times the time" in text


def test_the_figure_names_tasks_and_methods(found):
    _, axes = subplots(1, 3, 15, 5, "")
    restoration_images.draw(axes[0], found)
    methods = ["truth", "degraded", *(restoration_images.METHODS[name].title for name in restoration_images.SHOWN)]
    texts = lambda ticks: [tick.get_text() for tick in ticks]
    assert texts(axes[0, 0].get_yticklabels()) == methods[1:] and texts(axes[0, 1].get_yticklabels()) == methods
    assert texts(axes[0, 2].get_yticklabels()) == methods
    assert [text.replace("\n", "") for text in texts(axes[0, 2].get_xticklabels())] == [*restoration_images.tasks(SHAPE)]
    assert axes[0, 2].images[0].get_array().shape == (len(methods) * 13 - 1, 4 * 13 - 1)


def test_a_missing_model_leaves_the_images_out_in_one_sentence(monkeypatch):
    monkeypatch.setattr(guided_images, "package_models", dict)
    outcome = Outcome()
    assert restoration_images.images(outcome, True) is None
    assert outcome.findings == ["The part on images is left out: the model fashion-mnist is not here."] and not outcome.tables


def test_dmps_leaves_a_third_of_the_noise_where_the_network_knows_x_0_too():
    """With D = x_0 = y and q the ratio of the variances of two levels, a step leaves of the noise (2 q - 1)^2 v + q (1 - q), in units
    of the larger variance: for v q in the end v = q / (4 q - 1), 1/3 for q = 1."""
    steps, shape, b, noise = 200, (4, 4, 1), 1000, 1e-6
    levels = np.geomspace(1, 80, steps)
    schedule = VarianceExplodingSchedule(np.append(0.0, log_alpha_bar_of_sigma(levels)))
    known = np.zeros((b, *shape))
    y = np.zeros((b, 16))
    guided = dmps_denoiser(lambda x, alpha, sigma: known, Mask(np.ones(shape, bool)), y, noise)
    sample, x = np.arange(b), 80 * np.random.default_rng(0).standard_normal((b, *shape))
    predict = lambda x, t: guided(x, schedule.signal(t), schedule.noise_scale(t))
    states = ancestral(predict, schedule, range(steps, 0, -1), x, 0, sample, prediction="x0")
    q = (levels[0] / levels[1]) ** 2
    x = final_sample(states)
    share = (x**2).mean() / schedule.noise_scale(1) ** 2
    low, high = chi2.ppf((FALSE_ALARM / 2, 1 - FALSE_ALARM / 2), x.size) / x.size
    assert low < share / (q / (4 * q - 1)) < high


@pytest.mark.fashion_mnist
def test_the_package_s_network_restores_images_of_fashion_mnist(monkeypatch):
    monkeypatch.setattr(restoration_images, "QUICK", {"images": 2, "samples": 2, "steps": 3})
    monkeypatch.setattr(restoration_images, "SHOWN", ["ddrm", "total-variation"])
    outcome = Outcome()
    found = restoration_images.images(outcome, True)
    assert len(found) == 16 and outcome.passed and found[0][1].shape == (2, 28, 28, 1)


def test_the_step_of_the_code_of_dps_is_half_of_the_step_of_the_paper():
    options = [inspect.getclosurevars(restoration_images.METHODS[name].states).nonlocals for name in ("dps", "dps-norm")]
    paper, code = (RULES[of["rule"]] * of["zeta"] for of in options)
    assert paper == 2 * code and options[0]["rule"] == "normalised" and options[1]["rule"] == "norm"
