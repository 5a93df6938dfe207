"""The reverse step of the VP equation multiplies the score by beta / 2 in place of beta.

S. H. Chan, arXiv 2403.18103, (4.17) (E5): the step keeps a variance of 19.8 in place of 10.
"""

import numpy as np

CAUGHT_BY = "step mean"
CLAIMS = {"prediction": "score"}

betas = np.linspace(1e-4, 0.02, 1000)


def step(score, t, x, noise):
    if t == 0:  # a last denoising step, as in score_sde
        return (x + betas[0] * score) / np.sqrt(1 - betas[0])
    return (x + betas[t] / 2 * score) / np.sqrt(1 - betas[t]) + np.sqrt(betas[t]) * noise
