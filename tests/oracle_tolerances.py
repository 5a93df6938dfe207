"""Tolerances of the oracle tests, each with its derivation, and the assertions that apply them.

u is the unit roundoff of the dtype.  A tolerance is relative to a scale that the test passes: the value itself where nothing cancels,
else the sum of the absolute values of the terms.
"""

import numpy as np
from scipy import stats

U = 2.0**-53
U32 = 2.0**-24

# A closed form of at most a dozen operations, each wrong by 1/2 ulp, and library functions (exp, log, cos, ndtr) by at most 4 ulp.
EXACT = 64 * U
EXACT32 = 64 * U32

# Mixtures: log-densities of components reach some hundreds in size, and exp turns their absolute error (a few hundred u) into a
# relative one; triangular solves with condition numbers below 100 are within the same bound.
MIXTURE = 4096 * U

# Trapezoidal sums of analytic functions that vanish at both ends: with 6 points or more a standard deviation the discretisation
# error, exp(-2 pi^2 36), is negligible, and so is the tail beyond 12 deviations, e^{-72}.  The error of the integrand remains
# (exp of a number below 100 in size, the tolerance of mixtures) and the error of pairwise summation.
QUADRATURE = 2 * MIXTURE

# Gauss-Legendre with 200 nodes over a few standard deviations: the same rounding errors, no discretisation error.
GAUSS_LEGENDRE = QUADRATURE

# Products, eigenvalues and singular vectors of matrices of at most 10 rows with condition numbers below 1e4, from at most 1,000 samples:
# sums of 1,000 terms and a few sweeps of rotations, relative to the largest trace or entry that is added or subtracted.
LINEAR_ALGEBRA = 8192 * U

# Singular value decompositions of matrices of at most 150 rows, and products of three of their factors: sums of 150 terms and a backward
# error of about as many roundings, 10 * 150 u < 1e-12, relative to the largest entries times the condition number.
SVD = 1e-12

# Total variation by a first-order method: its error falls linearly once the flat regions are found.  A requirement, as for FITTED.
TV_CONVERGED = 1e-6

# Mass of a density on a grid: a solve with a matrix whose columns sum to 1 errs by a few u times its condition number, below 1e3 here.
MASS = 1e-12

# Slopes of deterministic methods over at least four halvings: the project's requirement.
DETERMINISTIC_ORDER = 0.1

# A requirement, in nats: a linear VAE trained by its gradient comes this close to the likelihood of probabilistic PCA.  L-BFGS stops
# at a gradient g of 1e-9 with an error of g^2 / (2 curvature), or at a gain of 1e-15 per step: both are far less, and 1e-9 is measured.
FITTED = 1e-6

# The loss of score matching on a one-dimensional mixture must end at most 5 % above its minimum: a requirement of the project.
FLOOR = 0.05

# Formulas of an SDE: exponents of at most 64 in size, where a rounding of 64 u becomes a relative error of exp, in a dozen operations;
# derivatives along the imaginary axis, f(t + 1e-30 i).imag / 1e-30, have no cancellation.
SDE_FORMULA = 16 * EXACT

# The error of an adaptive solver of fifth order, in units of its tolerance: the error of each step is below one unit, and the errors of
# some tens of steps differ in sign and decay toward the data.
WITHIN_RK45 = 10

# Log-densities, of size 1 to 10, by an adaptive solver with this tolerance: some hundreds of steps with that error each.
FLOW_SOLVER = {"rtol": 1e-9, "atol": 1e-9}
FLOW_LIKELIHOOD = 1e-6

# Probabilities by an adaptive solver with this tolerance: some tens of steps with that error each.
MASTER_SOLVER = {"rtol": 1e-10, "atol": 1e-12}
MASTER_SOLUTION = 1e-8

# Five sampling steps of a small network in float32: BLAS may sum 72 products in another order in another batch, at each of three layers;
# the first step divides by sqrt(alpha_bar) = 0.006 and multiplies by as much again.
FIVE_STEPS32 = 5 * 3 * 72 * U32 * 16

# The probability that one statistical test fails on a correct program.  Keys are fixed: a test that passes once always passes.
FALSE_ALARM = 1e-6


def accumulated(steps, size=1.0):
    """A sum or product of ``steps`` terms, each with its own rounding, in a running total of magnitude ``size`` in the log: at every step
    the total is rounded (u size) and so is the term (u).  Factor 4 for the terms' own library functions."""
    return 4 * U * (steps + 8) * (1 + size)


