"""Misprints of the tutorial's chapters 1 to 3."""

from itertools import pairwise

import numpy as np

from reference.ddpm.ddpm import elbo_weight, posterior, reconstruction_term
from reference.diffusion.forward_process import forward
from reference.diffusion.mixtures import Mixture, example_3_2
from reference.diffusion.schedules import constant, linear
from reference.ops import uniform
from reference.ops.random import Purpose
from reference.samplers import final_sample
from reference.samplers.annealed_langevin import step_sizes
from reference.samplers.langevin import gradient_ascent, langevin, sgld
from reference.smld.kernel_density import kernel_density
from reference.tutorial.errata.erratum import Erratum
from reference.vae.estimators import pathwise_gradient
from reference.vae.gaussian import kl_diagonal, log_density
from reference.vae.linear import toy

SIGNS = np.array([[-1.0], [1.0]])  # their average is exact for quadratics


def limitation():
    """Mean ELBO of N(0, 1) data: at t = 1, s = sig, and close to the supremum."""
    at = lambda t: float(toy(1.0, 0.0, t, 1.0, 0.0, t).elbo(SIGNS).mean())
    return at(1.0), at(1e-4)


def sign_of_kl():
    model = toy(0.5, 0.0, 0.5, 1.0, 0.0, 0.5)
    x = np.array([[2.0]])
    printed = model.reconstruction(x) + model.kl(x) - model.log_likelihood(x)
    corrected = model.elbo(x) - model.log_likelihood(x)
    return float(printed[0]), float(corrected[0])


def dimension_in_kl():
    d, deviation = 3, 0.5
    printed = (d * deviation**2 - d - 2 * np.log(deviation)) / 2
    return printed, float(kl_diagonal(np.zeros(d), deviation**2))


def decoder_density():
    x = np.linspace(-20, 20, 4001)[:, None]
    c, z, ones = 2.0, 1.0, np.ones(1)
    printed = Mixture(ones, np.array([[z]]), ones).log_density(c * x)
    corrected = Mixture(ones, np.array([[c * z]]), ones).log_density(x)
    return tuple(float(np.trapezoid(np.exp(log_p), x[:, 0])) for log_p in (printed, corrected))


def reconstruction_constant():
    """E_q[log p(x|z)] at x = 0 for d = 3 and s = 1/2.  The decoder's only error is the noise of q,
    t = 1/10.
    """
    d, s, t = 3, 0.5, 0.1
    printed = -d * t**2 / (2 * s**2) - np.log(2 * np.pi) / 2 - np.log(s)
    corrected = toy(1.0, 0.0, t, 1.0, 0.0, s, d).reconstruction(np.zeros((1, d)))[0]
    return printed, float(corrected)


def gradient_of_elbo():
    """d/dmean at q = N(0, 1), x = 1, p(x, z) = N(z; 0, 1) N(x; z, 1): E[grad log q], and
    E[grad (log p - log q)].
    """
    along_path, _ = pathwise_gradient(lambda z: (1 - z) - z, np.zeros(1), np.zeros(1), SIGNS)
    return float(SIGNS.mean()), float(along_path.mean())


def expectation_of_thm_2_3():
    """-ELBO of x_0 = 1 under a linear chain of two steps p(x_{t-1} | x_t) = N(k x_t, r).

    All averaged functions are quadratic, so that x_1 and x_2 given x_1 take their mean plus or
    minus one deviation instead of a Gaussian.
    """
    schedule, k, r = constant(2, 0.5), 0.5, 0.25
    log_normal = lambda x, mean, variance: float(
        (-((x - mean) ** 2) / variance - np.log(2 * np.pi * variance)).mean() / 2
    )
    signal = schedule.signal(1)
    deviation = schedule.beta(1, 0) ** 0.5
    x1 = np.repeat(signal + deviation * SIGNS[:, 0], 2)
    x2 = signal * x1 + deviation * np.tile(SIGNS[:, 0], 2)
    reconstruction = log_normal(1.0, k * x1, r)
    prior = log_normal(x2, 0.0, 1.0) - log_normal(x2, signal * x1, deviation**2)
    entropy = -log_normal(x1, signal, deviation**2)
    joint = log_normal(x1, k * x2, r)
    # as printed, x_1 is drawn from q(x_1 | x_0) independently of x_2
    independent_x1 = np.repeat(signal + deviation * SIGNS[:, 0], 4)
    printed = log_normal(independent_x1, k * np.tile(x2, 2), r)
    others = reconstruction + prior + entropy
    return -(others + printed), -(others + joint)


