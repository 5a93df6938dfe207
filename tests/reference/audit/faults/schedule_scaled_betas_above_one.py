"""The range of beta is scaled by 1000 / T, also for T = 10, where beta ends at 2.

openai/improved-diffusion, get_named_beta_schedule: scale = 1000 / T, with no bound.
"""

import numpy as np

CAUGHT_BY = "schedule order"

T = 10
betas = np.linspace(1e-4 * 1000 / T, 0.02 * 1000 / T, T)
