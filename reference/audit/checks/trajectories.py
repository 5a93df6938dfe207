"""A target's ``sample`` on data that is known: the x and t of every evaluation, and the result.

For data N(m, c) in every entry, x_t = alpha x_0 + sigma eps has

    E[x_0 | x_t] = m + alpha c (x_t - alpha m) / (alpha^2 c + sigma^2),
    E[eps | x_t] =     sigma   (x_t - alpha m) / (alpha^2 c + sigma^2).

c = 0 is a point mass: x_0 = m is known, and a sampler that is exact for it passes through
alpha(t) m + sigma(t) e with one e for the whole trajectory.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reference.audit.arrays import to_numpy
from reference.audit.levels import PREDICTIONS
from reference.audit.target import Denoiser, TargetError

ENTRIES, FEWER_ENTRIES = 65536, 4096  # of a Monte Carlo run; of one of a slow target


@dataclass(frozen=True)
class Gaussian:
    """Data N(mean, variance), the same in every entry."""

    mean: float = 0.0
    variance: float = 0.0


def exact_prediction(law, prediction, at):
    """predict(x, t), exact for ``law``.  ``at(t)`` -> (alpha, sigma) of the network's input."""

    def predict(x, t):
        alpha, sigma = at(t)
        total = alpha**2 * law.variance + sigma**2
        shifted = (x - alpha * law.mean) / total if total > 0 else np.zeros_like(x)
        if prediction == "score":
            return -shifted
        r0, r1 = PREDICTIONS[prediction](alpha, sigma)
        return r0 * (law.mean + alpha * law.variance * shifted) + r1 * sigma * shifted

    return predict


class Adaptive(TargetError):
    """A sampler whose times depend on its data: its trajectories can't be compared."""


class Listener(Denoiser):
    """A ``Denoiser`` that notes the rounding unit of what it is given, and stops after ``most``
    calls.
    """

    def __init__(self, predict, most):
        super().__init__(predict)
        self.most, self.unit = most, 0.0

    def __call__(self, x, t, *rest, **named):
        if len(self.calls) >= self.most:
            raise TargetError(f"sample calls denoise more than {self.most} times")
        for array in (to_numpy(x), to_numpy(t)):
            if array.dtype.kind == "f" and (array != np.round(array)).any():
                self.unit = max(self.unit, float(np.finfo(array.dtype).eps))
        return super().__call__(x, t, *rest, **named)


@dataclass(frozen=True)
class Trajectory:
    """``times``[k] and ``x``[k,b,...] of the k evaluations, and the ``result``[b,...].

    ``swapped``: the calls were denoise(t, x).  ``unit``: the rounding unit of times and x.
    """

    times: np.ndarray
    x: np.ndarray
    result: np.ndarray
    swapped: bool
    unit: float


@dataclass
class Sampler:
    """A target's ``sample`` with its conventions.

    ``prediction`` and ``at``: what its network predicts, and the levels of the network's input.
    ``gain``: its first evaluation is at gain times the x that it is given, plus noise of variance
    ``start_noise``.  ``stochastic``: it adds noise.  ``unit``: the rounding unit of its arithmetic.
    ``limit``: the largest number of steps.  ``most``: the largest number of evaluations of a call.
    ``entries``: of a Monte Carlo run.  ``rate``: evaluations a step.  ``fixed``: it takes as
    many steps for any number that is asked for.  ``first``: steps -> the time of the first
    evaluation.
    """

    target: Any
    prediction: str = "noise"
    at: Callable = lambda t: (1.0, float(t))
    gain: float = 1.0
    start_noise: float = 0.0
    stochastic: bool = False
    unit: float = 2.2e-16
    limit: int = 1000
    most: int = 50_000
    rate: float = 1.0
    entries: int = ENTRIES
    fixed: bool = False
    first: dict = field(default_factory=dict)

    def with_(self, **changes):
        return replace(self, **changes)

    def call(self, predict, x, steps, seed=0, reseed=True, listener=None):
        """The trajectory from the given x[b,...].  ``reseed``: set the global generators, which
        some targets draw from, to the seed as well.
        """
        if reseed:
            _reseed(seed)
        denoise = listener or Listener(predict, self.most)
        x = np.asarray(x, self.target.dtype)
        result = self.target.call(
            "sample", x.shape, denoise=denoise, x=x, steps=int(steps), seed=int(seed)
        )
        if not denoise.calls:
            raise TargetError("sample never calls denoise")
        if any(values.shape != x.shape for _, values in denoise.calls):
            raise TargetError(f"sample calls denoise with another shape than {x.shape}")
        times, values = zip(*denoise.calls)
        return Trajectory(
            np.array(times),
            np.array(values),
            result.astype(np.float64),
            denoise.swapped,
            denoise.unit,
        )

    def first_time(self, steps):
        """The time of the first evaluation.  It does not depend on the network."""
        if steps not in self.first:
            listener = Listener(lambda x, t: np.zeros_like(x), most=1)
            x = np.zeros((1, *self.target.shape))
            try:
                self.call(listener.predict, x, steps, listener=listener)
            except TargetError:
                if not listener.calls:
                    raise
            self.first[steps] = listener.calls[0][0]
        return self.first[steps]

    def first_level(self, steps):
        """(alpha, sigma) of the first evaluation."""
        return self.at(self.first_time(steps))

    def run(self, law, z, steps, seed=0):
        """The trajectory on data ``law``.  The first evaluation is at the level of its time:
        x = alpha m + sqrt(alpha^2 c + sigma^2) z, with z[b,...] of variance 1.
        """
        alpha, sigma = self.first_level(steps)
        total = alpha**2 * law.variance + sigma**2
        spread = np.sqrt(max(total - self.start_noise, 0.0))
        x = (alpha * law.mean + spread * z) / self.gain
        return self.call(exact_prediction(law, self.prediction, self.at), x, steps, seed)


def _reseed(seed):
    np.random.seed(seed)  # noqa: NPY002 - the generator of the target
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@dataclass(frozen=True)
class Response:
    """x at evaluation k is ``signal``[k] m + ``noise``[k] z, plus noise that it draws; the last
    entries are those of the result.  ``level``[k] is the (alpha, sigma) that the time tells.
    """

    times: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    level: np.ndarray


POINT = 0.5  # a point mass at 0.5 is within the range of images, so that clipping changes nothing


def respond(sampler, steps, seed=0, variance=0.0):
    """The ``Response`` by three runs with the same noise: m = 0, another m, and another start."""
    shape = (2, *sampler.target.shape)
    z = 0.5 * start_noise(seed, shape)
    base, moved, started = (
        sampler.run(Gaussian(m, variance), start, steps, seed)
        for m, start in ((0.0, z), (POINT, z), (0.0, z + 0.5))
    )
    if not all(np.array_equal(base.times, other.times) for other in (moved, started)):
        raise Adaptive("sample chooses its times by what it sees, so they can't be compared")
    rows = lambda run: np.concatenate([run.x, run.result[None]]).reshape(len(run.x) + 1, -1)
    level = np.array([*(sampler.at(t) for t in base.times), (1.0, 0.0)])
    signal = (rows(moved) - rows(base)).mean(axis=1) / POINT
    noise = (rows(started) - rows(base)).mean(axis=1) / 0.5
    return Response(base.times, signal, noise, level)


def start_noise(seed, shape):
    """z of the start, not that of ``default_rng(seed)``, which a target may draw on its way."""
    return np.random.default_rng([seed, 7919]).standard_normal(shape)
