"""A step of the reverse SDE with the exact score of a mixture, for libraries that fuse it into one loop over the particles.

Particles are d arrays [n], one for each coordinate.  Terms that depend on the distribution only are computed beforehand.  (With one array
[d,n], XLA would compute all coordinates of the score for every coordinate, eight times slower.)
"""

from functools import reduce

import numpy as np


def tables(workload, array):
    """For every step: means [k,d], inverse covariances [k,d,d], log-weights plus the Gaussians' log-constants [k], and (a, b, c)."""
    rows = []
    for weights, means, covariances, coefficients in workload.tables(np.float64):
        constants = np.log(weights) - np.log(np.linalg.det(covariances)) / 2
        row = means, np.linalg.inv(covariances), constants, np.array(coefficients)
        rows.append(tuple(array(part.astype(np.float32)) for part in row))
    return rows


def step(library, x, noise, means, inverses, constants, coefficients):
    """x -> a x + b score + c noise; x, noise: lists of d arrays [n].  The loop over components is unrolled: one expression per particle."""
    d, pulls, logs = range(len(x)), [], []
    for k in range(len(means)):
        difference = [means[k, i] - x[i] for i in d]
        pulls.append([sum(inverses[k, i, j] * difference[j] for j in d) for i in d])
        logs.append(constants[k] - sum(difference[i] * pulls[k][i] for i in d) / 2)
    largest = reduce(library.maximum, logs)
    weights = [library.exp(log - largest) for log in logs]
    total, (a, b, c) = sum(weights), coefficients
    score = [sum(weight * pull[i] for weight, pull in zip(weights, pulls)) / total for i in d]
    return [a * x[i] + b * score[i] + c * noise[i] for i in d]


def coordinates(x, array):
    """x[n,d] -> d arrays [n]."""
    return [array(column) for column in x.T.copy()]


def results(workload, x):
    """The results for x, d arrays [n]: x[n,d]; with the library's own noise the mean and the covariance of the particles instead."""
    x = np.stack(x, axis=1)
    if not workload.own:
        return {"particles": {"x": x}}
    return {"moments": {"mean": x.mean(axis=0, dtype=np.float64), "covariance": np.cov(x.T, dtype=np.float64)}}
