"""Guidance on mixtures on the line, where the class is one of the components.  No particles: every
distribution is given by atoms, as in chains.py.
"""

from itertools import pairwise

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.guidance import guide
from reference.diffusion.mixtures import Mixture, example_2_1, ring
from reference.diffusion.schedules import cosine
from reference.ops.random import Key, Purpose
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.chain_density import gaussian_kernel
from reference.samplers.grids import karras
from reference.samplers.ode import runge_kutta
from reference.samplers.sde import corrector, predictor_corrector
from reference.sde.sde import VP
from reference.tutorial.experiments.chains import mean_and_shifted, propagate

CLASS = 1  # the component of the class
WEIGHTS = (1, 3, 8)
LINE = np.linspace(-7.0, 7.0, 701)
CORRECTIONS = (0, 1, 4, 16, 64, 256, 1024)
CORRECTOR_STEP = 0.5  # divided by sigma^2
CORRECTED = VP(min_noise_ratio=0.1)
CORRECTED_LEVELS = 20
ROUNDING = 1e-12  # some thousand roundings of the responsibilities, in units of the terms
START_ERROR = 1e-4  # of the ODE: see ``ode``


def mixtures(ops=reference_ops):
    """Title -> mixture."""
    return {
        "1/2 N(-1, 1) + 1/2 N(1, 1)": Mixture(
            np.full(2, 0.5), np.array([[-1.0], [1.0]]), np.ones(2), ops
        ),
        "Ex 2.1": example_2_1(ops),
    }


def component(mixture, k=CLASS):
    """The distribution of class k."""
    part = slice(k, k + 1)
    return Mixture(np.ones(1), mixture.means[part], mixture.covariances[part], mixture.ops)


def guided(mixture, weight):
    """The exact score(x, alpha, sigma) of the class, with guidance."""
    data = component(mixture)

    def score(x, alpha, sigma):
        conditional, unconditional = (
            each.noised(alpha, sigma).score(x) for each in (data, mixture)
        )
        return guide(conditional, unconditional, weight)

    return score


def moments(chain):
    """(mean, standard deviation) of atoms."""
    points, mass = chain
    mean = mass @ points / mass.sum()
    return float(mean), float((mass @ (points - mean) ** 2 / mass.sum()) ** 0.5)


def tilted(mixture, weight, alpha=1.0, sigma=0.0):
    """The distribution p(x|c)^w p(x)^{1-w} of x = alpha x_0 + sigma eps."""
    conditional, unconditional = (
        each.noised(alpha, sigma).log_density(LINE[:, None])
        for each in (component(mixture), mixture)
    )
    log_density = guide(conditional, unconditional, weight)
    mass = np.exp(log_density - log_density.max())
    return LINE, mass / mass.sum()


def ode(mixture, weight, steps=200, largest=1e5, smallest=1e-3):
    """The samples of the probability-flow ODE: a rising function x(z) of the standard normal z of
    its start, x = sigma z.

    dx/du = -sigma^2 score with u = log sigma, by the fourth-order method of Runge and Kutta.  The
    start at a finite sigma shifts the mean by at most |w m_c + (1-w) m| / sigma with the means m_c
    of the class and m of all data; the noise that is left changes x by at most sigma^2 |score|.
    Both stay below 10^-4.
    """
    score, z = guided(mixture, weight), np.linspace(-8.0, 8.0, 161)
    slope = lambda x, u: -np.exp(2 * u) * score(x, 1.0, np.exp(u))
    grid = np.linspace(np.log(largest), np.log(smallest), steps + 1)
    x = final_sample(runge_kutta(slope, grid, largest * z[:, None], "rk4"))[:, 0]
    mass = np.exp(-(z**2) / 2)
    return x, mass / mass.sum()


def sde(mixture, weight, steps, variance="beta"):
    """The samples of the reverse SDE, by DDPM in ``steps`` steps of the cosine schedule."""
    schedule, score = cosine(steps), guided(mixture, weight)

    def predict_noise(x, t):
        alpha, sigma = schedule.signal(t), schedule.noise_scale(t)
        return -sigma * score(x, alpha, sigma)

    walk = lambda times, x, seed, sample, ops: final_sample(
        ancestral(predict_noise, schedule, times, x, seed, sample, variance, ops=ops)
    )
    *_, chain = propagate(walk, schedule.timesteps(steps), LINE)
    return chain


def extrapolated(values):
    """(limit [..], its error [..]) of values at N, 2N and 4N steps, which err by a/N + b/N^2 + ..:
    the term b is removed last, and its removal is the estimate of the error.
    """
    first, second, third = np.asarray(values)
    once, twice = 2 * second - first, 2 * third - second
    limit = (4 * twice - once) / 3
    return limit, np.abs(limit - twice)


def sde_limit(mixture, weight, steps, variance):
    """(mean, standard deviation) of ``sde`` for N -> infinity from the numbers of steps N, 2 N and
    4 N, and the errors of both.
    """
    return extrapolated([moments(sde(mixture, weight, N, variance)) for N in steps])


def corrected(mixture, weight, corrections):
    """The samples of a predictor for the reverse SDE with ``corrections`` Langevin steps at every
    level.
    """
    score, mass = guided(mixture, weight), np.exp(-(LINE**2) / 2)
    score_at_t = lambda x, t: score(x, *CORRECTED.marginal(t))

    def predict(pair, x, seed, sample, ops):
        only = "reverse-diffusion", 0  # no corrections
        states = predictor_corrector(CORRECTED, score_at_t, pair, x, 0, sample, *only, ops=ops)
        return final_sample(states)

    def correct(t, x, seed, sample, ops):
        eps = CORRECTOR_STEP * CORRECTED.noise_power(t)
        return corrector(x, score_at_t(x, t), eps, Key(0, sample, 0, 0), ops)

    for pair in pairwise(karras(CORRECTED, CORRECTED_LEVELS)):
        mass = transition_density(predict, pair) @ mass
        K = transition_density(correct, pair[1])
        for _ in range(corrections):
            mass = K @ mass
        mass /= mass.sum()
    return LINE, mass


