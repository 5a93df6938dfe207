"""How an error of the network grows on its way into a sample, and how the range of the data bounds
it.

In y = x / alpha and s = sigma / alpha every sampler follows dy/ds = eps, at least in part.  A step
from s down to s_prev turns an error d of the predicted noise into an error (s - s_prev) d of y.
Along the rest of the way trajectories converge, which multiplies the error by about
sigma_data / sqrt(sigma_data^2 + s_prev^2) for data of standard deviation sigma_data.  The resulting
error of the sample, in units of sigma_data, depends on the prediction:

    noise   (s - s_prev) / sqrt(sigma_data^2 + s_prev^2) d
            This is large wherever s_prev is much smaller than s: s_T is 157 for DDPM's linear
            schedule, 20,000 for the cosine schedule, infinite with zero terminal SNR.
    v       alpha times this, at most d / sigma_data
            The error of eps is alpha d, and alpha s = sigma is at most 1.
    x0      (1 - s_prev/s) / sqrt(1 + s_prev^2 / sigma_data^2) d, never more than d
            The error d is relative to sigma_data.

So predictions of the noise need short steps in log(s) or a bound.  The bound: E[x_0 | x] is a mean
of data and lies in every box that contains the data.  Moving a prediction of x_0 to the nearest
point of the box moves no entry away from the truth.  The error of the sample is then at most the
width of the box times (1 - s_prev/s) / sqrt(1 + s_prev^2 / sigma_data^2), for any network.
"""

import numpy as np


class Clip:
    """A function that clips a prediction x0[b,...] to [``low``, ``high``], numbers or one for each
    coordinate of points.

    With ``active`` False it returns x0 unchanged.  In both cases it keeps the last unclipped
    prediction, so that ``fraction_outside`` can detect a network whose predictions lie far outside
    the data.
    """

    def __init__(self, low, high, active=True):
        self.low, self.high = (
            np.asarray(end, np.float64) if np.ndim(end) else float(end) for end in (low, high)
        )
        self.active, self.last_prediction = active, None

    def __call__(self, x0):
        self.last_prediction = x0
        if not self.active:
            return x0
        low, high = self._ends(x0)
        return x0.clip(low, high)

    def _ends(self, x0):
        """``low`` and ``high``: numbers, or arrays of the kind and dtype of x0."""
        return (
            np.asarray(end, x0.dtype, like=x0) if np.ndim(end) else end
            for end in (self.low, self.high)
        )

    def fraction_outside(self, slack=0.1):
        """The fraction of the samples of the last call with an entry outside of the range by more
        than ``slack`` times its width.
        """
        if self.last_prediction is None:
            return 0.0
        x0 = self.last_prediction.astype(np.float64)
        low, high = self._ends(x0)
        margin = slack * (high - low)
        beyond = ~((x0 >= low - margin) & (x0 <= high + margin))
        return float(beyond.reshape(len(x0), -1).any(axis=1).mean())
