"""Intervals for statistics of samples, by resampling (Efron 1979)."""

import numpy as np

from reference.ops.random import Purpose, uniform


def bootstrap(statistic, *samples, resamples=400, seed=5, level=0.95):
    """(low, high): an interval that contains the expectation of ``statistic(*samples)``, over
    samples of these sizes, with about the probability ``level``.

    Each of the arrays samples[n,...] is drawn again from its own rows, with replacement and
    independently of the others, and the statistic is computed anew.  The interval holds the middle
    share ``level`` of the results (percentiles), moved by their mean minus the statistic.

    The move matters for a statistic with a bias, such as the Fréchet distance: drawing again adds
    the bias a second time, and the percentiles alone can lie above the statistic itself.  For a
    mean it is 0 but for chance.  Where a distance is near its least value, the interval is too
    wide: it errs on the safe side.
    """
    results = np.empty(resamples)
    rows = [_rows(len(x), resamples, seed, number) for number, x in enumerate(samples)]
    for k in range(resamples):
        results[k] = statistic(*(x[row[k]] for x, row in zip(samples, rows)))
    bias = results.mean() - statistic(*samples)
    ends = np.quantile(results, ((1 - level) / 2, (1 + level) / 2), method="weibull") - bias
    return float(ends[0]), float(ends[1])


def _rows(n, resamples, seed, number):
    """Indices [resamples,n], uniform on 0 .. n-1."""
    u = uniform(seed, np.arange(resamples), number, Purpose.EVALUATION, (n,))
    return (u * n).astype(np.int64)
