"""Velocity v in torch with Huber loss: times are arrays only, images in float32."""

import torch

NEEDS = "torch"
CLAIMS = {"arrays": "torch", "dtype": "float32", "shape": (1, 4, 4)}


alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


def loss(denoise, x0, t, noise):
    ab = alpha_bar.to(x0.dtype)[t.long()].view(-1, 1, 1, 1)
    alpha, sigma = ab.sqrt(), (1 - ab).sqrt()
    v = alpha * noise - sigma * x0
    return torch.nn.functional.huber_loss(denoise(alpha * x0 + sigma * noise, t), v)
