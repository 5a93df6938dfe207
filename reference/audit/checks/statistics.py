"""The statistics of the audit's comparisons of means."""

import numpy as np
from scipy.stats import t as student

# the chance that a right model fails one check, over all of its levels
FALSE_ALARM_RATE = 1e-3


def significantly_positive(mean, variance, freedom, comparisons, rate=FALSE_ALARM_RATE):
    """Is a mean above 0, given the variance of its estimate and the degrees of freedom of that?
    Student's test, one-sided, with ``rate`` shared by ``comparisons`` tests (Bonferroni).
    """
    return bool(mean > student.isf(rate / comparisons, freedom) * np.sqrt(variance))


def paired(difference, comparisons, rate=FALSE_ALARM_RATE):
    """Is the mean of differences [n] of pairs above 0?"""
    n = len(difference)
    variance = difference.var(ddof=1) / n
    return significantly_positive(difference.mean(), variance, n - 1, comparisons, rate)


def above(first, second, comparisons, rate=FALSE_ALARM_RATE):
    """Is the mean of ``first``[n] above that of ``second``[m], two independent sets of samples?
    The lesser number of degrees of freedom is on the safe side.
    """
    variance = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    freedom = min(len(first), len(second)) - 1
    return significantly_positive(
        first.mean() - second.mean(), variance, freedom, comparisons, rate
    )
