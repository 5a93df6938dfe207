"""As ``template``, but with a fault: the variance of a step is betas[t], that of one step of
training, although a step of the sampler skips many (huggingface/diffusers#3006).
"""

from itertools import pairwise

import numpy as np

from reference.audit.template import add_noise, alpha_bar, betas, timesteps

__all__ = ("add_noise", "alpha_bar", "betas", "sample", "step", "timesteps")


def step(prediction, t, x, noise, t_prev):
    now, past = alpha_bar[t], alpha_bar[t_prev]
    mean = (x - (1 - now / past) / np.sqrt(1 - now) * prediction) / np.sqrt(now / past)
    return mean + np.sqrt(betas[t - 1] * (1 - past) / (1 - now)) * noise


def sample(denoise, x, steps, seed):
    rng, times = np.random.default_rng(seed), timesteps(steps)
    for t, t_prev in pairwise(times):
        x = step(denoise(x, t), t, x, rng.standard_normal(x.shape), t_prev)
    return x
