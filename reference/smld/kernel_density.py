"""Kernel density estimation: a Gaussian on each data point (tutorial, eq. 3.5).

The estimate is a ``Mixture`` and has its density, score and noised versions.  Its score at
bandwidth h, sum_m w_m(x) (x_m - x) / h^2, is exactly the minimiser of denoising score matching at
sigma = h on the same points.
"""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.mixtures import Mixture


def kernel_density(points, bandwidth, ops=reference_ops):
    """points[m,d] -> q_h(x) = 1/m sum_m h^{-d} K((x - x_m) / h), K standard normal.  (The tutorial
    prints h^{-1} for every d: E10d.)
    """
    if not 1e-150 < bandwidth < 1e150:  # its square is finite and not 0
        raise ValueError(f"bandwidth must be positive and finite, got {bandwidth}")
    count = len(points)
    return Mixture(np.full(count, 1 / count), points, np.full(count, bandwidth**2), ops)


def silverman_bandwidth(points):
    """s (4 / ((d + 2) m))^{1/(d+4)}, the best bandwidth for normal data with standard deviation s
    in every direction (Silverman 1986).
    """
    m, d = points.shape
    if m < 2:
        raise ValueError(f"points must be at least 2 to have a variance, got {m}")
    return float(np.sqrt(points.var(axis=0, ddof=1).mean()) * (4 / ((d + 2) * m)) ** (1 / (d + 4)))
