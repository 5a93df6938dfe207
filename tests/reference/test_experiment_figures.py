"""The figures of the experiments, of invented numbers: they are titled, labelled and readable."""

import importlib

import numpy as np
import pytest

from reference.runs.image_quality import Estimate
from reference.tutorial.experiments import (
    NAMES,
    Outcome,
    captions,
    captions_losses,
    corrector_bias,
    discrete_and_continuous,
    few_steps,
    few_steps_exact,
    few_steps_frontier,
    few_steps_samplers,
    guidance,
    guided_gaussians,
    guided_images,
    learned_scores,
    mixture_steps,
    restoration,
    restoration_gaussians,
    restoration_mixtures,
    three_models,
    what_matters,
)
from reference.tutorial.experiments.chains import DISTRIBUTION, X_GRID
from tests.readable_figures import assert_readable


def chains():
    samplers = {"VP": mixture_steps.vp_samplers(1), "alpha = .97, T = 150": mixture_steps.constant_samplers(1)}
    mass = np.exp(DISTRIBUTION.log_density(X_GRID[:, None]))
    return {
        (title, sampler, N): (X_GRID + (k + 1) / N, mass / mass.sum())
        for title, named in samplers.items()
        for k, sampler in enumerate(named)
        for N in mixture_steps.STEPS
    }


def scores():
    found = {m: [(0.0, 0.1 * (k + i), np.linspace(k, i, 400)) for i in range(6)] for k, m in enumerate(learned_scores.TRAINING, 1)}
    return found, [(M, *(10 / M / learned_scores.SIGMAS)) for M in learned_scores.SAMPLES]


def factors():
    outcome = Outcome({"Schedules, 5 steps": ((), [("linear", 0, 0, 0, 0.1, 0), ("cosine", 0, 0, 0, 0.2, 0)])})
    outcome.tables["Number of steps"] = (), [(5, 0.3, 0.2), (10, 0.2, 0.1)]
    return outcome, [(0.001, 0.6, 1.0), (0.07, 0.99, 7.0)], [(8, "silu", 0.4, 0.3), (128, "none", 0.5, 0.3)]


def guided():
    x = np.linspace(-3, 5, 100)
    curves = {name: (x, np.exp(-((x - k) ** 2))) for k, name in enumerate(("class, w = 1", *guidance.DISTRIBUTIONS))}
    errors = {
        (A, B, w, name): 0.3 + np.arange(1, 4) * (1 + k) / 100
        for A, B, w in guided_gaussians.CASES
        for k, name in enumerate(guided_gaussians.ORDERS)
    }
    return curves, "1/2 N(-1, 1) + 1/2 N(1, 1)", errors


def restored():
    laws = {
        (name, s, noise): ([1.0, 1.01, 0.99], [0.5 + k, 1.0, 2.0])
        for s, noise in restoration_gaussians.CASES
        for k, name in enumerate(restoration_gaussians.LINEAR)
    }
    d, noise = restoration.PICTURED
    methods = restoration_mixtures.DIRECT, restoration_mixtures.HEUN, *restoration_mixtures.APPROXIMATE
    operators = restoration_mixtures.operators(restoration_mixtures.SHAPES[d])
    return laws, {(d, title, noise, method): {"coverage": (0.8, 0.01)} for title in operators for method in methods}


def frontier():
    found = {
        (d, name, kind): [(n, (k + 1) * n**-1.5) for n in (7, 25, 97)]
        for d in few_steps.PICTURED
        for k, (name, method) in enumerate(few_steps_samplers.METHODS.items())
        for kind in [few_steps_frontier.SLICED if method.noisy else few_steps_frontier.FLOW_ERROR]
    }
    students = {name: [k / N for N in few_steps_exact.NUMBERS] for k, name in enumerate(few_steps_exact.STUDENTS, 1)}
    return found, dict.fromkeys(few_steps.PICTURED, 0.01), students


def captioned():
    losses = captions_losses
    excess = {(losses.CROSS, 0): np.array([0.1]), (losses.MEAN, 0): np.array([0.2])}
    one = losses.Measured(1.0, 1.0, 0.1, excess, excess, 2.0)
    return {(kind, float(sigma)): one for kind in ("seen", "unseen") for sigma in losses.SIGMAS}


PICTURES = {
    "mixture_steps": lambda: mixture_steps.figure(chains()),
    "corrector_bias": lambda: corrector_bias.figure(
        {(p, k, N): (1 + k) / N for p in corrector_bias.PREDICTORS for k in corrector_bias.CORRECTIONS for N in corrector_bias.STEPS}
    ),
    "learned_scores": lambda: learned_scores.figure(*scores()),
    "three_models": lambda: three_models.figure(
        {name: three_models.DATA[k : k + 100] for k, name in enumerate(("data", "VAE", "DDPM", "annealed Langevin"))}
    ),
    "what_matters": lambda: what_matters.figure(*factors()),
    "discrete_and_continuous": lambda: discrete_and_continuous.figure(
        {f"{k} and a name of the usual length: difference": [k / N for N in discrete_and_continuous.STEPS] for k in (1, 2, 3)}
    ),
    "guidance": lambda: guidance.figure(*guided()),
    "restoration": lambda: restoration.figure(*restored()),
    "few_steps": lambda: few_steps.figure(*frontier()),
    "captions": lambda: captions.figure(captioned()),
}


@pytest.mark.parametrize("name", NAMES)
def test_experiment_figures_are_titled_labelled_and_readable(name):
    figure = PICTURES[name]()
    assert_readable(figure)
    module = importlib.import_module(f"reference.tutorial.experiments.{name}")
    assert figure.get_suptitle().startswith(module.QUESTION)


def test_the_figure_of_guidance_has_a_row_for_images():
    numbers = lambda value: {name: Estimate(value, value - 0.1, value + 0.1) for name in guided_images.SHOWN}
    found = {("real", None): numbers(0.9), **{(sampler, w): numbers(w / 8) for sampler in ("ddpm", "dpm-solver++") for w in (1, 2, 4)}}
    figure = guidance.figure(*guided(), found)
    assert_readable(figure)
    assert [axes.get_ylabel() for axes in figure.axes[3:]] == ["class accuracy", "Fréchet distance", "recall"]


def test_f1_density_map_fills_its_axes():
    image, axes = next((axes.images[0], axes) for axes in PICTURES["mixture_steps"]().axes if axes.images)
    assert image.get_extent()[:2] == list(axes.get_xlim())