# Central differences with step 1e-5 of smooth functions of size and length 1: rounding 8 u / step = 1e-10, times the hundred operations of
# a small network; truncation step^2 / 6 f^{(3)}, which is the same size.
CENTRAL = 1e-7


def central_difference(step, size, width):
    """Fourth-order central differences of a function of magnitude ``size`` that varies over the length ``width``:
    rounding 8 u size / step (the function's own error included: a few hundred u), truncation step^4 f^{(5)} / 30 with f^{(5)} at most
    1e4 / width^5 for mixtures within 5 deviations."""
    return 512 * U * size / step + 1e4 / 30 * (step / width) ** 4 / width


def integrated(steps, rtol, atol, size=1.0):
    """An adaptive solver that keeps the error of each of ``steps`` steps below rtol size + atol, of a flow that magnifies none of them."""
    return steps * (rtol * size + atol)


PRECISE = {"rtol": 1e-10, "atol": 1e-12}  # for a solver that stands for the exact flow: ``integrated`` bounds its error
COARSE = {"rtol": 1e-2, "atol": 1e-2}  # for a solver whose numbers are not compared


def z_score(tests=1, rate=FALSE_ALARM):
    """The two-sided normal quantile at which ``tests`` comparisons together raise a false alarm with probability ``rate``."""
    return stats.norm.isf(rate / tests / 2)


def ks_distance(n, rate=FALSE_ALARM):
    """Largest distance of an empirical cdf of n draws from the true one, except with probability ``rate`` (Dvoretzky, Kiefer, Wolfowitz and
    Massart: P(D > d) <= 2 exp(-2 n d^2), for every n)."""
    return np.sqrt(np.log(2 / rate) / (2 * n))


