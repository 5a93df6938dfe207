"""Samplers are generators: each yields ``(t, x, x0)`` after every step, and ``final_sample`` runs
one to its end.

``predict(x, t)`` predicts the noise in x at time t, or x0 or v if ``prediction`` says so;
``score(x, t)`` is grad log p_t(x).  Either is a trained network or an oracle.  Noise comes from
``Key(seed, sample, step, ...)``, ``step`` counting the sampler's evaluations and ``sample`` [b] the
samples, so that a sample does not depend on its batch.  Every method is written for a model that it
calls as often as its docstring says; ``CallCounter`` checks.
"""

from itertools import pairwise


class SamplingWarning(UserWarning):
    """Samples that are, or may be, far from the law that they should have."""


def final_sample(steps):
    """The x of a sampler's last step."""
    *_, (_, x, _) = steps
    return x


def with_denoising_step(steps, denoise):
    """The steps and, behind them, (0, denoise(x, t), None): the mean of x_0 given the last x takes
    out the noise that is left there.
    """
    for t, x, x0 in steps:
        yield t, x, x0
    yield 0.0, denoise(x, t), None


def check_grid(grid):
    """The times of a solver as floats.  ValueError unless there are two or more, each beyond the
    one before, in one direction.
    """
    times = [float(t) for t in grid]
    steps = [b - a for a, b in pairwise(times)]
    if not steps or not (all(h > 0 for h in steps) or all(h < 0 for h in steps)):
        raise ValueError(
            f"grid must hold two or more times, rising or falling strictly, got {times}"
        )
    return times


def check_falling(grid):
    """ValueError unless a chain's times fall strictly, to 0 or more."""
    times = list(grid)
    if len(times) < 2 or times[-1] < 0 or any(after >= before for before, after in pairwise(times)):
        raise ValueError(
            f"grid must hold two or more times that fall strictly, such as schedule.timesteps(steps), got {times}"
        )


class CallCounter:
    """A function that counts its calls in ``evaluations``: what a solver costs is how often it asks
    its model.
    """

    def __init__(self, function):
        self.function, self.evaluations = function, 0

    def __call__(self, *arguments, **keywords):
        self.evaluations += 1
        return self.function(*arguments, **keywords)
