"""The loss of a denoiser on held-out data, and losses to compare it with."""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.denoiser import exact_prediction
from reference.diffusion.forward_process import forward


def losses_at(model, weights, x0, t, noise, mixture=None, ops=reference_ops):
    """Three losses for x0[b,...] at times t[b], by name: with ``weights``, of predicting zero, and,
    for data from a ``mixture``, of the exact prediction.
    """
    x = forward(model.schedule, x0, t, noise, ops)
    target = model.target(x0, t, noise, ops)
    output, _ = model.predict(weights, x, t, ops=ops, keep=False)
    losses = {
        "loss": mean_square(model.prediction_part(output) - target),
        "loss of predicting zero": mean_square(target),
    }
    if mixture:
        exact = exact_prediction(mixture, model.schedule, x, t, model.prediction)
        losses["loss of the exact prediction"] = mean_square(exact - target)
    return losses


def mean_square(x):
    """The mean of x^2 over all entries, in float64."""
    return float((x.astype(np.float64) ** 2).mean())