def final_variance():
    """Final variance of DDPM with the exact denoiser on N(0, 1).  There x_t is N(0, 1) at every t
    and E[x_0 | x_t] = sqrt(alpha_bar_t) x_t.
    """
    schedule, variances = linear(1000), []
    for misprint in (True, False):
        v = 1.0
        for t, t_prev in pairwise(schedule.timesteps(1000)):
            c_x, c_x0, variance = posterior(schedule, t, t_prev)
            if misprint and t_prev:
                variance *= (1 - schedule.signal(t_prev)) / schedule.noise_power(t_prev)
            v = (c_x + c_x0 * schedule.signal(t)) ** 2 * v + variance
        variances.append(v)
    return tuple(variances)


def noise_weight():
    schedule, t = constant(), 50
    A = schedule.signal_power(t)
    A_prev = schedule.signal_power(t - 1)
    _, _, variance = posterior(schedule, t, t - 1)
    printed = 0.03**2 * A_prev / ((1 - A) ** 2 * 2 * variance)
    return printed, elbo_weight(schedule, t, t - 1, "noise")


def last_term():
    """The t = 1 term for x_0 = 0 and a denoiser with error 0.1: the weighted square of the error,
    and -log p of a decoder of variance beta_1.
    """
    schedule = constant()
    x0 = np.zeros((1, 1))
    prediction = np.full((1, 1), 0.1)
    corrected = reconstruction_term(x0, prediction, np.log(schedule.beta(1, 0)))
    return elbo_weight(schedule, 1, 0) * 0.1**2, float(corrected[0])


def density_at_one_deviation():
    at_deviation = log_density(np.ones(1), 0.0, np.ones(1))
    at_mean = log_density(np.zeros(1), 0.0, np.ones(1))
    return float(np.exp(0.5)), float(np.exp(at_deviation - at_mean))


def variance_of_twice():
    """A = 2, L = 1.  The corrected variance follows from the density at 0 of a decoder that doubles
    z, 1 / sqrt(2 pi variance).
    """
    log_p = toy(0.0, 0.0, 1.0, 2.0, 0.0, 1e-6).log_likelihood(np.zeros((1, 1)))[0]
    return 2.0 * 1.0 / 2.0, float(np.exp(-2 * log_p) / (2 * np.pi))


def sgld_variance():
    """The stationary variance of x <- 0.95 x + N(0, 1), and the variance of 40,000 particles after
    100 steps of SGLD with e = 0.1.
    """
    sample = np.arange(40_000)
    start = np.zeros((len(sample), 1))
    x = final_sample(sgld(lambda x, n: -x, start, lambda n: 0.1, 100, 0, sample))
    return 1 / (1 - 0.95**2), float(x.var())


def histogram_of_figure_3_4():
    """The mass right of the density's minimum, -0.8207: of the target, and of 10,000 particles
    after 100 steps from U[-3, 3].
    """
    distribution = example_3_2()
    sample = np.arange(10_000)
    start = 6 * uniform(0, sample, 0, Purpose.PRIOR, (1,)) - 3
    x = final_sample(langevin(distribution.score, start, 0.01, 100, 0, sample))
    return 1 - float(distribution.cdf(-0.8207)), float((x > -0.8207).mean())


def annealed_variance():
    """Final variance of annealed Langevin dynamics on N(0, 1) data, by its recursion: ten levels
    from 10 to 0.6, 100 steps each.
    """
    sigmas, results = np.geomspace(10, 0.6, 10), []
    for epsilon in (1.0, 0.2 * 0.6**2):
        v = 1.0
        for sigma, a in zip(sigmas, step_sizes(sigmas, epsilon)):
            for _ in range(100):
                v = (1 - a / (2 * (1 + sigma**2))) ** 2 * v + a
        results.append(float(v))
    return tuple(results)


def target_slope():
    """The slope of the best linear s(x) at x = x_0 + z, with x_0 and z ~ N(0, 1): E[target x] /
    E[x^2] with the target z, or -z.
    """
    distribution = Mixture(np.ones(1), np.zeros((1, 1)), np.ones(1))
    return 0.5, float(distribution.noised(1.0, 1.0).score(np.ones((1, 1)))[0, 0])


