"""Laws and grids that the oracle tests share."""

import numpy as np
from hypothesis import strategies as st

from reference.mixtures import Mixture
from reference.schedules import SCHEDULES


@st.composite
def grids(draw, longest=200, fewest=2):
    """A schedule and some of its times, decreasing from T to 0."""
    T = draw(st.integers(fewest, longest))
    inner = draw(st.lists(st.integers(1, T - 1), unique=True, min_size=fewest - 1, max_size=20)) if T > 1 else []
    return SCHEDULES[draw(st.sampled_from(sorted(SCHEDULES)))](T), [T, *sorted(inner, reverse=True), 0]


def normal_data(mean, variance):
    """The law N(mean, variance) on the line."""
    return Mixture(np.ones(1), np.array([[mean]]), np.array([variance]))


def mmse_of(schedule, variance):
    """Mean squared error of the best denoiser of data of that variance, as a function of t."""
    return lambda t: variance * schedule.noise_power(t) / (schedule.alpha_bar(t) * variance + schedule.noise_power(t))
