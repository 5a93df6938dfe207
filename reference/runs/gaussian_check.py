"""Does a sampler take enough steps?  A test on Gaussian data with the exact prediction."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from reference import ops as reference_ops
from reference.runs import conditions
from reference.runs.trajectory import describe, trajectory
from reference.runs.views import noise_range
from reference.samplers import SamplingWarning, final_sample
from reference.samplers.clipping import Clip

# The error of the deviation by a sampler's steps alone that gives no warning.
LARGEST_BIAS = 0.25


class GaussianModel:
    """Stands for a run's model: the exact predictions for Gaussian data of the run's variance v,
    one number a sample.
    """

    sampled_prediction = "x0"
    network = SimpleNamespace(sample_shape=(1,), classes=0)

    def __init__(self, model):
        self.schedule, self.data_variance = model.schedule, model.data_variance

    def posterior_mean_function(self, params, ops):
        v = self.data_variance
        return lambda x, alpha, sigma: (alpha * v / (alpha**2 * v + sigma**2)) * x

    def predictor(self, params, ops):
        mean = self.posterior_mean_function(params, ops)
        return lambda x, t: mean(x, self.schedule.signal(t), self.schedule.noise_scale(t))


def deviation_on_gaussian_data(run, sampler, n=1024, **how):
    """The deviation of the sampler's samples over the right one, for Gaussian data of the run's
    variance and the exact prediction: 1 is right.

    A Monte Carlo estimate by n samples: its standard error is 1 / sqrt(2 n), 2 %.
    """
    stand_in = replace(run, model=GaussianModel(run.model))
    how |= {"variance": "posterior"} if how.get("variance") == "learned" else {}
    unclipped = Clip(-np.inf, np.inf)
    how = {name: value for name, value in how.items() if name not in conditions.OPTIONS}
    states = trajectory(stand_in, reference_ops, np.arange(n), sampler, clip=unclipped, **how)
    x = final_sample(states).astype(np.float64)
    return float(np.sqrt((x**2).mean() / run.model.data_variance))


def check_steps_on_gaussian_data(run, sampler, **how):
    """A warning if the sampler's steps alone change the deviation by ``LARGEST_BIAS`` or more."""
    if sampler in ("indi", "decoder", "langevin", "consistency") or "teacher" in run.config:
        return  # a student's steps are no longer those of its theory
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the sampler's own warnings come when it runs
        deviation = deviation_on_gaussian_data(run, sampler, **how)
    if not abs(deviation - 1) < LARGEST_BIAS:
        spread, smallest = run.model.data_variance**0.5, noise_range(run)[0]
        beside = f"is large beside the data's deviation, {spread:.3g}"
        cause = f"its smallest noise, {smallest:.3g}, {beside}"
        advice = cause if smallest > spread / 2 else "take more steps or another sampler"
        wrong = (
            f"would give Gaussian data of the run's variance {deviation:.2g} times its deviation"
        )
        message = f"{describe(sampler, **how)} {wrong}, even with a perfect network: {advice}"
        warnings.warn(message, SamplingWarning, stacklevel=3)
