"""The distributions that samplers with classifier-free guidance draw from, for Gaussian data in
closed form.

Unconditional data N(0, A), data of the class N(0, B), weight w (``guidance.guide``), no noise at
the end and infinite noise at the start.  Three distributions differ, except at w = 1 and A = B
(Bradley and Nakkiran 2024):

    the tilted distribution p(x|c)^w p(x)^{1-w}:   variance 1 / (w/B + (1-w)/A),
    samples by the probability-flow ODE (DDIM):    variance B^w A^{1-w},
    samples by the reverse SDE (DDPM):
        variance (A B - A^{2-2w} B^{2w}) / ((2w-1) (A-B)).

Derivation.  Let s = sigma^2 be the variance of the noise, x = x_0 + sigma eps.  The guided score is

    w ∇log N(x; 0, B+s) + (1-w) ∇log N(x; 0, A+s) = -k(s) x,   k(s) = w/(B+s) + (1-w)/(A+s).

Let G(s) = (B+s)^w (A+s)^{1-w}, so that d log G/ds = k.  As s falls from S, the variance V(s) of the
samples follows

    ODE  dx/ds = k x/2:                          dV/ds = k V,
         V(s) = V(S) G(s) / G(S),
    SDE  dx = k x ds + noise of variance |ds|:   dV/ds = 2 k V - 1,   d/ds (V/G^2) = -1/G^2,
         V(s) = G(s)^2 [V(S) / G(S)^2 + int_s^S du / G(u)^2].

With r(u) = (A+u) / (B+u), dr/du = (B-A) / (B+u)^2, the integrand is G^{-2} = r^{2w-2} / (B+u)^2 and

    int_s^S du / G(u)^2 = [r(s)^{2w-1} - r(S)^{2w-1}] / ((2w-1) (A-B)).

At w = 1/2 the difference becomes log r(s) - log r(S) (a Box-Cox transform).  For S -> infinity
G(S) / S and r(S) tend to 1, and V(S) = S gives the formulas above.

With x / alpha for x and sigma^2 / alpha^2 for s, all this holds for any schedule.  The variances
are for one direction of the data.
"""

from math import inf

from scipy.special import boxcox


def tilted_variance(conditional, unconditional, weight):
    """1 / (w/B + (1-w)/A), B = ``conditional``, A = ``unconditional``.  ValueError where this is
    not positive: p(x|c)^w p(x)^{1-w} then has an infinite integral.
    """
    precision = weight / conditional + (1 - weight) / unconditional
    if not precision > 0:
        raise ValueError(
            "the tilted distribution needs w / B + (1 - w) / A > 0,"
            f" got {precision:.4g} for B = {conditional:g}, A = {unconditional:g}, w = {weight:g}"
        )
    return 1 / precision


def ode_variance(conditional, unconditional, weight, high=inf, low=0.0, start=None):
    """The variance of samples by the probability-flow ODE at noise of variance ``low``, from N(0,
    ``start``) at noise of variance ``high``; ``start`` is ``high`` where it is None.
    """
    if high == inf:
        return _geometric(conditional + low, unconditional + low, weight)
    start = high if start is None else start
    shrunk = _geometric(
        (conditional + low) / (conditional + high),
        (unconditional + low) / (unconditional + high),
        weight,
    )
    return start * shrunk


def sde_variance(conditional, unconditional, weight, high=inf, low=0.0, start=None):
    """As ``ode_variance``, by the reverse SDE.  ValueError for equal variances: there guidance
    changes nothing, and samples have that variance plus ``low``.
    """
    A, B = unconditional, conditional
    if A == B:
        raise ValueError(f"the variances A and B must differ, got {A:g} for both")
    power = 2 * weight - 1
    ratio = 1.0 if high == inf else (A + high) / (B + high)
    integral = (boxcox((A + low) / (B + low), power) - boxcox(ratio, power)) / (A - B)
    fresh = float(_geometric(B + low, A + low, weight) ** 2 * integral)
    if high == inf:
        return fresh
    start = high if start is None else start
    # a variance follows the square of the ODE's growth
    return fresh + start * ode_variance(B, A, weight, high, low, 1.0) ** 2


def interval_variance(conditional, unconditional, weight, low, high):
    """The ODE's variance with guidance only where the noise has a variance between ``low`` and
    ``high``, and the conditional score elsewhere (Kynkäänniemi et al. 2024).

    The product of the growths G(s) / G(S) of the three intervals, w = 1 in the outer ones, is

        B [(B+low) (A+high) / ((B+high) (A+low))]^{w-1}.
    """
    A, B = unconditional, conditional
    far = 1.0 if high == inf else (A + high) / (B + high)
    return B * ((B + low) / (A + low) * far) ** (weight - 1)


def composed_variance(first, second, unconditional):
    """The ODE's variance B_1 B_2 / A with the score s_1 + s_2 - s of two conditions: as above with
    G = (B_1+s) (B_2+s) / (A+s).
    """
    return first * second / unconditional


def product_variance(first, second, unconditional):
    """The variance 1 / (1/B_1 + 1/B_2 - 1/A) of the product p(x|c_1) p(x|c_2) / p(x) that the
    composition names.  ValueError where this is not positive.
    """
    precision = 1 / first + 1 / second - 1 / unconditional
    if not precision > 0:
        raise ValueError(
            f"the product distribution needs 1 / B_1 + 1 / B_2 - 1 / A > 0, got {precision:.4g}"
        )
    return 1 / precision


def _geometric(conditional, unconditional, weight):
    """B^w A^{1-w}, the weighted geometric mean."""
    return conditional**weight * unconditional ** (1 - weight)
