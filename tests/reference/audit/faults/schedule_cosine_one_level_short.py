"""The cosine schedule takes T points from 0 to T in place of T + 1: it has T - 1 noise levels, and its first is x_0 itself.

lucidrains/denoising-diffusion-pytorch#19, jannerm/diffuser#68: linspace(0, steps, steps).
"""

import numpy as np

CAUGHT_BY = "claimed T"
CLAIMS = {"T": 1000}

u = (np.linspace(0, 1000, 1000) / 1000 + 0.008) / 1.008 * np.pi / 2
alpha_bar = np.cos(u) ** 2 / np.cos(u[0]) ** 2