def assert_close(actual, expected, tolerance, scale=None):
    """|actual - expected| <= tolerance * scale entry by entry; ``scale`` is |expected| where not given."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shapes {actual.shape} and {expected.shape}"
    assert np.isfinite(actual).all(), "not finite"
    allowed = np.broadcast_to(tolerance * (np.abs(expected) if scale is None else scale), actual.shape)
    error = np.abs(actual - expected)
    worst = np.unravel_index((error - allowed).argmax(), error.shape) if error.size else ()
    assert (error <= allowed).all(), f"{actual[worst]} for {expected[worst]} at {worst}: error {error[worst]:.3g} > {allowed[worst]:.3g}"


def assert_printed(actual, printed):
    """``actual`` rounds to the decimal number ``printed``, a string: within half a unit of its last digit, plus rounding for ties."""
    decimals = len(printed.partition(".")[2].partition("e")[0])
    exponent = int(printed.partition("e")[2] or 0)
    assert abs(actual - float(printed)) <= 0.5001 * 10.0 ** (exponent - decimals), f"{actual!r} is not {printed}"


def assert_mean(draws, expected, tests=1):
    """The mean of independent draws [n] or [n,...] is ``expected`` within its standard error; false-alarm rate FALSE_ALARM over all
    entries and all of ``tests`` calls.  Draws must have finite variance and n must be large (thousands)."""
    draws = np.asarray(draws, np.float64)
    error = np.abs(draws.mean(axis=0) - expected)
    allowed = z_score(tests * max(error.size, 1)) * draws.std(axis=0) / np.sqrt(len(draws))
    assert (error <= allowed).all(), f"the largest error of a mean is {np.max(error / allowed):.2f} times the statistical bound"


def assert_slope(steps, errors, order, slack):
    """log |error| against log steps falls with slope -order; ``slack`` bounds the effect of the next order over the steps used."""
    slopes = np.diff(np.log(np.abs(errors))) / np.diff(np.log(steps))
    assert (np.abs(slopes + order) <= slack).all(), f"slopes {slopes}, expected {-order}"


def line(low, high, width):
    """Nodes and weight of the trapezoidal rule from ``low`` to ``high``, 8 points per length ``width``."""
    x = np.linspace(low, high, int(np.ceil((high - low) / width * 8)) + 1)
    return x, x[1] - x[0]


# Against diffusers (tests/peers).  Outputs and gradients of a U-Net, by the norm of a whole tensor: a requirement in float32, 170 u.
# In float64 both sides round 2^29 times finer; a factor of 2^5 allows for sums that torch adds in another order.
PEER_NETWORK = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-5 * 2.0**-24}

# Their time embedding, in float32: log f of up to 9.2 and the product c f, up to 1000, are each rounded, and so is our f: the angle
# c f errs by c f (2 |log f| + 2) u, at most 2 c u for f in (0, 1], and a cosine by as much; 8 u for the cosines themselves.
PEER_EMBEDDING32 = 2 * 1000 * U32 + 8 * U32

# A step of a scheduler is a few coefficients, made of alpha_bar by at most 32 operations, each rounded, as are sums and products with x.
PEER_STEP = 32

# Twelve steps of a whole sampler in float32 with a network that predicts x_0 or v.  No step amplifies an error: each step adds the error
# of the network, and the error carried through the network is about as large again.
PEER_CHAIN = 12 * 2 * PEER_NETWORK[np.dtype(np.float32)]


def betas_table(betas, unit):
    """Bound on the error in the log of a running product of (1 - beta) at every step: beta, 1 - beta and the product are rounded."""
    return unit * np.cumsum(betas / (1 - betas) + 2)


def sensitivity(step, alpha_bar, unit, cancelled):
    """Bound on the rounding error of ``step(alpha_bar)``, an array made by coefficients that come from alpha_bar [T+1], alpha_bar[0] = 1.

    A rounding inside a coefficient changes the result like a rounding of the coefficient or, where 1 - alpha_bar loses digits, like a
    rounding of alpha_bar.  The latter is measured by moving each entry of the table up or down at random by eight roundings, because one
    rounding of float64 is too small to resolve; in about half of eight draws any two entries have the worse signs.  Predictions are
    converted to noise and back in float64; the cancellation there is at most ``cancelled``.
    """
    rng, exact = np.random.default_rng(0), step(alpha_bar)
    signs = rng.choice((-1.0, 1.0), (8, len(alpha_bar))) * (np.arange(len(alpha_bar)) > 0)
    moved = max(np.abs(step(alpha_bar * (1 + 8 * unit * sign)) - exact).max() for sign in signs)
    return PEER_STEP * (moved / 8 + unit * np.abs(exact).max() + U * cancelled)


def lost_in_ratio(beta, unit):
    """Relative error of beta = 1 - alpha_bar_t / alpha_bar_prev, the ratio rounded."""
    return 2 * unit / beta


def root_of_difference(root, unit):
    """Bound on the error of sqrt(a - b) for a, b of at most 1: the difference errs by 4 u, and the root by less if it is large."""
    return (root**2 + 4 * unit) ** 0.5 - root


# The score of a Gaussian between trained levels (test_sampler_distributions.py): a few dozen operations.  The test multiplies it by
# 1 + (sigma / deviation)^{-2} where the noise is computed from x_0, and by 1 + (sigma / deviation)^2 where x_0 is computed from the noise.
RESTATED = 1e-12

# ln(variance) of samples by a sampler that is linear in x: up to a thousand steps of a dozen roundings each.
LINEAR_SAMPLER = 1000 * EXACT

# The same with a start scaled by a float32 number: its square has twice the relative error.
START32 = 16 * U32

# ln(variance) by RK45 with a tolerance of 1e-8 a step, absolute too, for values down to a tenth of a deviation, in some hundred steps.
RK45_SAMPLES = 1e-5

# log(alpha_bar) down to -1,523 in a table: an ulp there is 2.3e-13, and two of them are halved and subtracted.
UNDERFLOWING_TABLE = 1e-12

# Numbers in a CSV file have nine digits.
CSV_DIGITS = 5e-9

# SSIM of numbers below 2: local variances err by some 64 u of the squares, beside the constant C_2 of at least 9e-4 that is added to them.
SIMILARITY = 64 * 4 * U / 9e-4

# Means of samples in float64 are listed with eight digits; two processors differ by some 1e-16 a step.
LISTED_MEANS = 1e-8

# The model captions shows each attribute in more than 97 % of its guided samples (reference/models/README.md).  Of 12 independent samples
# fewer than 9 then show it with probability 3.3e-4.
SHOWN_SHARE = 9 / 12

# The network time of a noise level, by interpolation in a table of the log-SNR: a thousand times the rounding of neighbouring entries.
NETWORK_TIME = 1e-9

# A step of a target from coefficients that the audit measured, for entries of size 1: some hundred roundings, over alpha.
AUDITED_STEP = 1e-13
