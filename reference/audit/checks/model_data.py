"""The data of a trained model: their range, their mean, and do they have the model's scale?"""

import numpy as np

from reference.audit.checks.model_losses import TOLERATED, excess, outputs
from reference.audit.target import TargetError
from reference.diffusion.yardsticks import LinearDenoiser

MOST = 4096  # training samples that are used
LEAST = 8
MAPS = {  # text -> a map of the data
    "2 x - 1, from [0, 1] to [-1, 1]": lambda x: 2 * x - 1,
    "x / 127.5 - 1, from 0 .. 255 to [-1, 1]": lambda x: x / 127.5 - 1,
    "x / 255, from 0 .. 255 to [0, 1]": lambda x: x / 255,
    "(x + 1) / 2, from [-1, 1] to [0, 1]": lambda x: (x + 1) / 2,
    "standardised, (x - mean) / deviation": lambda x: (x - x.mean()) / x.std(),
}


def check_data(context):
    """(train, held_out) as floating-point arrays, held_out None where there are none.  None if they
    can't be used.
    """
    target = context.target
    train = _usable(context, "data", target.table("data"))
    if train is None:
        return None
    held_out = None
    if "held_out" in target:
        held_out = _usable(context, "held_out", target.table("held_out"))
        if held_out is not None and held_out.shape[1:] != train.shape[1:]:
            raise TargetError(
                f"held_out has samples of shape {held_out.shape[1:]}, data of {train.shape[1:]}"
            )
    context.recognise("data range", _range(train), "[-1, 1]", "the data")
    return train, held_out


def _usable(context, name, array):
    """The samples in the floating-point type that the model takes: the claimed one, their own, or
    float32.
    """
    if array.ndim < 2 or len(array) < LEAST:
        raise TargetError(
            f"{name} must have the shape [n,...] with at least {LEAST} samples, got {array.shape}"
        )
    claimed = context.target.claims.get("dtype")
    own = array.dtype if array.dtype.kind == "f" else np.float32
    array = array.astype(claimed or own)
    if len(array) > MOST:
        array = array[np.random.default_rng(0).permutation(len(array))[:MOST]]
    numbers = array.astype(np.float64)
    wrong = ""
    if not np.isfinite(numbers).all():
        wrong = "NaN or infinity"
    elif numbers.std() == 0:
        wrong = f"{numbers.flat[0]:g} in all entries"
    context.add(
        f"{name} usable",
        "fault" if wrong else "right",
        "finite numbers that vary",
        "" if not wrong else "a mean and a positive deviation",
        wrong or f"mean {numbers.mean():.4g}, standard deviation {numbers.std():.4g}",
        "a model can't learn from them" if wrong else "",
    )
    return None if wrong else array


def _range(data):
    low, high = float(data.min()), float(data.max())
    if low >= 0 and 1.5 < high <= 255 and (data == np.round(data)).all():
        return "0 .. 255"
    if low >= 0 and high <= 1:
        return "[0, 1]"
    if low >= -1 and high <= 1:
        return "[-1, 1]"
    return f"{low:.4g} to {high:.4g}, deviation {data.std():.4g}"


def rescaled(target, levels, prediction, train):
    """The map of the data, by name, that makes a bad model a good one; "" if there is none.

    On data of another scale than its own a model is bad.  A map explains this if the model is good
    on the mapped data.
    """
    for text, mapped in MAPS.items():
        changed = mapped(train.astype(np.float64)).astype(train.dtype)
        seen = outputs(target, levels, changed)
        if excess(seen, prediction, LinearDenoiser.fit(changed)) <= TOLERATED:
            return text
    return ""
