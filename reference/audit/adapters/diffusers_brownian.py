"""The schedulers of diffusers whose noise is a Brownian motion over sigma."""

import bisect
import contextlib
import sys
from typing import Any

from reference.audit.adapters.diffusers_drivers import torch
from reference.audit.adapters.diffusers_families import Scaled, Sigma


class BrownianPath:
    """A Brownian motion over sigma, in place of torchsde's tree, which has the same law and takes
    minutes for many samples: normal increments, and bridges between the sigmas that are known.
    """

    def __init__(self, x, sigma_min, sigma_max, seed=None):
        self.generator = torch.Generator().manual_seed(int(seed or 0))
        self.least = float(sigma_min)
        self.rising, self.known = [self.least], {self.least: torch.zeros_like(x)}

    def at(self, sigma):
        sigma = max(float(sigma), self.least)
        if sigma not in self.known:
            place = bisect.bisect(self.rising, sigma)
            below, above = self.rising[place - 1], (*self.rising[place : place + 1], None)[0]
            self.rising.insert(place, sigma)
            W, variance = self.known[below], sigma - below
            if above is not None:
                share = (sigma - below) / (above - below)
                W, variance = W + share * (self.known[above] - W), variance * (1 - share)
            z = torch.randn(W.shape, generator=self.generator, dtype=W.dtype)
            self.known[sigma] = W + variance**0.5 * z
        return self.known[sigma]

    def __call__(self, sigma, sigma_next):
        first = self.at(sigma)
        distance = abs(float(sigma_next) - float(sigma))
        return (self.at(sigma_next) - first) / distance**0.5


@contextlib.contextmanager
def on_a_path(kind):
    module: Any = sys.modules[kind.__module__]
    before = module.BrownianTreeNoiseSampler
    module.BrownianTreeNoiseSampler = BrownianPath
    try:
        yield
    finally:
        module.BrownianTreeNoiseSampler = before


class Seeded(Scaled):
    """DPMSolverSDEScheduler: its noise has a seed of its own."""

    def sample(self, denoise, x, steps, seed):
        self.run["init"]["noise_sampler_seed"] = seed
        with on_a_path(self.kind):
            return super().sample(denoise, x, steps, seed)


class CosineMultistep(Sigma):
    """CosineDPMSolverMultistepScheduler: the seed of its noise is the generator's."""

    def sample(self, denoise, x, steps, seed):
        with on_a_path(self.kind):
            return super().sample(denoise, x, steps, seed)
