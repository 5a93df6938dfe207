"""Two estimators of the gradient of an expectation whose law has the parameters: E f(z), z ~
N(mean, deviation^2) (tutorial, Sec. 1.3).

Pathwise: z = mean + deviation eps, and the gradient moves inside (1.16)-(1.20):

    d/dmean = f'(z),          d/dlog_var = f'(z) deviation eps / 2.

Score function: grad E f = E[f grad log q], which needs no derivative of f and has the larger
variance for it:

    d/dmean = f(z) (z - mean) / deviation^2,      d/dlog_var = f(z) (eps^2 - 1) / 2.

For the ELBO f is log p(x, z) - log q(z|x) and depends on the parameters itself; as E grad log q =
0, that dependence adds nothing to either mean.  The tutorial's (1.15) keeps only that vanishing
part (E2d).
"""

import numpy as np

from reference.vae.gaussian import reparameterise


def pathwise(gradient, mean, log_var, eps):
    """``gradient(z[n,d])`` = f'(z) [n,d]; mean, log_var [d], eps[n,d] -> draws [n,d] of d/dmean and
    of d/dlog_var.
    """
    deviation = np.exp(log_var / 2)
    d = gradient(reparameterise(mean, deviation, eps))
    return d, d * deviation * eps / 2


def score_function(f, mean, log_var, eps):
    """``f(z[n,d])`` [n]; arguments and results as ``pathwise``."""
    deviation = np.exp(log_var / 2)
    value = f(reparameterise(mean, deviation, eps))[:, None]
    return value * eps / deviation, value * (eps**2 - 1) / 2
