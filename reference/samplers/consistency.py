"""The sampler of consistency models (Song et al. 2023, Algorithm 1; distillation/consistency.py).

``denoise(x, sigma)`` is a consistency model: from x = x_0 + sigma eps it leads to the end of the
path through x, so that one evaluation is a sample.  Each further evaluation adds noise of a smaller
level to the sample, and denoises again.  Noise is added before every evaluation but the first, and
never after the last.
"""

from reference import ops as reference_ops
from reference.ops.random import Key, Purpose
from reference.samplers import check_falling
from reference.samplers.edm import sigmas


def levels(steps, sigma_min, sigma_max):
    """``steps`` falling noise levels from sigma_max on: all but the last of ``steps`` + 1 levels
    down to sigma_min, spaced as in ``edm.sigmas``.
    """
    return [float(sigma) for sigma in sigmas(steps + 1, sigma_min, sigma_max)[:-2]]


def consistency(denoise, levels, x, seed, sample, ops=reference_ops):
    """From x[b,...] at levels[0] down the noise ``levels``; yields (level, x, x0), both the latest
    sample.  ValueError unless the levels fall strictly.
    """
    check_falling([*levels, 0.0])
    for step, level in enumerate(levels):
        if step:
            x = ops.add_noise(x, 1.0, level, Key(seed, sample, step, Purpose.STEP_NOISE))
        x = denoise(x, level)
        yield level, x, x
