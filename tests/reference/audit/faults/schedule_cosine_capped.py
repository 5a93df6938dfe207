"""The cosine schedule's beta is limited to 0.9946, a number that belongs to another code, in place of 0.999.

Project-MONAI/MONAI#8427, openai/guided-diffusion#42: caps copied without a reason.
"""

import numpy as np

CAUGHT_BY = "claimed schedule"
CLAIMS = {"schedule": "cosine"}

u = (np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2
levels = np.cos(u) ** 2
betas = np.minimum(1 - levels[1:] / levels[:-1], 0.9946)
