"""The usual form in PyTorch: nothing declared, t is a tensor with a time for each sample, a helper that gathers from the tables."""

import torch

NEEDS = "torch"
RECOGNISED = {"time": "0-based", "arrays": "torch", "prediction": "x0", "variance of a step": "posterior"}

_betas = torch.linspace(1e-4, 0.02, 1000)
_alpha_bar = torch.cumprod(1 - _betas, dim=0)
_before = torch.cat((torch.ones(1), _alpha_bar[:-1]))


def extract(table, t, x):
    return table.gather(-1, t).reshape(len(t), *((1,) * (x.ndim - 1)))


def q_sample(x_start, t, noise):
    return extract(_alpha_bar.sqrt(), t, x_start) * x_start + extract((1 - _alpha_bar).sqrt(), t, x_start) * noise


def p_sample(pred_x_start, x, t, noise):
    mean = extract(_betas * _before.sqrt() / (1 - _alpha_bar), t, x) * pred_x_start
    mean = mean + extract((1 - _before) * (1 - _betas).sqrt() / (1 - _alpha_bar), t, x) * x
    return mean + extract((_betas * (1 - _before) / (1 - _alpha_bar)).sqrt(), t, x) * noise


add_noise, step = q_sample, p_sample
