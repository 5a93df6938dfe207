"""A schedule that is claimed to be cosine lacks the offset 0.008: its first steps add next to no noise.

Nichol and Dhariwal 2021, (17): the offset keeps beta from being too small near t = 0.
"""

import numpy as np

CAUGHT_BY = "claimed schedule"
CLAIMS = {"schedule": "cosine"}

u = np.arange(1001) / 1000 * np.pi / 2
levels = np.cos(u) ** 2
betas = np.minimum(1 - levels[1:] / levels[:-1], 0.999)
