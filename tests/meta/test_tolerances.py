"""The gradient check rejects a small error, and a function that is too rough to differentiate."""

import numpy as np
import pytest

from tests import tolerances


def test_gradient_check_detects_an_error_in_the_ninth_digit():
    tolerances.assert_gradient(np.cos(1.0), lambda t: np.sin(1 + t), 1.0)
    with pytest.raises(AssertionError, match="analytic"):
        tolerances.assert_gradient(np.cos(1.0) * (1 + 1e-9), lambda t: np.sin(1 + t), 1.0)


def test_gradient_check_refuses_a_function_too_rough_to_differentiate():
    with pytest.raises(AssertionError, match="known to"):
        tolerances.assert_gradient(0.0, lambda t: np.abs(t + 1e-7), 1.0)


def test_adjoint_check_detects_an_error_in_the_eleventh_digit():
    with pytest.raises(AssertionError, match="differ"):
        tolerances.assert_adjoint([1.0, 2.0], [1.0, 2.0 * (1 + 1e-11)])
