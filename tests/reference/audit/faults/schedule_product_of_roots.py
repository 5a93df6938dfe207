"""alpha_bar is the product of sqrt(1 - beta): it is its own root.

S. H. Chan, arXiv 2403.18103, Sec. 2.6 (E12): alpha means two things; in DPM-Solver it is the root.
"""

import numpy as np

CAUGHT_BY = "alpha_bar is the product of 1 - beta"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(np.sqrt(1 - betas))
