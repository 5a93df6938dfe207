"""Every number by which two results may differ, with its reason.  No other test file holds one.

u is the unit roundoff, 2^-24 in float32 and 2^-53 in float64; n is the length of a reduction; "exact" is the reference in float64.

A port's result is accepted by the rule of its row in the contract (``accept``):

product   A sum of n products in any order has a rounding error that behaves like a random walk of n steps of size u times the partial
          sums, hence sqrt(n) u times the root of the sum of squares, and u for every product.  8 leaves room for blocked sums and
          fused instructions; half precision inputs miss it by 2^13 / (sqrt(n) + 8).  The worst case of one entry is measured by the
          sum S of absolute values.  Where all terms have one sign the walk drifts, and n u S is the textbook bound.
general   Nobody knows the condition of a whole op at a given x, but NumPy's float32 error shows it: N, the largest of eight runs,
          seven of them with every entry moved by one rounding, so that one lucky run can't shrink it.
copy      Nothing is computed: bit-equal.
bits      Integers, or numbers that need no rounding: equal.

A float64 port is held to the float32 budget times 2^-28: 2^-29 is the ratio of the two roundoffs, and the reference has an error too.
"""

import numpy as np

import reference.ops
from reference.contract import OPS
from tests.strategies import axes, cast, outputs, replace, sample_axis

UNIT_ROUNDOFF = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
FLOAT64_FROM_FLOAT32 = 2.0**-28


def rms(array):
    array = np.asarray(array, np.float64)
    return float(np.sqrt(np.mean(array * array))) if array.size else 0.0


def largest(array):
    return float(np.abs(np.asarray(array, np.float64)).max(initial=0))


# Products and sums.


def reduction_lengths(name, arguments):
    """How many terms are added for an entry of each result."""
    if name == "linear":
        x, w, b = arguments
        return (w.shape[0] + (b is not None),)
    if name == "linear_backward":
        dy, x, w = arguments
        return w.shape[1], len(x), len(x)
    if name == "conv2d":
        k, _, i, _ = arguments[1].shape
        return (k * k * i + 2,)  # and the bias, and add
    if name == "conv2d_backward":
        dy, (k, _, _, o) = arguments[0], arguments[2].shape
        pixels = dy.shape[1] * dy.shape[2]
        return k * k * o, len(dy) * pixels, len(dy) * pixels, pixels
    assert name == "embedding_backward"
    return (len(arguments[0]),)


def _factor(n, dtype):
    """Of the root of the sum of squares, or of the sum of absolute values.  Twice in float64, where the oracle rounds as much."""
    return 8 * UNIT_ROUNDOFF[dtype] * (np.sqrt(n) + 8) * (2 if dtype == np.float64 else 1)


def _of_one_sign(arguments):
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    return all((a >= 0).all() or (a <= 0).all() for a in arrays)


def _per_sample(name):
    """For each result: is its first axis that of the samples?"""
    return [result_axes[:1] == (sample_axis(name),) for result_axes in axes(OPS[name].results).values()]


def product_statistically(name, results, arguments):
    """Zero-mean random data: the error of a whole tensor."""
    exact, squares = _reference(name, arguments), _reference(name, arguments, np.square)
    for result, e, s, n in zip(results, exact, squares, reduction_lengths(name, arguments)):
        if e is not None:
            error, bound = rms(result - e), _factor(n, result.dtype) * rms(np.sqrt(s))
            assert error <= bound, f"{name}: an rms error of {error:.3g} exceeds {bound:.3g}"


