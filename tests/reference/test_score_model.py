"""Score matching at many noise levels: the weighted losses of one network, their relations and their floors."""

import numpy as np
import pytest

from reference.diffusion.mixtures import example_2_1, ring
from reference.diffusion.schedules import geometric, linear
from reference.networks import MLP, UNet
from reference.smld.score_matching import rademacher
from reference.smld.smld import OBJECTIVES, ScoreModel, loss_floors
from tests.example_networks import numbers, random_parameters
from tests.oracle_tolerances import EXACT, EXACT32, QUADRATURE, assert_close, assert_printed, central_difference, line
from tests.reference.test_networks import gradient_of_each

LADDER = geometric(5, 0.1, 3.0)
NETWORK = MLP(size=(2,), width=6, depth=2, embedding=4)
T = np.array([1, 1, 2, 3, 5, 4])
X0, NOISE, PROBE = numbers(1, 6, 2), numbers(2, 6, 2), rademacher(np.random.default_rng(3).random((6, 2)))
DISTRIBUTION = example_2_1()
ON_THE_LINE = MLP(size=(1,), width=6, depth=2, embedding=4)


def model(objective, network=NETWORK, distribution=None):
    distribution = distribution or ring() if objective == "explicit" else None
    return ScoreModel(network, LADDER, "noise", 1.3, objective, distribution)


def probe(objective):
    return PROBE if objective == "sliced" else None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradient_of_every_loss_in_every_parameter_with_levels_mixed(objective):
    params, scores = random_parameters(NETWORK), model(objective)
    mean, per_sample, gradients = scores.loss(params, X0, T, NOISE, probe(objective))
    assert_close(mean, per_sample.mean(), EXACT, np.abs(per_sample).max())
    value = lambda p: float(scores.loss(p, X0, T, NOISE, probe(objective))[0])
    gradient_of_each(value, params, gradients, np.abs(per_sample).sum() + 10)


def test_weighted_denoising_loss_is_half_the_squared_noise_error():
    """sigma^2 1/2 |s + z/sigma|^2, with s = -eps/sigma, the result of ``score``."""
    params, scores = random_parameters(NETWORK), model("denoising")
    _, per_sample, _ = scores.loss(params, X0, T, NOISE)
    for i, t in enumerate(T.tolist()):
        sigma = LADDER.noise_scale(t)
        x = (X0[i] + sigma * NOISE[i])[None]
        expected = sigma**2 / 2 * ((scores.score_function(params)(x, 1.0, sigma) + NOISE[i] / sigma) ** 2).sum()
        assert_close(per_sample[i], expected, 64 * EXACT, 1 + expected)
        assert_close(per_sample[i], ((scores.noise_predictor(params)(x, t) - NOISE[i]) ** 2).sum() / 2, EXACT, 1 + expected)


def test_weighted_implicit_loss_matches_the_scores_loss():
    """sigma^2 [tr ds/dx + 1/2 |s|^2] with the trace of the score itself, by central differences of fourth order."""
    params, scores = random_parameters(NETWORK), model("implicit")
    _, per_sample, _ = scores.loss(params, X0, T, NOISE)
    h = 1e-3
    for i, t in enumerate(T.tolist()):
        sigma = LADDER.noise_scale(t)
        x, score = (X0[i] + sigma * NOISE[i])[None], lambda x, sigma=sigma: scores.score_function(params)(x, 1.0, sigma)
        trace = 0.0
        for axis in np.eye(2):
            at = lambda k, axis=axis, x=x, score=score: score(x + k * h * axis)[0] @ axis
            trace += (8 * (at(1) - at(-1)) - at(2) + at(-2)) / (12 * h)
        expected = sigma**2 * (trace + (score(x) ** 2).sum() / 2)
        assert_close(per_sample[i], expected, sigma**2 * central_difference(h, np.abs(score(x)).max(), sigma + 0.3), 1.0)


def mean_losses(objective, params, t, distribution=DISTRIBUTION):
    """The loss at level t in expectation: over noised x by quadrature, with the noise integrated out where it occurs."""
    sigma = LADDER.noise_scale(t)
    noised = distribution.noised(1.0, sigma)
    reach = 12 * noised.full.max() ** 0.5
    x, h = line(noised.means.min() - reach, noised.means.max() + reach, 0.2)
    scores, x = model(objective, ON_THE_LINE, distribution), x[:, None]
    weight = np.exp(noised.log_density(x)) * h
    if objective == "denoising":  # 1/2 E(z - eps)^2 = 1/2 [ 1 - 2 E[eps E(z|x)] + E eps^2 ]
        eps = scores.noise_predictor(params)(x, t)
        return (1 - 2 * weight @ (eps * distribution.expected_noise(x, 1.0, sigma))[:, 0] + weight @ eps[:, 0] ** 2) / 2
    each = np.ones_like(x) if objective == "sliced" else None
    return weight @ scores.loss(params, x, np.full(len(x), t), np.zeros_like(x), each)[1]


