"""add_noise of a variance-exploding model adds sigma^2 times the noise.

ermongroup/ncsn#9 and #7 ask where sigma is squared: in the weight of the loss, not in the noise.
"""

import numpy as np

CAUGHT_BY = "add_noise coefficients"

sigmas = np.geomspace(50, 0.01, 232)  # from much to little noise, as in NCSNv2


def add_noise(x0, noise, t):
    return x0 + np.sort(sigmas)[t] ** 2 * noise
