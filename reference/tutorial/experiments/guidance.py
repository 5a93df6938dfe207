"""Classifier-free guidance with exact scores: which distribution do samplers draw from?

It is not the tilted distribution p(x|c)^w p(x)^{1-w} that the guided score names, because the
guided scores of all levels of noise are not the scores of one distribution under noise.  For
Gaussians the answer has a closed form (guided_gaussians.py), for mixtures it is computed without
particles (guided_mixtures.py).
"""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.guided_gaussian import ode_variance, sde_variance, tilted_variance
from reference.plotting import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILION, subplots
from reference.tutorial.experiments import (
    Outcome,
    guided_gaussians,
    guided_images,
    guided_mixtures,
)
from reference.tutorial.experiments.guided_mixtures import (
    LINE,
    component,
    mixtures,
    ode,
    sde,
    tilted,
)

QUESTION = "Which distribution does classifier-free guidance draw from?"
PICTURED = 3  # the weight of the pictured densities
DISTRIBUTIONS = {"tilted": GREEN, "ODE": VERMILION, "SDE": BLUE}


def run(quick=False, ops=reference_ops):
    chain_steps = (12, 24, 48) if quick else (25, 50, 100)
    outcome = Outcome(
        settings={
            "steps on Gaussians": guided_gaussians.STEPS,
            "low sigma": guided_gaussians.Levels.low,
            "high sigma": guided_gaussians.Levels.high,
            "steps of the SDE on mixtures": chain_steps,
            "corrector step over sigma^2": guided_mixtures.CORRECTOR_STEP,
            "corrector levels": guided_mixtures.CORRECTED_LEVELS,
        }
    )
    guided_gaussians.closed_forms(outcome)
    errors = guided_gaussians.convergence(outcome)
    guided_gaussians.composition(outcome)
    guided_gaussians.intervals(outcome)
    guided_gaussians.correctors(outcome)
    guided_mixtures.distributions(outcome, chain_steps, ops)
    guided_mixtures.correctors(outcome, ops)
    guided_mixtures.classifier_guidance(outcome, ops)
    outcome.findings += [
        "With guidance, samples of the ODE (DDIM) and of the SDE (DDPM) have two distributions, and"
        " neither is the tilted one.",
        "For a Gaussian class narrower than the data both are too narrow, more so the ODE.",
        "On mixtures both move the mean beyond the tilted mean, the ODE farther than the SDE.",
        "Where w/B + (1-w)/A is 0 or less, no tilted distribution exists; samplers still return"
        " samples of finite variance.",
        "Many Langevin steps at every level reach the tilted distribution.",
    ]
    curves = guided_images.images(outcome, quick, ops)
    title, mixture = next(iter(mixtures(ops).items()))
    outcome.figure = figure(densities(mixture, chain_steps[-1]), title, errors, curves)
    return outcome


def densities(mixture, steps):
    """Name -> (x, density) at the weight ``PICTURED``, and of the class itself."""
    spacing = LINE[1] - LINE[0]
    (x, tilt), (_, chain) = tilted(mixture, PICTURED), sde(mixture, PICTURED, steps)
    flow, mass = ode(mixture, PICTURED)
    return {
        "class, w = 1": (x, np.exp(component(mixture).log_density(x[:, None]))),
        "tilted": (x, tilt / spacing),
        "ODE": (flow, mass / np.gradient(flow)),
        "SDE": (x, chain / spacing),
    }


def figure(laws, title, errors, images=None):
    """Densities of a guided mixture, the variance of guided Gaussians over the weight, the errors
    of the samplers over the number of steps; and below, if there are ``images``, class accuracy and
    Fréchet distance of images over the weight.
    """
    rows = 2 if images else 1
    drawing, axes = subplots(rows, 3, 15, 5 * rows, QUESTION)
    left, middle, right = axes[0]
    draw_densities(left, laws, title)
    draw_variances(middle, errors)
    draw_errors(right, errors)
    if images:
        guided_images.draw_curves(axes[1], images)
    return drawing


def draw_densities(axes, laws, title):
    for name, (x, density) in laws.items():
        style = {
            "color": DISTRIBUTIONS.get(name, GREY),
            "linestyle": "-" if name in DISTRIBUTIONS else "--",
        }
        axes.plot(x, density, label=name, **style)
    axes.set(
        xlabel="x",
        ylabel="density of x",
        xlim=(-3, 5),
        title=f"{title}\nclass N(1, 1), w = {PICTURED}",
    )
    axes.legend(fontsize=9)


def draw_variances(axes, errors):
    weights = np.linspace(1, 5, 81)
    forms = {"tilted": tilted_variance, "ODE": ode_variance, "SDE": sde_variance}
    samplers = {"ODE": ("Heun", "o"), "SDE": ("Euler-Maruyama", "s")}
    for name, form in forms.items():
        curve = [form(1.0, 2.0, w) for w in weights]
        axes.semilogy(weights, curve, color=DISTRIBUTIONS[name], label=f"{name}, closed form")
    for name, (sampler, mark) in samplers.items():
        points = {
            w: values[-1] for (A, _, w, key), values in errors.items() if (A, key) == (2, sampler)
        }
        steps = guided_gaussians.STEPS[-1]
        axes.plot(
            *zip(*points.items()),
            mark,
            color=DISTRIBUTIONS[name],
            label=f"{sampler}, {steps} steps",
        )
    axes.set(
        xlabel="weight w of guidance",
        ylabel="variance of the samples",
        title="Gaussians: data N(0, 2), class N(0, 1)",
    )
    axes.legend(fontsize=9)


def draw_errors(axes, errors):
    A, B, w = 2.0, 1.0, 3
    steps, ends = np.array(guided_gaussians.STEPS), guided_gaussians.ENDS
    for (name, order), color, mark in zip(
        guided_gaussians.ORDERS.items(), (VERMILION, BLACK, PURPLE, BLUE, GREEN), "osv^D"
    ):
        form = sde_variance if name in guided_gaussians.STOCHASTIC else ode_variance
        error = np.abs(np.log(errors[A, B, w, name] / form(B, A, w, *ends)))
        line = "--" if name in guided_gaussians.STOCHASTIC else "-"
        label = f"{name}, order {order}"
        axes.loglog(steps, error, line, marker=mark, color=color, label=label)
    axes.loglog(steps, 4 / steps, ":", color=GREY, label="4 / N")
    axes.loglog(steps, 70 / steps**2.0, "-.", color=GREY, label="70 / N²")
    axes.set_xticks(steps, map(str, steps))
    axes.minorticks_off()
    axes.set(
        xlabel="number of steps N",
        ylabel="|log (variance / closed form)|",
        title="the same Gaussians, w = 3: error of the samplers",
    )
    axes.set_ylim(bottom=axes.get_ylim()[0] / 60)
    axes.legend(fontsize=9, loc="lower left")
