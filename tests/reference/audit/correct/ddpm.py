"""Ho et al. 2020 as in the paper's code: t = 0 .. T - 1, q_sample, the posterior's variance ("fixed small")."""

import numpy as np

RECOGNISED = {
    "time": "0-based",
    "form of x": "variance preserving",
    "schedule": "linear",
    "prediction": "noise",
    "variance of a step": "posterior",
    "clipping in step": "none",
}

betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)
before = np.append(1.0, alpha_bar[:-1])


def q_sample(x_start, t, noise):
    return np.sqrt(alpha_bar[t]) * x_start + np.sqrt(1 - alpha_bar[t]) * noise


def p_sample(x, t, model_output, noise):
    x_start = np.sqrt(1 / alpha_bar[t]) * x - np.sqrt(1 / alpha_bar[t] - 1) * model_output
    mean = betas[t] * np.sqrt(before[t]) / (1 - alpha_bar[t]) * x_start
    mean = mean + (1 - before[t]) * np.sqrt(1 - betas[t]) / (1 - alpha_bar[t]) * x
    return mean + np.sqrt(betas[t] * (1 - before[t]) / (1 - alpha_bar[t])) * noise


add_noise, step = q_sample, p_sample
