"""Where the words of a caption matter: the share of each token in the attention of each pixel, over
a sampler's whole run (Tang et al. 2022, "What the DAAM", arXiv 2210.04885).

The maps are means over the heads, the cross-attention blocks and the network evaluations, each with
the same weight.  A block's shares are enlarged to the image by repetition.  As every share is one
of a whole, the shares of a caption's tokens sum to 1 at every pixel, and padding has 0.  Tang et
al. add where these are means, and enlarge by cubic interpolation, which does not keep that sum.
"""

from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.networks.text import attention_of_tokens
from reference.runs.devices import to_host

MOST_SAMPLES = 8  # with maps: a limit on memory


class AttentionMaps:
    """A network in the place of the one given to ``watch``, which keeps the attention of the first
    samples of a batch, at most ``MOST_SAMPLES``
    of n.

    In each evaluation the network runs twice.  One run has these samples alone and keeps its
    intermediate arrays.  The other run has the whole batch and gives the result: the samples keep
    their bits, a port may replay this run from a recording, and memory does not grow with the
    batch.  ``tokens`` [n,m]: of their captions.
    """

    def __init__(self, n):
        self.count, self.total, self.evaluations = min(n, MOST_SAMPLES), 0.0, 0
        self.network: Any = None

    def watch(self, network):
        self.network = network
        return self

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, params, x, c, ops=reference_ops, labels=None, keep=True):
        """As the network's.  A guided evaluation has the conditional half first, and so the first
        samples with their own captions.
        """
        part = slice(self.count)
        self.tokens = to_host(labels[part], ops)
        _, saved = self.network.forward(params, x[part], c[part], ops, labels[part])
        self.total = self.total + self._shares(saved, ops)
        self.evaluations += 1
        return self.network.forward(params, x, c, ops, labels, keep)

    def _shares(self, saved, ops):
        """[n,h,w,m]: the mean over the blocks in one evaluation's ``saved``."""
        found = []
        for name in saved:
            if "cross_attentions" in name:
                shares = to_host(attention_of_tokens(saved[name], self.head_width), ops)
                factor = self.sample_shape[0] // shares.shape[1]
                found.append(shares.repeat(factor, axis=1).repeat(factor, axis=2))
        return np.mean(found, axis=0, dtype=np.float64)

    @property
    def maps(self):
        """[n,h,w,m]: the mean over all evaluations."""
        return self.total / self.evaluations
