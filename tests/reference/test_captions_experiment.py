"""The experiment ``captions``: its exact denoisers against independent formulas, its measurements with known networks, its tables and
checks on invented numbers, and all of it with a network of a few steps."""

import numpy as np
import pytest
from scipy import stats

from reference import ops
from reference.data import captions as data_set
from reference.data.datasets import load_dataset
from reference.runs.image_quality import Estimate
from reference.runs.run import open_run
from reference.tutorial.experiments import Outcome, captions, captions_exact, captions_images, captions_losses
from reference.tutorial.experiments.captions_exact import SEEN, SHAPE, UNSEEN, CaptionLaws, caption_laws
from reference.tutorial.experiments.captions_images import ALL, EXCESS, PRODUCT, REAL
from reference.tutorial.experiments.captions_losses import CROSS, MEAN, SIGMAS, Measured
from tests.command_runs import run
from tests.oracle_tolerances import EXACT, LINEAR_ALGEBRA, MIXTURE, assert_close, assert_mean
from tests.readable_figures import assert_readable

LAWS = caption_laws()
PAIR = [LAWS.captions.index(caption) for caption in ("a red 5 on the left", "a yellow 4 in the middle")]


def covariance(gaussian):
    return gaussian.vectors * gaussian.eigenvalues @ gaussian.vectors.T


def test_there_is_a_law_for_each_combination_and_a_fifth_is_unseen():
    assert len(LAWS.captions) == len({*LAWS.captions}) == 250
    assert [len(LAWS.of_kind(kind)) for kind in (SEEN, UNSEEN)] == [200, 50]
    for k in range(0, 250, 7):
        np.testing.assert_array_equal(LAWS.tokens[k], data_set.encode(LAWS.captions[k])[0])
        assert LAWS.held_out[k] == data_set.is_held_out(data_set.attributes_of(LAWS.captions[k]))


@pytest.mark.parametrize("k", PAIR, ids=["unseen", "seen"])
def test_a_law_is_that_of_the_block_averages_of_the_data_set(k):
    digits = load_dataset("digits")
    fine = data_set.caption_gaussian(LAWS.captions[k], digits.train.astype(np.float64), digits.train_labels)
    averages = lambda flat: flat.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(-1, 192)
    factor = averages(fine.vectors.T).T * fine.eigenvalues**0.5
    assert_close(LAWS.gaussians[k].mean, averages(fine.mean[None])[0], LINEAR_ALGEBRA, 1)
    assert_close(covariance(LAWS.gaussians[k]), factor @ factor.T, LINEAR_ALGEBRA, 1)


def test_images_have_the_mean_and_the_variance_of_their_law():
    n = 4000
    x = LAWS.images(3, np.arange(n), np.full(n, PAIR[0]), ops).reshape(n, -1)
    law = LAWS.gaussians[PAIR[0]]
    varied = law.eigenvalues > law.eigenvalues.max() / 1e6
    inside = ((x - law.mean) @ law.vectors)[:, varied]
    assert varied.sum() > 8
    assert_mean(inside, 0.0, tests=2)
    assert_mean(inside**2, law.eigenvalues[varied], tests=2)
    assert_close(LAWS.images(3, np.array([5]), np.array(PAIR[:1]), ops).reshape(-1), x[5], EXACT, 1)


def test_log_densities_of_captions_differ_as_scipys_do():
    x, sigma = np.random.default_rng(0).standard_normal((5, 192)), 0.7
    own, expected = [], []
    for k in PAIR:
        law = LAWS.gaussians[k]
        own.append(captions_exact.log_density(law, x, sigma))
        expected.append(stats.multivariate_normal(law.mean, covariance(law) + sigma**2 * np.eye(192)).logpdf(x))
    assert_close(own[0] - own[1], expected[0] - expected[1], MIXTURE, np.abs(expected).max())


