"""The loss of a denoiser on held-out data, beside what it is to be compared with."""

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.denoiser import exact_prediction
from reference.diffusion.forward_process import forward


def losses_at(model, weights, x0, t, noise, mixture=None, ops=reference_ops):
    """The loss of ``weights`` for x0[b,...] at times t[b], that of predicting zero, and the exact
    prediction's for data of a mixture.
    """
    x, target = forward(model.schedule, x0, t, noise, ops), model.target(x0, t, noise, ops)
    said, _ = model.predict(weights, x, t, ops=ops, keep=False)
    found = {
        "loss": mean_square(model.prediction_part(said) - target),
        "loss of predicting zero": mean_square(target),
    }
    if mixture:
        best = exact_prediction(mixture, model.schedule, x, t, model.prediction)
        found["loss of the exact prediction"] = mean_square(best - target)
    return found


def mean_square(x):
    return float((x.astype(np.float64) ** 2).mean())
