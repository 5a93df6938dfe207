"""Two estimators of the gradient of E[f(z)], z ~ q = N(mean, deviation^2), with respect to the
parameters of q (tutorial, Sec. 1.3).

Pathwise: z = mean + deviation eps, and the gradient moves inside the expectation (1.16)-(1.20):

    d/dmean = f'(z),          d/dlog_var = f'(z) deviation eps / 2.

Score function: ∇ E[f] = E[f ∇ log q].  It needs no derivative of f, but its variance is larger:

    d/dmean = f(z) (z - mean) / deviation^2,      d/dlog_var = f(z) (eps^2 - 1) / 2.

For the ELBO, f is log p(x, z) - log q(z|x) and depends on the parameters itself.  As E[∇ log q] =
0, this dependence adds nothing to the mean of either estimator.  The tutorial's (1.15) keeps only
the vanishing part (E2d).
"""

import numpy as np

from reference.vae.gaussian import reparameterise


def pathwise_gradient(f_gradient, mean, log_var, eps):
    """``f_gradient(z[n,d])`` = f'(z) [n,d]; mean, log_var [d], eps[n,d] -> draws [n,d] of d/dmean
    and of d/dlog_var.
    """
    deviation = np.exp(log_var / 2)
    d = f_gradient(reparameterise(mean, deviation, eps))
    return d, d * deviation * eps / 2


def score_function_gradient(f, mean, log_var, eps):
    """``f(z[n,d])`` [n]; other arguments and results as ``pathwise_gradient``."""
    deviation = np.exp(log_var / 2)
    value = f(reparameterise(mean, deviation, eps))[:, None]
    return value * eps / deviation, value * (eps**2 - 1) / 2