def minimiser():
    """The slope of the score that denoising at sigma = 1 learns from N(0, 1) data: the score of the
    clean density, and of the noised density.
    """
    distribution = Mixture(np.ones(1), np.zeros((1, 1)), np.ones(1))
    at_one = np.ones((1, 1))
    scores = (distribution.score(at_one), distribution.noised(1.0, 1.0).score(at_one))
    return tuple(float(score[0, 0]) for score in scores)


def kernel_integral():
    """The integral over the plane of a kernel density with h = 1/2 and two points."""
    h = 0.5
    line = np.linspace(-6, 6, 241)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    density = np.exp(kernel_density(np.array([[0.0, 0.0], [1.0, -1.0]]), h).log_density(grid))
    corrected = float(density.sum() * (line[1] - line[0]) ** 2)
    return corrected * h**2 / h, corrected


def ascent():
    """log p after ten steps of 0.01 from x = 0 on the mixture of Ex 3.2."""
    distribution = example_3_2()
    x = np.zeros((1, 1))
    down = final_sample(gradient_ascent(lambda x: -distribution.score(x), x, 0.01, 10))
    up = final_sample(gradient_ascent(distribution.score, x, 0.01, 10))
    return float(distribution.log_density(down)[0]), float(distribution.log_density(up)[0])


def signal_of_x_50():
    schedule = constant()
    one_step = np.sqrt(schedule.signal_power(50) / schedule.signal_power(49))
    return float(one_step), schedule.signal(50)


def mean_of_x_50():
    schedule = constant()
    mean = forward(schedule, np.ones((1, 1)), 50, np.zeros((1, 1)))
    return schedule.signal_power(50), float(mean[0, 0])


def sum_of_coefficients():
    return 1.0, float(sum(posterior(constant(10, 0.1), 10, 9)[:2]))


