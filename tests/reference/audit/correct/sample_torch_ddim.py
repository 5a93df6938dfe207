"""DDIM in PyTorch's float32, with the model called as model(x, t) with a tensor of times."""

import torch

NEEDS = "torch"
CLAIMS = {"arrays": "torch", "dtype": "float32", "time": "0-based"}
alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)


def sample(model, x, steps, seed):
    times = torch.arange(steps).flip(0) * (1000 // steps)
    for i, t in enumerate(times):
        now = alpha_bar[t]
        after = alpha_bar[times[i + 1]] if i + 1 < steps else torch.tensor(1.0)
        eps = model(x, t.expand(len(x)))
        x0 = (x - (1 - now).sqrt() * eps) / now.sqrt()
        x = after.sqrt() * x0 + (1 - after).sqrt() * eps
    return x
