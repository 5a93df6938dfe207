"""The loop of DDPM over all training times: it takes no number of steps, and its variance is learned, between the posterior's and beta."""

import numpy as np

RECOGNISED = {"sampler": "sde"}
betas = np.linspace(1e-4, 0.02, 300) * 3
alpha_bar = np.cumprod(1 - betas)
before = np.append(1.0, alpha_bar[:-1])
posterior = betas * (1 - before) / (1 - alpha_bar)
low, high = np.log(np.append(posterior[1], posterior[1:])), np.log(betas)


def add_noise(x0, noise, t):
    return alpha_bar[t] ** 0.5 * x0 + (1 - alpha_bar[t]) ** 0.5 * noise


def step(eps, t, x, noise):
    x0 = (x - (1 - alpha_bar[t]) ** 0.5 * eps) / alpha_bar[t] ** 0.5
    mean = (betas[t] * before[t] ** 0.5 * x0 + (1 - before[t]) * (1 - betas[t]) ** 0.5 * x) / (1 - alpha_bar[t])
    return mean + (t > 0) * np.exp(0.5 * (0.3 * high[t] + 0.7 * low[t])) * noise


def sample(denoise, x, steps, seed):
    rng = np.random.default_rng(seed)
    for t in reversed(range(300)):
        x = step(denoise(x, t), t, x, rng.standard_normal(x.shape))
    return x
