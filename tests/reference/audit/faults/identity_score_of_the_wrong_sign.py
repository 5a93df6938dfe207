"""x_0 = x - sigma^2 score: Tweedie's formula with a minus.

The sign of the tutorial's misprint E10b, in the sampler: x_0 = x + sigma^2 score is right.
"""

CAUGHT_BY = "predict_x0"
CLAIMS = {"time": "sigma", "prediction": "score"}


def predict_x0(prediction, t, x):
    return x - t**2 * prediction
