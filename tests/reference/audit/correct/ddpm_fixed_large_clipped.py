"""DDPM with the variance beta ("fixed large"), x_0 clipped to [-1, 1], and a table in float32."""

import numpy as np

RECOGNISED = {"time": "0-based", "clipping in step": "yes", "T": "4000", "schedule": "cosine"}

u = (np.arange(4001) / 4000 + 0.008) / 1.008 * np.pi / 2
betas = np.minimum(1 - np.cos(u[1:]) ** 2 / np.cos(u[:-1]) ** 2, 0.999)
alpha_bar = np.cumprod(1 - betas)


def add_noise(original_samples, noise, timesteps):
    return np.sqrt(alpha_bar[timesteps]) * original_samples + np.sqrt(1 - alpha_bar[timesteps]) * noise


def step(model_output, timestep, sample, noise):
    t, before = timestep, alpha_bar[timestep - 1] if timestep > 0 else 1.0
    x0 = np.clip((sample - np.sqrt(1 - alpha_bar[t]) * model_output) / np.sqrt(alpha_bar[t]), -1, 1)
    mean = betas[t] * np.sqrt(before) / (1 - alpha_bar[t]) * x0
    mean = mean + (1 - before) * np.sqrt(1 - betas[t]) / (1 - alpha_bar[t]) * sample
    return mean + (np.sqrt(betas[t]) * noise if t > 0 else 0)
