"""The gradient check rejects a small error, and a function that it can't resolve."""

import numpy as np
import pytest

from tests import tolerances


def test_gradient_check_sees_an_error_in_the_ninth_digit():
    tolerances.gradient_agrees(np.cos(1.0), lambda t: np.sin(1 + t), 1.0)
    with pytest.raises(AssertionError, match="analytic"):
        tolerances.gradient_agrees(np.cos(1.0) * (1 + 1e-9), lambda t: np.sin(1 + t), 1.0)


def test_gradient_check_refuses_a_function_that_it_can_not_resolve():
    with pytest.raises(AssertionError, match="known to"):
        tolerances.gradient_agrees(0.0, lambda t: np.abs(t + 1e-7), 1.0)


def test_adjointness_sees_an_error_in_the_eleventh_digit():
    with pytest.raises(AssertionError, match="differ"):
        tolerances.adjoint([1.0, 2.0], [1.0, 2.0 * (1 + 1e-11)])
