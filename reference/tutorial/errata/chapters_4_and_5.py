"""Misprints of the tutorial's chapters 4 and 5."""

import numpy as np

from reference.diffusion.mixtures import Mixture
from reference.diffusion.schedules import constant
from reference.fokker_planck import kramers_moyal
from reference.fokker_planck.fokker_planck import FokkerPlanck
from reference.fokker_planck.langevin_equation import fokker_planck_coefficients, white_noise
from reference.fokker_planck.master_equation import two_states
from reference.ops import normal
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.ancestral import ancestral
from reference.samplers.ode import runge_kutta
from reference.samplers.sde import PREDICTORS, corrector
from reference.sde.sde import VE, OrnsteinUhlenbeck
from reference.tutorial.errata.erratum import Erratum
from reference.tutorial.experiments.chains import fixed_noise_port

NORMAL = Mixture(np.ones(1), np.zeros((1, 1)), np.ones(1))
ONE = np.ones((1, 1))


def reverse_variance():
    """The variance of N(0, 1) data after 100 reverse steps with beta = .05, all with noise.  The
    score is -x at every t.
    """
    schedule = constant(100, 0.05)
    beta, printed, corrected = 0.05, 1.0, 1.0
    gain = _mean_of_step(lambda x, t: schedule.noise_scale(t) * x, schedule)
    for _ in range(100):
        printed = ((1 - beta / 2) / (1 - beta) ** 0.5) ** 2 * printed + beta
        corrected = gain**2 * corrected + beta
    return printed, corrected


def _mean_of_step(predict_noise, schedule):
    """The result of a reverse step without noise from x = 1."""
    states = ancestral(
        predict_noise, schedule, (100, 99), ONE, 0, np.arange(1), "beta", ops=fixed_noise_port(0.0)
    )
    return float(final_sample(states)[0, 0])


def corrected_variance():
    """The stationary variance of a corrector's steps of eps = 0.1 on N(0, 1)."""
    eps = 0.1
    zero = np.zeros((1, 1))
    kept = corrector(ONE, -ONE, eps, None, fixed_noise_port(0.0))[0, 0]
    noise = corrector(zero, zero, eps, (), fixed_noise_port(1.0))[0, 0]
    return eps / (1 - (1 - eps) ** 2), float(noise**2 / (1 - kept**2))


def share_of_prediction():
    return 0.0, float(corrector(ONE, -ONE, 0.1, None, fixed_noise_port(0.0))[0, 0])


def ancestral_noise():
    """Variance of the noise of one step of VE from sigma = 1 to 1/2: by (4.21), and by the
    posterior of x_{i-1}.
    """
    sde = VE()
    t, t_prev = (sde.time_of_log_snr(-2 * float(np.log(sigma))) for sigma in (1.0, 0.5))
    _, _, printed = PREDICTORS["reverse-diffusion"](sde, t, t_prev)
    _, _, corrected = PREDICTORS["ancestral"](sde, t, t_prev)
    return printed**2, corrected**2


def drawn_variance():
    """The stationary variance of Ex 4.4: of x <- x/2 + 0.1 z, and of the SDE."""
    return 0.1**2 / (1 - 0.5**2), OrnsteinUhlenbeck(gamma=0.5, q=0.01).prior_scale ** 2


def integrated_noise(h=0.01):
    """The variance of white noise of intensity 1 summed over a unit of time in steps of 0.01."""
    sample = np.arange(1)
    noise = white_noise(1.0, h, 1, 0, sample)
    standard_normal = normal(0, sample, 0, Purpose.STEP_NOISE, (1,))
    deviation = float(noise[0, 0] / standard_normal[0, 0])
    return h, (h * deviation) ** 2 / h


def decayed():
    return float(np.exp(-0.5)), 2 * OrnsteinUhlenbeck(gamma=0.5).signal(1.0)


def first_stage():
    """k_1 of Ex 4.8 at x(0) = 2."""
    f = lambda x, t: (x + t**2 - 2) / (t + 1)
    end = final_sample(runge_kutta(f, (0.0, 0.5), np.array([2.0]), "euler"))
    return f(0.0, 2.0), float(end[0] - 2.0) / 0.5


def rate_at_the_top():
    """dp/dt at x = 0 for p = N(0, 1), D1 = 0, D2 = 1, by one short step."""
    equation = FokkerPlanck(-6.0, 6.0, 1201, lambda x: 0.0, lambda x: 1.0)
    p = equation.density(lambda x: np.exp(-(x**2) / 2))
    _, later = next(equation.solve(p, 1e-6, 1))
    middle = 600
    return float(p[middle]), float((later - p)[middle] / 1e-6)


