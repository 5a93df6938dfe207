"""x_0 of a prediction of the noise subtracts (1 - alpha_bar) eps, where its root is right.

alpha_bar for its root is the tutorial's misprint E6 too; here it is in the conversion.
"""

import numpy as np

CAUGHT_BY = "predict_x0"
CLAIMS = {"time": "0-based", "prediction": "noise"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def predict_x0(prediction, t, x):
    return (x - (1 - alpha_bar[t]) * prediction) / alpha_bar[t] ** 0.5
