"""A schedule that is claimed to be scaled-linear has equally spaced beta, not equally spaced sqrt(beta).

CompVis/latent-diffusion: "linear" there means linspace(first ** 0.5, last ** 0.5, T) ** 2.
"""

import numpy as np

CAUGHT_BY = "claimed schedule"
CLAIMS = {"schedule": "scaled-linear"}

betas = np.linspace(0.00085, 0.012, 1000)
