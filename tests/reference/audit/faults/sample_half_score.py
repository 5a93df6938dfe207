"""The reverse step of DDPM with beta / 2 times the score, a misprint of (4.17) of the tutorial."""

import numpy as np

CAUGHT_BY = "sample noise"
CLAIMS = {"time": "0-based", "prediction": "score"}
betas = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - betas)


def sample(score, x, steps, seed):
    rng = np.random.default_rng(seed)
    times = np.linspace(999, 0, steps).round().astype(int)
    for i, t in enumerate(times[:-1]):
        beta = 1 - alpha_bar[t] / alpha_bar[times[i + 1]]
        x = (x + beta / 2 * score(x, t)) / np.sqrt(1 - beta)
        x = x + np.sqrt(beta) * rng.standard_normal(x.shape)
    now = alpha_bar[times[-1]]
    return (x + (1 - now) * score(x, times[-1])) / np.sqrt(now)