@pytest.mark.parametrize("t", [1, 3, 5])
def test_expected_losses_differ_by_constants_for_any_network(t):
    """Denoising less explicit is the floor 1/2 (1 - sigma^2 J), implicit less explicit -1/2 sigma^2 J; sliced is implicit on the line."""
    sigma = LADDER.noise_scale(t)
    (floor,) = loss_floors(DISTRIBUTION, [sigma])
    for seed in (0, 1):
        params = random_parameters(ON_THE_LINE, seed)
        loss = {objective: mean_losses(objective, params, t) for objective in OBJECTIVES}
        size = 1 + sum(map(abs, loss.values()))
        assert_close(loss["denoising"] - loss["explicit"], floor, QUADRATURE, size)
        assert_close(loss["implicit"] - loss["explicit"], floor - 0.5, QUADRATURE, size)
        assert_close(loss["sliced"], loss["implicit"], QUADRATURE, size)


@pytest.mark.parametrize(
    "sigma, printed", [(0.05, ".490424"), (0.1, ".467043"), (0.3, ".374321"), (1.0, ".306410"), (3.0, ".153528"), (10.0, ".019561")]
)
def test_printed_weighted_floors_of_example_2_1_lie_between_0_and_half(sigma, printed):
    (floor,) = loss_floors(DISTRIBUTION, [sigma])
    assert_printed(floor, printed)
    assert 0 < floor < 0.5


def test_the_best_network_of_explicit_matching_has_zero_loss():
    class Exact:
        classes = 0

        def forward(self, params, x, c, ops=None, labels=None, keep=True):
            t = round(float(c[0]) * 4 / 1000) + 1
            sigma = LADDER.noise_scale(t)
            return DISTRIBUTION.expected_noise(x * (1.3 + sigma**2) ** 0.5, 1.0, sigma), None

        def backward(self, params, dy, saved, ops=None):
            return dy, {}

    x = np.linspace(-3, 4, 9)[:, None]
    _, per_sample, _ = ScoreModel(Exact(), LADDER, "noise", 1.3, "explicit", DISTRIBUTION).loss({}, x, np.full(9, 2), np.zeros_like(x))
    assert_close(per_sample, np.zeros(9), EXACT, 100.0)


def test_levels_and_probes_are_new_in_every_step():
    sample, scores = np.arange(500), model("sliced")
    t, noise, v = scores.sample_training_noise(0, sample, 3, (2,), np.float32)
    assert set(t.tolist()) == {1, 2, 3, 4, 5} and set(np.unique(v).tolist()) == {-1.0, 1.0} and v.dtype == noise.dtype == np.float32
    later = scores.sample_training_noise(0, sample, 4, (2,), np.float32)
    assert all((one != other).any() for one, other in zip((t, noise, v), later))
    assert model("denoising").sample_training_noise(0, sample, 3, (2,), np.float32)[2] is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_single_precision_stays_single(objective):
    scores = model(objective)
    draws = scores.sample_training_noise(0, np.arange(6), 1, (2,), np.float32)
    mean, per_sample, gradients = scores.loss(NETWORK.init(0), X0.astype(np.float32), *draws)
    assert mean.dtype == per_sample.dtype == np.float32 and {g.dtype for g in gradients.values()} == {np.dtype(np.float32)}


def test_score_matching_works_on_images():
    network = UNet(size=(4, 4), channels=(4, 4), groups=2, head_width=4)
    scores, x0 = ScoreModel(network, LADDER), numbers(0, 5, 4, 4, 1).astype(np.float32)
    t = np.array([1, 2, 3, 4, 5])
    _, per_sample, _ = scores.loss(network.init(0), x0, t, x0[::-1].copy())
    assert_close(per_sample, (x0[::-1] ** 2).reshape(5, -1).sum(axis=1) / 2, 16 * EXACT32)  # an untrained network predicts 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((NETWORK, LADDER, "noise", 1.0, "fisher"), "objective must be one of denoising, explicit, implicit, sliced, got 'fisher'"),
        ((NETWORK, linear(10)), "needs a variance-exploding schedule"),
        ((NETWORK, LADDER, "v"), "and prediction noise"),
        ((UNet(), LADDER, "noise", 1.0, "implicit"), "implicit score matching needs the derivative of the network along a direction"),
        ((UNet(), LADDER, "noise", 1.0, "sliced"), "take --net mlp"),
    ],
)
def test_an_invalid_model_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ScoreModel(*arguments)


def test_explicit_matching_without_a_distribution_is_refused():
    with pytest.raises(ValueError, match="explicit score matching needs distribution"):
        ScoreModel(NETWORK, LADDER, "noise", 1.0, "explicit").loss(NETWORK.init(0, np.float64), X0, T, NOISE)
