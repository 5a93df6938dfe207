"""alpha_bar is the product of all factors before t, without the factor of t: the two tables are one entry apart.

S. H. Chan, arXiv 2403.18103, Sec. 2.6 (E12): a product that begins at another index.
"""

import numpy as np

CAUGHT_BY = "alpha_bar is the product of 1 - beta"

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.concatenate(([1.0], np.cumprod(1 - betas)[:-1]))