def transition_density(step, times):
    """The density of a step on LINE [n,n], from each point of LINE."""
    mean, moved = mean_and_shifted(step, times, LINE)
    return gaussian_kernel(LINE, mean, float(moved[0] - mean[0])) * (LINE[1] - LINE[0])


def classifier_gradient(mixture, k, x):
    """∇log p(class k | x) [n,d] of the exact classifier, the responsibilities r(x).

    log r_k = l_k - log sum_j exp(l_j) with l_j = log(w_j N_j).  Its derivative with respect to l_j
    is delta_jk - r_j, and ∇l_j = C_j^{-1} (mu_j - x).
    """
    r, inverse = mixture.responsibilities(x), np.linalg.inv(mixture.full)
    slopes = np.einsum("jab,njb->nja", inverse, mixture.means - x[:, None])
    return np.einsum("nj,nja->na", np.eye(len(mixture.weights))[k] - r, slopes)


def distributions(outcome, steps, ops=reference_ops):
    """Mean and standard deviation of the tilted distribution, of the ODE and of the SDE."""
    rows, halved, apart, changed = [], 0.0, 0.0, 0.0
    for title, mixture in mixtures(ops).items():
        data = component(mixture)
        data = np.array((data.mean[0], data.covariance[0, 0] ** 0.5))
        for w in WEIGHTS:
            exact, flow = moments(tilted(mixture, w)), moments(ode(mixture, w))
            limit, error = sde_limit(mixture, w, steps, "beta")
            other, other_error = sde_limit(mixture, w, steps, "posterior")
            rows.append((title, w, *exact, *flow, *limit.tolist(), *error.tolist()))
            halved = max(halved, np.abs(np.subtract(flow, moments(ode(mixture, w, 100)))).max())
            apart = max(apart, (np.abs(limit - other) / (error + other_error)).max())
            if w == 1:
                errors = (np.abs(found - data).max() for found in (exact, flow))
                changed = max(changed, *errors, (np.abs(limit - data) - error).max())
    outcome.tables["Guided mixtures, class N(1, 1) or N(2, 1): mean and standard deviation"] = (
        ("data", "w", "tilted", "sd", "ODE", "sd", "SDE", "sd", "error of mean", "of sd"),
        rows,
    )
    outcome.check(
        "mixtures: w = 1 gives the class, by tilting, ODE and SDE",
        f"differences of {changed:.1e} beyond the SDE's error",
        changed < START_ERROR,
    )
    outcome.check(
        "mixtures: the ODE in 100 and in 200 steps of fourth order agree",
        f"to {halved:.1e}",
        halved < 15 * START_ERROR,
    )
    outcome.check(
        "mixtures: DDPM with either variance tends to the same SDE",
        f"{apart:.2f} of the extrapolation's errors apart",
        apart < 1,
    )


def correctors(outcome, ops=reference_ops):
    """Langevin steps at every level carry the samples of the SDE to the tilted distribution.

    Langevin steps of length eps leave a Gaussian's deviation too large by about eps / (4 sd).
    """
    rows, largest = [], 0.0
    eps = CORRECTOR_STEP * CORRECTED.noise_power(CORRECTED.t_min)
    for title, mixture in mixtures(ops).items():
        target = moments(tilted(mixture, 3, *CORRECTED.marginal(CORRECTED.t_min)))
        found = [moments(corrected(mixture, 3, m)) for m in CORRECTIONS]
        for name, values, exact in zip(("mean", "sd"), zip(*found), target):
            rows.append((title, name, *values, exact))
            largest = max(largest, abs(values[-1] - exact) / (eps / (2 * target[1])))
    outcome.tables[
        f"m Langevin steps at each of {CORRECTED_LEVELS} levels, w = 3, at sigma = alpha / 10"
    ] = ("data", "", *(f"m = {m}" for m in CORRECTIONS), "tilted"), rows
    outcome.check(
        "mixtures: Langevin correctors reach the tilted distribution within twice their bias",
        f"{largest:.2f} of eps / (2 sd)",
        largest < 1,
    )


def classifier_guidance(outcome, ops=reference_ops):
    """s(x) + w ∇log p(c|x) beside w s(x|c) + (1-w) s(x), at four levels of noise."""
    largest = 0.0
    for mixture in (*mixtures(ops).values(), ring(ops=ops)):
        x = 3 * ops.normal(1, np.arange(200), 0, Purpose.PRIOR, (mixture.dimension,), np.float64)
        for alpha, sigma in ((1.0, 0.1), (0.9, 0.4), (0.5, 0.9), (0.1, 1.0)):
            noised = mixture.noised(alpha, sigma)
            plain, data = noised.score(x), component(noised).score(x)
            for w in WEIGHTS:
                with_classifier = plain + w * classifier_gradient(noised, CLASS, x)
                scale = w * np.abs(data).max() + (1 + w) * np.abs(plain).max()
                difference = np.abs(with_classifier - guide(data, plain, w)).max()
                largest = max(largest, float(difference / scale))
    outcome.check(
        "guidance by the exact classifier equals classifier-free guidance",
        f"to {largest:.1e} of the terms",
        largest < ROUNDING,
    )
