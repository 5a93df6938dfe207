"""Samplers are generators: each yields ``(t, x, x0)`` after every step, and ``last`` runs one to its end.

``noise_of(x, t)`` predicts the noise in x at time t: a trained network or an oracle.  Noise comes from ``Key(seed, sample, step, ...)``,
``step`` counting the sampler's evaluations and ``sample`` [b] the samples, so that a sample does not depend on its batch.
"""


def last(steps):
    """The x of a sampler's last step."""
    *_, (_, x, _) = steps
    return x
