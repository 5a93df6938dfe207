"""alpha_bar in float16 with few levels: they fall, but the first 1 - alpha_bar has one or two digits left.

huggingface/diffusers#767: the tables are overwritten by a cast of the whole pipeline.
"""

import numpy as np

CAUGHT_BY = "precision of 1 - alpha_bar"

u = (np.arange(41) / 40 + 0.008) / 1.008 * np.pi / 2
alpha_bar = (np.cos(u[1:]) ** 2 / np.cos(u[0]) ** 2).astype(np.float16)
