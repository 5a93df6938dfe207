"""How an error of the network grows on its way into a sample, and what holds it: the range of the
data.

In y = x / alpha and s = sigma / alpha every sampler follows dy/ds = eps, at least in part.  A step
from s down to s' takes an error d of the predicted noise to an error (s - s') d of y, and the rest
of the way, along which trajectories come together, multiplies it by about sqrt(v / (v + s'^2)) for
data of variance v.  What arrives, in units of the data's deviation, is

    (s - s') / sqrt(v + s'^2) d,         a noise network: large wherever a step divides s by much, since s_T is 157 for DDPM's linear
                                         schedule, 20,000 for the cosine one and infinite with zero
                                         terminal SNR,
    alpha times that, at most d / sqrt(v),   a v network, whose error of eps is alpha d (alpha s = sigma is at most 1),
    (1 - s'/s) / sqrt(1 + s'^2 / v) d,   an x0 network, whose error d is relative to sqrt(v): never more than d.

So predictions of the noise need short steps in log(s) or a bound.  The bound is this: E[x_0 | x] is
a mean of data and lies in every box that holds the data.  Moving a prediction of x_0 to the nearest
point of the box takes no entry further from the truth, and the error that arrives is then at most
the width of the box times (1 - s'/s) / sqrt(1 + s'^2 / v), whatever the network predicts.
"""

import numpy as np

from reference.diffusion.devices import cast_like, table_like, to_host


class Clip:
    """Called on a prediction x0[b,...], returns it held within ``low`` and ``high``, numbers or one
    for each coordinate of points.

    ``active`` False: returns it as it is.  Either way the last prediction is kept as it came, so
    that a network that predicts values far outside the data can be told from one that does not:
    ``share_beyond``.
    """

    def __init__(self, low, high, active=True):
        self.low, self.high = (
            np.asarray(end, np.float64) if np.ndim(end) else float(end) for end in (low, high)
        )
        self.active, self.t_min = active, None

    def __call__(self, x0):
        self.t_min = x0
        if not self.active:
            return x0
        low, high = (
            cast_like(table_like(end, x0), x0) if np.ndim(end) else end
            for end in (self.low, self.high)
        )
        return x0.clip(low, high)

    def share_beyond(self, slack=0.1):
        """The share of the samples of the last call that had an entry outside of the range by more
        than ``slack`` times its width.
        """
        if self.t_min is None:
            return 0.0
        x0, margin = to_host(self.t_min).astype(np.float64), slack * (self.high - self.low)
        beyond = ~((x0 >= self.low - margin) & (x0 <= self.high + margin))
        return float(beyond.reshape(len(x0), -1).any(axis=1).mean())