def test_the_denoiser_without_text_has_the_score_of_the_mixture_of_seen_captions():
    chosen = [*PAIR, 17, 101]
    few = CaptionLaws([], LAWS.tokens[chosen], [LAWS.gaussians[k] for k in chosen], LAWS.held_out[chosen])
    seen, sigma = few.of_kind(SEEN), 1.5
    assert 0 < len(seen) < len(chosen)
    x = few.images(0, np.arange(4), np.arange(4), ops) + sigma * np.random.default_rng(0).standard_normal((4, *SHAPE))
    laws = [few.gaussians[k] for k in seen]
    means = np.stack([law.mean for law in laws])
    covariances = np.stack([covariance(law) + sigma**2 * np.eye(192) for law in laws])
    score = ops.mixture_score(x.reshape(4, -1), np.full(len(seen), 1 / len(seen)), means, (covariances + covariances.swapaxes(1, 2)) / 2)
    assert_close(few.without_text(x, sigma).reshape(4, -1), x.reshape(4, -1) + sigma**2 * score, LINEAR_ALGEBRA, np.abs(x).max())


# Networks beside the exact denoisers


@pytest.fixture(scope="module")
def networks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captions_losses, "DRAWS", 400)
        return captions_losses.train_networks(LAWS, 4, 4, 1, ops)


def test_the_networks_are_two_and_differ_in_cross_attention_alone(networks):
    assert [*networks] == [(CROSS, 0), (MEAN, 0)]
    own = {name.replace("text.mean", "") for name in captions_losses.network(CROSS).shapes() if "cross_attentions" not in name}
    mean = {name for name in captions_losses.network(MEAN).shapes() if "text.mean" not in name}
    assert own == mean and captions_losses.parameters(CROSS) > captions_losses.parameters(MEAN)


def test_exact_predictions_have_no_excess_and_wrong_ones_their_distance(networks, monkeypatch):
    """A prediction that is wrong by sigma^2 in every entry has a score that is wrong by 1."""
    exact = lambda x, sigma, tokens: LAWS.exact(x, sigma, np.array([LAWS.tokens.tolist().index(one) for one in tokens.tolist()]))
    wrong = lambda kind, sigma: sigma**2 if kind == MEAN else 0.0
    (denoiser, _), *_ = networks.values()
    named = {(kind, 0): (denoiser, kind) for kind in (CROSS, MEAN)}
    monkeypatch.setattr(captions_losses, "predicted", lambda d, kind, x, sigma, tokens, ops: exact(x, sigma, tokens) + wrong(kind, sigma))
    found = captions_losses.measure(LAWS, named, 200, ops)
    assert [*found] == [(kind, sigma) for kind in (SEEN, UNSEEN) for sigma in SIGMAS]
    v = denoiser.data_variance
    for (_, sigma), one in found.items():
        factor = (v + sigma**2) / (v * sigma**2)
        assert not one.excess[CROSS, 0].any() and one.score_error[CROSS, 0] == 0
        assert_close(one.excess[MEAN, 0], np.full(200, factor * sigma**4), EXACT)
        score = (sigma**2 / one.score_error[MEAN, 0]) ** 2 / sigma**4  # the mean square of the exact score
        assert 0.8 / sigma**2 < score < 1.2 / sigma**2
        assert abs(one.drawn - one.floor) < 5 * one.error and one.without_text > one.floor
    assert found[SEEN, 10.0].without_text > 3 * found[SEEN, 10.0].floor


def invented(shift=0.0, seeds=2, n=100):
    """A floor of 1 and a loss of 2 without text; cross-attention has an excess of 0.1, the mean of 0.1 + ``shift``."""
    ripple = 0.01 * (-1.0) ** np.arange(n)
    excess = {(kind, seed): 0.1 + ripple + (shift if kind == MEAN else 0) for kind in (CROSS, MEAN) for seed in range(seeds)}
    one = Measured(1.0, 1.001, 0.01, excess, dict.fromkeys(excess, 0.2), 2.0)
    return {(kind, float(sigma)): one for kind in (SEEN, UNSEEN) for sigma in SIGMAS}


def test_losses_in_the_tables_are_floor_and_excess_and_checks_hold():
    outcome = Outcome()
    captions_losses.report(outcome, invented(0.1))
    assert outcome.passed and len(outcome.checks) == 2 * 2 * 2 * 2 + 1
    (header, rows), (short, means) = outcome.tables.values()
    assert len(rows) == 2 * 5 * 2 * 2 and all(len(row) == len(header) for row in rows)
    assert_close(rows[0][4:], [1.0, 1.1, 2.0, 0.1, 0.001, 0.1, 0.2], EXACT)
    assert_close(means[3][3:], [1.0, 1.2, 2.0, 0.2, 0.001, 0.2], EXACT)
    assert len(means) == 2 * 2 * 2 and len(means[0]) == len(short)


