"""x_0 = alpha x + sigma v: the sign of v is wrong.  With v = alpha eps - sigma x_0, x_0 = alpha x - sigma v.

Salimans and Ho 2022; some texts define v with the other sign and copy only one of the two formulas.
"""

import numpy as np

CAUGHT_BY = "step prediction"

alpha_bar = np.concatenate(([1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))))


def step(v, t, x, t_prev):
    alpha, sigma = np.sqrt(alpha_bar[t]), np.sqrt(1 - alpha_bar[t])
    x0, eps = alpha * x + sigma * v, alpha * v + sigma * x
    return np.sqrt(alpha_bar[t_prev]) * x0 + np.sqrt(1 - alpha_bar[t_prev]) * eps