def wiener_growth():
    """The variance that noise of intensity 2 adds in a unit of time, 2 D2 with the coefficient D2
    of the Kramers-Moyal expansion.
    """
    D2 = kramers_moyal.ornstein_uhlenbeck(1e-9, 2.0, 0.0, 1.0, 2)
    return 2 * D2 / 2, 2 * float(D2)


def pawula():
    """Left side over right side for m = 6 and jumps N(0, 1) at rate 1."""
    moment = lambda m: kramers_moyal.gaussian_moment(0.0, 1.0, m)
    D = {m: kramers_moyal.compound_poisson(1.0, moment, m) for m in range(1, 9)}
    (row,) = (row for row in kramers_moyal.pawula(D) if row[0] == 6)
    return float(D[6] / (D[4] * D[8])), float(row[1] / row[2])


def diffusion_of_vp():
    """D2 / beta for dx = -beta/2 x dt + sqrt(beta) dw: with g = sqrt(beta), and with the g for
    noise of intensity 2.
    """
    beta = 0.7
    drift = lambda x: -0.35 * x

    def share(deviation):
        g = lambda x: np.full_like(x, deviation)
        _, D2 = fokker_planck_coefficients(drift, g, np.zeros_like)
        return float(D2(np.ones(1))[0]) / beta

    return share(beta**0.5), share((beta / 2) ** 0.5)


def additive_drift():
    """D1 at x = 2 for dxi/dt = A(xi) xi + Gamma with A = -1."""
    D1, _ = fokker_planck_coefficients(lambda x: -x, np.ones_like, np.zeros_like)
    return -1.0, float(D1(np.array([2.0]))[0])


def current():
    """S at x = 1 for p = N(0, 1), D1 = 0, D2 = 1."""
    equation = FokkerPlanck(-6.0, 6.0, 1200, lambda x: 0.0, lambda x: 1.0)
    p = equation.density(lambda x: np.exp(-(x**2) / 2))
    return 0.0, float(equation.current(p)[700])


def other_state():
    """The probability of the other of two states after t = 2; both rates are 1."""
    return 1.0 * 2.0, float(two_states(1.0, 1.0, 0.0, 2.0))


def change_in_a_growing_current():
    """dp/dt at the centre for p = 1 and D1 = x, from the current S on both faces of a cell."""
    equation = FokkerPlanck(-1.0, 1.0, 201, lambda x: x, lambda x: 1.0)
    growth = float(np.diff(equation.current(np.ones(201)))[100] / equation.dx)
    return growth, -growth


def stationary_ratio():
    """p(1) / p(0) of dxi/dt = (log W)'(xi) + Gamma, intensity 2, for W = N(0, 1): with p = e^W, and
    for the stationary distribution of the Fokker-Planck equation.
    """
    W = np.exp(NORMAL.log_density(np.array([[1.0], [0.0]])))
    drift = lambda x: NORMAL.score(x[:, None])[:, 0]
    equation = FokkerPlanck(-6.0, 6.0, 1200, drift, lambda x: 1.0)
    p = np.interp([1.0, 0.0], equation.centres, np.log(equation.stationary()))
    return float(np.exp(W[0] - W[1])), float(np.exp(p[0] - p[1]))


def scores_of_two_views():
    """The score at x = 1 with alpha_bar = 1/2, from VE at the same sigma: at x itself, and at
    x / sqrt(alpha_bar).
    """
    scale = 0.5**0.5
    exploding = NORMAL.noised(1.0, 1.0)
    corrected = exploding.score(ONE / scale) / scale
    return float(exploding.score(ONE)[0, 0]), float(corrected[0, 0])