def failed_checks(changed, in_training=False, **change):
    """The claims that fail if ``change`` is made in the measures of some keys."""
    outcome = Outcome()
    found = {key: one._replace(**change) if key in changed else one for key, one in invented().items()}
    captions_losses.report(outcome, found, in_training)
    return [claim for claim, _, holds in outcome.checks if not holds]


@pytest.mark.parametrize("captions", [SEEN, UNSEEN])
def test_a_network_that_gains_nothing_from_the_text_fails_its_checks(captions):
    """The excess is 0.1."""
    claims = failed_checks([(captions, sigma) for sigma in SIGMAS], without_text=1.09)
    assert len(claims) == 2 * 2 * 2 and all(claim.startswith(f"{captions} captions") for claim in claims)


def test_a_network_in_training_is_checked_at_the_highest_level_alone():
    low = [(SEEN, sigma) for sigma in SIGMAS[:-1]]
    assert failed_checks(low, without_text=0.8) and not failed_checks(low, in_training=True, without_text=0.8)


def test_an_exact_loss_that_the_draws_contradict_fails_its_check():
    (claim,) = failed_checks([(SEEN, SIGMAS[0])], drawn=1.1)
    assert claim.startswith("the exact denoisers have their least loss")


@pytest.mark.parametrize("shift, verdict", [(0.1, "beats"), (-0.05, "loses to"), (0.0, "is neither clearly better nor clearly worse than")])
def test_the_findings_say_which_network_is_better(shift, verdict):
    assert f"On unseen captions cross-attention {verdict} the mean of the words" in captions_losses.comparison(invented(shift), UNSEEN)


def test_seeds_that_disagree_leave_the_comparison_open():
    found = invented(0.1)
    for one in found.values():
        one.excess[MEAN, 1][...] = one.excess[CROSS, 1] - 0.01
    assert "is neither" in captions_losses.comparison(found, SEEN)


# Images


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captions")
    words = "train ddpm --data captions --channels 8 8 --groups 4 --timesteps 10 --batch 2 --steps 1".split()
    assert run(*words, "--out", folder) == 0
    return open_run(folder)


def test_combinations_are_those_of_their_kind_in_mixed_order():
    for kind in (SEEN, UNSEEN):
        own = captions_images.combinations(kind)
        assert {*own} == {LAWS.captions[k] for k in LAWS.of_kind(kind)} and len(own) == len({*own})
        assert len({caption.split()[1] for caption in own[:20]}) > 2 and own != sorted(own)


def test_real_images_are_right_and_exchanged_captions_are_wrong():
    digits = load_dataset("digits")
    classifier = captions_images.digit_classifier(digits.train, digits.train_labels)
    for kind in (SEEN, UNSEEN):
        x, own = captions_images.real_images(kind, 40)
        assert all(data_set.is_held_out(data_set.attributes_of(caption)) == (kind == UNSEEN) for caption in own)
        found = captions_images.measured(x, own, classifier)
        assert found["colour"].value == found["place"].value == 1 and found["digit"].value > 0.9
        assert found[ALL].value == found["digit"].value and abs(found[EXCESS].value) < EXACT
    wrong = ["a red 3 on the left" if i < 20 else "a blue 3 on the left" for i in range(40)]
    red = np.where(data_set.colour_of(x) == 0, "a red 3 on the left", "a blue 3 on the left")
    found = captions_images.measured(x, wrong, classifier)
    right = [(a == b) and ("red" in b or data_set.colour_of(x[[i]])[0] == 2) for i, (a, b) in enumerate(zip(wrong, red))]
    assert found["colour"].value == np.mean(right) < 0.7
    assert found[ALL].value <= min(found[kind].value for kind in data_set.KINDS)


