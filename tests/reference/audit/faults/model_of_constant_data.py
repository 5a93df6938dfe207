"""All training images are one colour: the loader divides by 255 twice, in whole numbers.

uint8 images divided by 255 with // are 0 everywhere; the loss falls to 0 and samples are grey.
"""

import numpy as np

CAUGHT_BY = "data usable"
CLAIMS = {"time": "sigma", "prediction": "noise"}
data = (np.random.default_rng(0).integers(0, 255, (100, 8)) // 255).astype(np.float32)


def denoise(x, t):
    return x / t