ROWS = (
    Erratum(
        "E5",
        "(4.17), Ex 4.7",
        "(x_i + beta_i/2 s) / sqrt(1 - beta_i) + ...",
        "(x_i + beta_i s) / sqrt(1 - beta_i) + ...",
        "variance of N(0, 1) data after 100 reverse steps, beta = .05",
        reverse_variance,
        "1.000000",
    ),
    Erratum(
        "E11",
        "corrector for score matching, p. 64",
        "x + eps grad s + sqrt(eps) z",
        "x + eps s + sqrt(2 eps) z",
        "stationary variance on N(0, 1), eps = 0.1",
        corrected_variance,
        "1.052632",
    ),
    Erratum(
        "E11b",
        "Algorithm 1",
        "the corrector computes x_{i-1} from x_i again",
        "it starts from the predicted x_{i-1}, with the score of that level",
        "remaining share of the prediction, N(0, 1), eps = 0.1",
        share_of_prediction,
        ".900000",
    ),
    Erratum(
        "E11c",
        "after (4.21)",
        "(4.21) is the reverse update of score matching",
        "it is the reverse diffusion step of VE; the posterior has less noise",
        "variance of the noise from sigma = 1 to 1/2",
        ancestral_noise,
        ".187500",
    ),
    Erratum(
        "E13",
        "Ex 4.3, Ex 4.4",
        "increments N(0, 1) and drift -alpha/2 x for any dt",
        "N(0, dt) and -alpha/2 x dt",
        "stationary variance of Ex 4.4",
        drawn_variance,
        ".010000",
    ),
    Erratum(
        "E13b",
        "Sec. 4.2, 5.1",
        "Gamma(t) ~ N(0, 1) for each t",
        "E[Gamma(t) Gamma(s)] = q delta(t - s): N(0, q/h) over a step h",
        "variance of its integral over a unit of time, q = 1, h = 0.01",
        integrated_noise,
        "1.000000",
    ),
    Erratum(
        "E13c",
        "(4.3)",
        "x(t) = e^{-beta t/2}",
        "x_0 e^{-beta t/2}",
        "x(1) from x_0 = 2, beta = 1",
        decayed,
        "1.213061",
    ),
    Erratum(
        "E13d",
        "Runge-Kutta, Sec. 4.4",
        "k_1 = f(x_i, t_i) of an f(t, x)",
        "f(t_i, x_i)",
        "k_1 of Ex 4.8 from x(0) = 2",
        first_stage,
        ".000000",
    ),
    Erratum(
        "E14",
        "Thm 5.7",
        "sum_m - d^m/dx^m (D^(m) p)",
        "sum_m (-d/dx)^m (D^(m) p)",
        "dp/dt at the maximum of N(0, 1), D2 = 1",
        rate_at_the_top,
        "-.39893",
    ),
    Erratum(
        "E14b",
        "(5.34)",
        "1/m! beside D^(m)",
        "no 1/m!: D^(m) contains it",
        "variance added in a unit of time, q = 2",
        wiener_growth,
        "2.000000",
    ),
    Erratum(
        "E14c",
        "Thm 5.8, proof",
        "D_6 <= D_4 D_8",
        "(6! D_6)^2 <= 4! D_4 8! D_8",
        "left side over right side for jumps N(0, 1) at rate 1",
        pawula,
        ".714286",
    ),
    Erratum(
        "E15",
        "Thm 5.9",
        "D2 = g^2 with the g of the SDE",
        "the theorem's noise has intensity 2: g = sqrt(beta/2) for DDPM",
        "D2 / beta of the VP SDE",
        diffusion_of_vp,
        ".500000",
    ),
    Erratum(
        "E15b",
        "Ex 5.4",
        "drift A(xi) xi in the SDE, A(x) in the Fokker-Planck equation",
        "D1 = A(x) x",
        "D1 at x = 2, A = -1",
        additive_drift,
        "-2.000000",
    ),
    Erratum(
        "E15c",
        "(5.44)",
        "S = [D1 - d/dx D2] p",
        "S = D1 p - d/dx (D2 p)",
        "S at x = 1 of N(0, 1), D1 = 0, D2 = 1",
        current,
        ".2420",
    ),
    Erratum(
        "E15d",
        "Sec. 5.2, p. 76",
        "the integral of W dt is the probability of a transition",
        "W dt is that probability for short times and to other states",
        "probability of the other of two states after t = 2, rates 1",
        other_state,
        ".490842",
    ),
    Erratum(
        "E15e",
        "p. 85",
        "S(x) - S(x + dx) = dS/dx dx",
        "-dS/dx dx",
        "dp/dt where p = 1, D1 = x",
        change_in_a_growing_current,
        "-1.000000",
    ),
    Erratum(
        "E15f",
        "Ex 5.7",
        "tau d log p = sig^2 dW, so p = e^W",
        "sig^2 d log W, so p = W",
        "p(1) / p(0) for W = N(0, 1)",
        stationary_ratio,
        ".6065",
    ),
    Erratum(
        "E20",
        "remark, p. 63",
        "VP and VE are equivalent",
        "through x / sqrt(alpha_bar), at equal log-SNR, with one network",
        "score of N(0, 1) data at x = 1, alpha_bar = 1/2, by VE",
        scores_of_two_views,
        "-1.000000",
    ),
)

LEFT_OUT = {
    "E17": "e^{+jwx} and a mixed normalisation: every consistent pair gives the same result",
}
