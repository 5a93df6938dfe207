"""DDPM in PyTorch: tensors in and out, tables in float32, times as tensors or numbers."""

import torch

NEEDS = "torch"
RECOGNISED = {"time": "0-based", "prediction": "noise", "variance of a step": "beta"}
CLAIMS = {"arrays": "torch", "dtype": "float32"}

betas = torch.linspace(1e-4, 0.02, 1000)
alpha_bar = torch.cumprod(1 - betas, dim=0)


def add_noise(x0, noise, t):
    return alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * noise


@torch.no_grad()
def step(noise_pred, t, x, noise):
    mean = (x - betas[t] / (1 - alpha_bar[t]).sqrt() * noise_pred) / (1 - betas[t]).sqrt()
    return mean + betas[t].sqrt() * noise * (t > 0)
