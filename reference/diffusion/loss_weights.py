"""Weights of the loss by noise level.

Each published weight is given here as a weight w of the squared error of x_0, in terms of
SNR = alpha^2 / sigma^2:

    min-snr   min(SNR, 5)              Hang et al. 2023
    p2        SNR / (1 + SNR)          Choi et al. 2022: 1 / (k + SNR)^gamma of the noise's squared
                                       error, which is SNR times that of x_0; k = gamma = 1
    edm       SNR + 1 / sigma_data^2   Karras et al. 2022: (s^2 + sigma_data^2) / (s sigma_data)^2,
                                       s = sigma / alpha

At given x, x_0 is a linear function of a prediction p, so its squared error is (dx_0/dp)^2 times
that of p, and w becomes w (dx_0/dp)^2 of p's own squared error.  A network may predict anything:
a named weight makes the same loss.  "simple" (Ho et al. 2020) has the weight 1 of p's own squared
error, and so is another loss for each prediction.  It is edm for the prediction F, and for v where
the variance is preserved and sigma_data = 1.

At each level the best prediction is E[p | x], whatever the weight: the weight changes the least
loss, and how a network that can't reach it divides its error among the levels.
"""

import numpy as np

from reference.diffusion.conversions import conversion

LARGEST_SNR = 5.0  # gamma of min-snr

# name -> (SNR, sigma_data^2) -> the weight of the squared error of x_0
X0_WEIGHTS = {
    "min-snr": lambda snr, data_variance: np.minimum(snr, LARGEST_SNR),
    "p2": lambda snr, data_variance: snr / (1 + snr),
    "edm": lambda snr, data_variance: snr + 1 / data_variance,
}
LOSS_WEIGHTS = ("simple", *X0_WEIGHTS)


def loss_weight(name, prediction, alpha, sigma, data_variance):
    """The weight of the squared error of ``prediction``, for arrays alpha[b] and sigma[b]; None for
    "simple", whose weight is 1.  ``name``: one of ``LOSS_WEIGHTS``.
    """
    if name == "simple":
        return None
    _, slope = conversion(prediction, "x0", alpha, sigma, data_variance)
    return X0_WEIGHTS[name]((alpha / sigma) ** 2, data_variance) * slope**2