ROWS = (
    Erratum(
        "E1",
        "Ex 1.6",
        "the ELBO is largest at t = 1, s = sig",
        "its supremum is at s = sig t, t -> 0, where the bound is tight",
        "mean ELBO of N(0, 1) data there",
        limitation,
        "-1.418939",
    ),
    Erratum(
        "E2",
        "Thm 1.4, (1.35)",
        "reconstruction + KL",
        "reconstruction - KL",
        "ELBO minus log p(x), never positive, of the one-dimensional example at x = 2",
        sign_of_kl,
        "-.913428",
    ),
    Erratum(
        "E2b",
        "Ex 1.3",
        "p(x|z) = N(z; c x + v, s^2 I)",
        "N(x; c z + v, s^2 I)",
        "its integral over x for c = 2",
        decoder_density,
        "1.000000",
    ),
    Erratum(
        "E2c",
        "Ex 1.5",
        "-1/2 log(2 pi) - log s",
        "-d/2 log(2 pi) - d log s",
        "reconstruction term, d = 3, s = 1/2",
        reconstruction_constant,
        "-.737374",
    ),
    Erratum(
        "E2d",
        "(1.15), Ex 1.8",
        "grad ELBO from E_q[grad log q] alone",
        "E[grad (log p(x, z) - log q(z|x))] along the path z(eps)",
        "d ELBO / d mean of a q that should move by +1",
        gradient_of_elbo,
        "1.000000",
    ),
    Erratum(
        "E2e",
        "(1.34)",
        "d s^2 - d + |m|^2 - 2 log s",
        "d s^2 - d + |m|^2 - 2 d log s",
        "KL(N(0, I/4) to N(0, I)), d = 3",
        dimension_in_kl,
        ".954442",
    ),
    Erratum(
        "E3",
        "Thm 2.3, (2.14)",
        "x_t is averaged over q(x_t|x_{t-1}), independently of x_{t+1}",
        "the average is over the joint distribution of x_{t-1}, x_t, x_{t+1}",
        "-ELBO of a linear chain of two steps",
        expectation_of_thm_2_3,
        "1.897364",
    ),
    Erratum(
        "E4",
        "Thm 2.5, (2.26)",
        "(1 - alpha)(1 - sqrt(alpha_bar_prev)) / (1 - alpha_bar)",
        "(1 - alpha)(1 - alpha_bar_prev) / (1 - alpha_bar), as in (2.32)",
        "final variance of DDPM on N(0, 1), T = 1000",
        final_variance,
        ".991",
    ),
    Erratum(
        "E4b",
        "(2.28)",
        "exp{+ (x - mu)^2 / (2 sigma_q^2)}",
        "exp{- ...}",
        "the density one deviation from its mean, divided by the density at the mean",
        density_at_one_deviation,
        ".606531",
    ),
    Erratum(
        "E4c",
        "p. 30, Fig 2.9",
        "mu_q lies on the line through x_t and x_0",
        "the coefficients do not sum to 1",
        "their sum at alpha = .9, t = 10",
        sum_of_coefficients,
        ".9878",
    ),
    Erratum(
        "E6",
        "training algorithm, p. 36",
        "x_t = alpha_bar_t x_0 + ...",
        "x_t = sqrt(alpha_bar_t) x_0 + ...",
        "mean of x_50 for x_0 = 1, alpha = .97",
        mean_of_x_50,
        ".466975",
    ),
    Erratum(
        "E6c",
        "noise loss (version 1)",
        "(1 - alpha)^2 alpha_bar_prev / (1 - alpha_bar)^2",
        "(1 - alpha)^2 / ((1 - alpha_bar) alpha), as in version 3",
        "weight of the noise loss over 2 sigma_q^2 at t = 50, alpha = .97",
        noise_weight,
        ".019949",
    ),
    Erratum(
        "E7",
        "Thm 2.7, (2.44)",
        "t = 1 has the weight of the other times, 1 / (2 sigma_q(1)^2) = 1/0",
        "a decoder with a variance of its own",
        "the t = 1 term for an error of 0.1, alpha = .97",
        last_term,
        "-.667674",
    ),
    Erratum(
        "E8",
        "remark on SGLD, Sec. 3.1",
        "noise N(0, I) with a step of e_t / 2",
        "N(0, e_t I)",
        "stationary variance for N(0, 1), e = 0.1",
        sgld_variance,
        "1.02564",
        0.0355,
    ),
    Erratum(
        "E9",
        "Ex 3.3, Fig 3.4",
        "100 steps from U[-3, 3] give the target",
        "the share of each mode's basin stays nearly the initial one",
        "mass right of the density's minimum",
        histogram_of_figure_3_4,
        ".6318",
        0.0236,
    ),
    Erratum(
        "E10",
        "Sec. 3.3",
        "a_i = sigma_i^2 / sigma_L^2",
        "a_i = epsilon sigma_i^2 / sigma_L^2",
        "final variance for N(0, 1) at sigma_L = 0.6, where 1.36 is exact",
        annealed_variance,
        "1.38",
    ),
    Erratum(
        "E10b",
        "(3.11)",
        "the network predicts z / sigma",
        "-z / sigma",
        "slope of the score learned from N(0, 1) at sigma = 1",
        target_slope,
        "-.500000",
    ),
    Erratum(
        "E10c",
        "Thm 3.4",
        "denoising finds the score of p",
        "it finds the score of p with noise",
        "slope of the score for N(0, 1) at sigma = 1",
        minimiser,
        "-.500000",
    ),
    Erratum(
        "E10d",
        "(3.5)",
        "q_h = 1/M sum 1/h K((x - x_m)/h) in any dimension",
        "h^{-d} instead of 1/h",
        "its integral over the plane, h = 1/2",
        kernel_integral,
        "1.000000",
    ),
    Erratum(
        "E12",
        "Sec. 2.6",
        "alpha_t changes its meaning to alpha_bar_t without notice",
        "x_t = sqrt(alpha_bar_t) x_0 + ... throughout",
        "signal of x_50, alpha = .97, for the two meanings",
        signal_of_x_50,
        ".466975",
    ),
    Erratum(
        "E12b",
        "Thm 2.8",
        "covariance A L^{-1} A^{-1}",
        "A L^{-1} A^T",
        "variance of 2 x for x ~ N(0, 1)",
        variance_of_twice,
        "4.000000",
    ),
    Erratum(
        "E19",
        "Sec. 3.1",
        "gradient descent",
        "gradient ascent",
        "log p after ten steps from x = 0, Ex 3.2",
        ascent,
        "-4.27264",
    ),
)

LEFT_OUT = {
    "E6b": "argmin is printed where the ELBO has argmax: a word only",
    "E10e": "a sum over i stands around a vector expression",
    "E10f": "a log is missing in one line of a proof",
    "E12c": "sigma_t of DDIM is not given, so no printed form can be wrong",
    "E16": "one step has three notations, all correct",
    "E18": "the name of InDI is misprinted",
}
