"""alpha_bar is kept in float16: the first levels round to 1, so that nothing is added there and 1 - alpha_bar is 0.

huggingface/diffusers#3005, #9004; AUTOMATIC1111/stable-diffusion-webui#14071.
"""

import numpy as np

CAUGHT_BY = "schedule order"

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)).astype(np.float16)
