"""The start is 0.9 times noise of unit variance, and the first time is that of noise alone."""

CAUGHT_BY = "sample start"
CLAIMS = {"prediction": "velocity", "time": "real"}


def sample(denoise, x, steps, seed):
    x = 0.9 * x
    for i in range(steps):
        x = x - denoise(x, 1 - i / steps) / steps
    return x
