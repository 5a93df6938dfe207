"""alpha_bar is kept above 1e-3 by clipping, so that the last steps have beta = 0."""

import numpy as np

CAUGHT_BY = "schedule order"

alpha_bar = np.maximum(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), 1e-3)