def test_shares_have_wilsons_interval():
    """Of 8 of 10: (p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)."""
    value, low, high = captions_images.share(8, 10)
    z = stats.norm.isf(0.025)
    middle, half = 0.8 + z**2 / 20, z * (0.8 * 0.2 / 10 + z**2 / 400) ** 0.5
    assert value == 0.8
    assert_close((low, high), np.array((middle - half, middle + half)) / (1 + z**2 / 10), EXACT)
    assert captions_images.share(10, 10).low < 1 == captions_images.share(10, 10).high


@pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")
def test_samples_of_every_weight_are_judged_by_their_own_captions(untrained, monkeypatch):
    monkeypatch.setattr(captions_images, "attributes_seen", lambda x, classifier: shown)
    own = {kind: captions_images.combinations(kind)[:3] for kind in (SEEN, UNSEEN)}
    shown = data_set.Attributes(*np.array([data_set.attributes_of(caption) for caption in own[SEEN]]).T)
    found = captions_images.accuracies(untrained, (0, 2), 2, 3, ops)
    assert [*found] == [(kind, w) for kind in (SEEN, UNSEEN) for w in (REAL, 0, 2)]
    assert found[SEEN, 2][ALL].value == found[SEEN, 0][ALL].value == 1 and found[UNSEEN, 2][ALL].value < 1
    assert all(found[kind, 2]["captions"] == own[kind] for kind in own)
    assert not np.array_equal(found[SEEN, 0]["x"], found[SEEN, 2]["x"])


def accuracies(value, weights=(0, 1, 2), chance=True, unseen=None):
    """The same accuracy for all, but at w = 0 chance, and ``unseen`` for combinations that training does not have."""
    one = lambda value: Estimate(value, value - 0.05, value + 0.05)
    found = {}
    for kind in (SEEN, UNSEEN):
        for w in (REAL, *weights):
            parts = {
                name: one(1 / len(names) if w == 0 and chance else unseen or value if kind == UNSEEN else value)
                for name, names in [*data_set.KINDS.items(), (ALL, "12345"), (PRODUCT, "12345")]
            }
            rest = {"x": np.full((8, 32, 32, 3), -0.5), "captions": ["a yellow 3 in the middle"] * 8}
            found[kind, w] = parts | {EXCESS: one(0.01 if w == 2 else 0.2)} | rest
    return found


@pytest.mark.parametrize(
    "value, chance, unseen, failed",
    [
        (0.9, True, None, set()),
        (0.62, True, 0.9, {"images, seen combinations"}),
        (0.9, True, 0.14, {"images, unseen combinations"}),
        (0.9, False, None, {"images"}),
    ],
)
def test_accuracies_fail_the_checks_that_they_contradict(value, chance, unseen, failed):
    outcome = Outcome()
    captions_images.report(outcome, accuracies(value, chance=chance, unseen=unseen), 400)
    ((header, rows),) = outcome.tables.values()
    assert len(rows) == 8 and all(len(row) == len(header) for row in rows) and len(outcome.checks) == 9
    claims = {claim.partition(":")[0] for claim, _, holds in outcome.checks if not holds}
    assert claims == failed
    assert "differs from it at w = 0, 1, by" in outcome.findings[0]


# All of it


def test_a_quick_run_without_the_model_has_tables_checks_and_a_figure(networks, monkeypatch):
    monkeypatch.setattr(captions_images, "package_models", lambda: {})
    monkeypatch.setattr(captions_losses, "train_networks", lambda *given: networks)
    monkeypatch.setattr(captions, "QUICK", (4, 4, 1, 60))
    outcome = captions.run(True, ops)
    assert len(outcome.tables) == 2 and len(outcome.checks) == 2 * 2 + 1 and outcome.settings["training steps"] == 4
    assert outcome.findings[-1] == "The part on images is left out: the model captions is not here."
    assert all("the mean of the words" in one for one in outcome.findings[:2])
    assert_readable(outcome.figure)


def test_the_figure_has_a_row_for_images():
    figure = captions.figure(invented(0.1), accuracies(0.9))
    assert_readable(figure)
    assert [axes.get_title() for axes in figure.axes[3:]] == [
        "images of seen combinations",
        "images of unseen combinations",
        "w = 2: seen combinations above unseen ones",
    ]