def product_grossly(name, results, arguments):
    """Any data: the error of every entry, against the largest sum of absolute values in its sample."""
    exact, absolute = _reference(name, arguments), _reference(name, arguments, np.abs)
    lengths, per_sample = reduction_lengths(name, arguments), _per_sample(name)
    for result, e, s, n, by_sample in zip(results, exact, absolute, lengths, per_sample):
        if e is None:
            continue
        factor = _factor(n, result.dtype)
        if _of_one_sign(arguments):
            factor = max(1, result.dtype.itemsize // 4) * UNIT_ROUNDOFF[result.dtype] * (n + 64)
        over = tuple(range(1, e.ndim)) if by_sample else None
        bound = factor * s.max(axis=over, keepdims=True, initial=0)
        assert (np.abs(result - e) <= bound).all(), f"{name}: an error of {largest(result - e):.3g} exceeds {largest(bound):.3g}"


def product_exactly(name, results, arguments):
    """Data in {-1, 0, 1}: every partial sum is a small integer, so a term dropped or counted twice shows."""
    exact, absolute = _reference(name, arguments), _reference(name, arguments, np.abs)
    for result, e, s in zip(results, exact, absolute):
        if e is not None:
            assert largest(s) < 2**12
            assert np.array_equal(np.rint(result), e), f"{name}: wrong by {largest(np.rint(result) - e)} on small integers"


def ternary(arguments):
    """The arguments with their arrays made of -1, 0 and 1: a value keeps its sign, and those within 1/2 of 0 become 0."""
    return replace(arguments, lambda a: np.sign(np.rint(a)))


def _reference(name, arguments, change=lambda a: a):
    return outputs(name, getattr(reference.ops, name), replace(cast(arguments, np.float64), change))


# All other ops.


def _moved(rng):
    """Every entry but 0 becomes its neighbour, above or below."""

    def move(array):
        ways = np.where(rng.random(array.shape) < 0.5, np.inf, -np.inf).astype(array.dtype)
        return np.where(array == 0, array, np.nextafter(array, ways))

    return move


def general_budgets(name, arguments, dtype):
    """For each result the permitted rms and largest error."""
    function, exact = getattr(reference.ops, name), _reference(name, arguments)
    single = cast(arguments, np.float32)
    rng = np.random.default_rng(0)
    runs = [outputs(name, function, single)] + [outputs(name, function, replace(single, _moved(rng))) for _ in range(7)]
    scale = FLOAT64_FROM_FLOAT32 if dtype == np.float64 else 1
    budgets = []
    for index, e in enumerate(exact):
        errors = [run[index] - e for run in runs]
        u = UNIT_ROUNDOFF[np.dtype(np.float32)]
        in_rms = scale * (8 * max(map(rms, errors)) + 4 * u * rms(e))
        at_most = scale * (16 * max(map(largest, errors)) + 4 * u * largest(e))
        budgets.append((in_rms, at_most))
    return budgets


def general(name, results, arguments):
    exact = _reference(name, arguments)
    dtype = results[0].dtype
    for result, e, (in_rms, at_most) in zip(results, exact, general_budgets(name, arguments, dtype)):
        error = result - e
        assert rms(error) <= in_rms, f"{name}: an rms error of {rms(error):.3g} exceeds {in_rms:.3g}"
        assert largest(error) <= at_most, f"{name}: an error of {largest(error):.3g} exceeds {at_most:.3g}"


def accept(name, results, arguments, zero_mean=False):
    """The rule of the contract, for results in the arguments' dtype.  ``zero_mean`` data allow a sharper check of products."""
    rule = OPS[name].rule
    if rule == "product":
        product_grossly(name, results, arguments)
        if zero_mean:
            product_statistically(name, results, arguments)
    elif rule == "general":
        general(name, results, arguments)
    else:
        for result, expected in zip(results, outputs(name, getattr(reference.ops, name), arguments)):
            assert np.array_equal(result, expected), f"{name}: not the same bits"


# Gradients.

STEPS = 2.0 ** -np.arange(2, 21)  # of directions whose entries have the size of the data
NETWORK_STEPS = STEPS[4:11]  # a network is dear to evaluate, and smooth enough
VACUOUS = 1e-7  # a numeric derivative that is known no better than this proves nothing
ADJOINT = 1e-12  # two sums of the same products, of at most some thousands: sqrt(n) u is 1e-14


def derivative(f, magnitude, steps=STEPS):
    """f'(0) and how far off it may be, by central differences, once extrapolated (Ridders 1982).

    D(h) has an error in h^2; R(h) = (4 D(h) - D(2h)) / 3 one in h^4, and a rounding error of about u magnitude / h, where
    ``magnitude`` bounds the sum of absolute values that f adds up.  A step is as good as its R is near those of the two larger steps:
    the last change is 15 times the h^4 error, the change before 240 times.  The best step of the ladder is taken.
    """
    d = np.array([(f(h) - f(-h)) / (2 * h) for h in steps])
    r = (4 * d[1:] - d[:-1]) / 3
    change = np.abs(np.diff(r))
    rounding = 8 * UNIT_ROUNDOFF[np.dtype(np.float64)] * magnitude / steps[3:]
    errors = 8 * change[1:] + change[:-1] + 8 * rounding
    best = np.argmin(errors)
    return r[best + 2], errors[best]


def gradient_agrees(analytic, f, magnitude, scale=0.0, steps=STEPS):
    """``analytic`` is f'(0).  ``magnitude``: the sum of absolute values in f; ``scale``: that in the analytic number."""
    numeric, error = derivative(f, magnitude, steps)
    error += 64 * UNIT_ROUNDOFF[np.dtype(np.float64)] * scale
    assert error <= VACUOUS * max(magnitude, scale), f"the numeric derivative is known to {error:.3g} only"
    assert abs(analytic - numeric) <= error, f"analytic {analytic:.12g}, numeric {numeric:.12g}, may differ by {error:.3g}"


def adjoint(one, other):
    """Two lists of terms have the same sum, on the scale of their absolute values."""
    one, other = np.ravel(one), np.ravel(other)
    scale = max(np.abs(one).sum(), np.abs(other).sum())
    assert abs(one.sum() - other.sum()) <= ADJOINT * scale, f"{one.sum():.15g} and {other.sum():.15g} differ"


def close(result, expected, scale=None):
    """Two computations of the same numbers in float64, by different formulas: 64 roundings apart at most.

    A rounding is of the size u ``scale``: that of the largest number expected, or of what cancelled on the way to it.
    """
    result, expected = np.asarray(result), np.asarray(expected)
    assert result.shape == expected.shape, f"shape {result.shape}, expected {expected.shape}"
    bound = 64 * UNIT_ROUNDOFF[np.dtype(np.float64)] * (largest(expected) if scale is None else scale)
    assert np.abs(result - expected).max(initial=0) <= bound, f"an error of {largest(result - expected):.3g} exceeds {bound:.3g}"


def of_unit_size(array, silus=0):
    """Activations that neither fade nor grow but by what is inherent: a SiLU takes a factor of 0.6, a sum of two branches gives 1.4."""
    size = rms(array) / 0.6**silus
    assert 1 / 4 <= size <= 4, f"an rms of {rms(array):.3g}"
