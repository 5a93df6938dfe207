"""How near an image is to the true one: PSNR and SSIM.

**PSNR**, the peak signal-to-noise ratio in decibels, is 10 log10(L^2 / mse), with the range L of
the data, 2 for images in [-1, 1], and the mean square error over all pixels and channels.

**SSIM**, the structural similarity of Wang et al. (2004), compares windows around a pixel by means
m, variances v and the covariance c:

    (2 m_x m_y + C_1) (2 c + C_2) / ((m_x^2 + m_y^2 + C_1) (v_x + v_y + C_2)),

C_1 = (K_1 L)^2, C_2 = (K_2 L)^2.  The choices are those of the paper: K_1 = .01, K_2 = .03, a
Gaussian window of 11x11 pixels with the deviation 1.5, whose weights sum to 1, and v and c with
these weights (the population's).  The average is over all pixels whose window lies in the image;
each channel has a value of its own, and they are averaged, too.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

RADIUS, DEVIATION = 5, 1.5  # of the window, in pixels
K_1, K_2 = 0.01, 0.03


def psnr(x, truth, data_range=2.0):
    """x[n,h,w,c], truth[n,h,w,c] -> PSNR [n] in decibels; infinite where they are equal."""
    x, truth = _checked(x, truth, data_range)
    errors = ((x - truth) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / errors)


def ssim(x, truth, data_range=2.0):
    """x[n,h,w,c], truth[n,h,w,c] -> SSIM [n], at most 1.  ValueError for images smaller than the
    window.
    """
    x, y = _checked(x, truth, data_range)
    size = 2 * RADIUS + 1
    if min(x.shape[1:3]) < size:
        raise ValueError(
            f"SSIM needs images of at least {size}x{size} pixels, got {x.shape[1]}x{x.shape[2]}"
        )
    m_x, m_y = _window_mean(x), _window_mean(y)
    v_x, v_y = _window_mean(x * x) - m_x**2, _window_mean(y * y) - m_y**2
    c = _window_mean(x * y) - m_x * m_y
    C_1, C_2 = (K_1 * data_range) ** 2, (K_2 * data_range) ** 2
    means = (2 * m_x * m_y + C_1) / (m_x**2 + m_y**2 + C_1)
    return (means * (2 * c + C_2) / (v_x + v_y + C_2)).mean(axis=(1, 2, 3))


def _window_mean(x):
    """Means of x[n,h,w,c] over the windows that lie in the image."""
    smooth = gaussian_filter(x, (0, DEVIATION, DEVIATION, 0), radius=(0, RADIUS, RADIUS, 0))
    return smooth[:, RADIUS:-RADIUS, RADIUS:-RADIUS]


def _checked(x, truth, data_range):
    """Both in float64."""
    if x.ndim != 4 or x.shape != truth.shape:
        raise ValueError(
            "image and truth must have one shape [n,h,w,c],"
            f" got {list(x.shape)} and {list(truth.shape)}"
        )
    if not 0 < data_range < float("inf"):
        raise ValueError(f"data_range must be a positive number, got {data_range}")
    return np.asarray(x, np.float64), np.asarray(truth, np.float64)
