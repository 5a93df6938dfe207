"""Arguments for every op of the contract, from sizes and options: one function an op, named as the
op.

    conv2d(numbers, 2, 5, 7, 3, 4, 1, 2, None)  x[2,5,7,3], a 1x1 kernel, 4 channels, stride 2
    fixed_inputs("conv2d_backward")             the calls in reference/conformance/test_vectors.py

All numbers are exact in float32, so that a float32 and a float64 port get the same values.  Data
are unit normal times a scale plus an offset.
"""

import numpy as np

import reference.ops
from reference.conformance.call import backward_arguments, call_op, differentiable_output
from reference.conformance.contract import OPS
from reference.ops import Key, Purpose


class RandomArrays:
    """Random arrays of one dtype from one seed: ``numbers(b, c)`` scaled and shifted,
    ``numbers.unit(b, c)`` not.
    """

    def __init__(self, seed, scale, offset, dtype):
        self.rng = np.random.default_rng(seed)
        self.scale, self.offset = scale, offset
        self.dtype = np.dtype(dtype)

    def __call__(self, *shape):
        return self.cast(self.scale * self.rng.standard_normal(shape) + self.offset)

    def unit(self, *shape):
        return self.cast(self.rng.standard_normal(shape))

    def between(self, low, high, *shape):
        return self.cast(self.rng.uniform(low, high, shape))

    def cast(self, array):
        return np.asarray(array, np.float32).astype(self.dtype)


def linear(numbers, n, i, o, bias=True):
    return numbers(n, i), numbers.unit(i, o), numbers.unit(o) if bias else None


def conv2d(numbers, b, h, w, i, o, k, stride, add):
    """``add``: None, "per channel" or "per pixel"."""
    pixels = {"per channel": (1, 1), "per pixel": (-(-h // stride), -(-w // stride))}.get(add)
    return (
        numbers(b, h, w, i),
        numbers.unit(k, k, i, o),
        numbers.unit(o),
        stride,
        pixels and numbers.unit(b, *pixels, o),
    )


def group_norm(numbers, b, pixels, groups, width, eps):
    c = groups * width
    return numbers(b, *pixels, c), numbers.unit(c), numbers.unit(c), groups, eps


group_norm_silu = group_norm


def silu(numbers, *shape):
    return (numbers(*shape),)


softmax = silu


def silu_second(numbers, *shape):
    return numbers.unit(*shape), numbers.unit(*shape), numbers(*shape)


def attention(numbers, b, n, m, heads, width, masked=False):
    """``masked``: about half of the keys count.  The first key of the first sample always does:
    there calling_rules.py puts a NaN.
    """
    c = heads * width
    arrays = numbers(b, n, c), numbers(b, m, c), numbers(b, m, c)
    if not masked:
        return *arrays, heads, None
    mask = numbers.rng.random((b, m)) < 0.5
    mask[np.arange(b), numbers.rng.integers(0, m, b)] = True
    mask[:1, :1] = True
    return *arrays, heads, mask


def upsample_nearest(numbers, b, h, w, c):
    return (numbers(b, h, w, c),)


def average_pool(numbers, b, h, w, c):
    """h and w are the sides of the result."""
    return (numbers(b, 2 * h, 2 * w, c),)


def concat(numbers, shape, c, d):
    return numbers(*shape, c), numbers(*shape, d)


def timestep_embedding(numbers, b, width, shift):
    return numbers.between(0, 1000, b), width, shift


def embedding(numbers, b, k, d, dtype):
    return numbers.rng.integers(0, k, b).astype(dtype), numbers(k, d)


def mse(numbers, *shape):
    return numbers(*shape), numbers(*shape)


def gaussian_kl(numbers, *shape):
    # e^89 overflows in float32
    return numbers(*shape), numbers.cast(
        min(numbers.scale, 10) * numbers.rng.standard_normal(shape)
    )


def cross_entropy(numbers, b, k, dtype):
    return numbers(b, k), numbers.rng.integers(0, k, b).astype(dtype)


def adam_step_(numbers, shape, step, lr, beta1, beta2):
    """``lr`` None: 0.01 as an array."""
    g, m, v = numbers(*shape), numbers(*shape), numbers.cast(numbers(*shape) ** 2)
    return (
        numbers.unit(*shape),
        g,
        m,
        v,
        step,
        numbers.cast(0.01) if lr is None else lr,
        beta1,
        beta2,
        1e-8,
    )


def ema_step_(numbers, shape, decay):
    return numbers(*shape), numbers(*shape), decay


def global_norm(numbers, *shapes):
    return ([numbers(*shape) for shape in shapes],)


def philox_bits(numbers, seed, sample, step, purpose, count):
    return seed, np.array(sample, np.int64), step, purpose, count


def uniform(numbers, seed, sample, step, purpose, shape):
    return seed, np.array(sample, np.int64), step, purpose, shape, numbers.dtype


normal = uniform


def mixture_log_density(numbers, n, k, d, scalar):
    """``scalar``: variances[k] in place of covariances[k,d,d]."""
    parts = max(1024, 2 << k.bit_length())  # a power of two: the weights sum to 1 in any precision
    weights = (1 + numbers.rng.multinomial(parts - k, np.full(k, 1 / k))) / parts
    if scalar:
        covariances = numbers.scale**2 * numbers.rng.uniform(0.2, 2, k)
    else:
        roots = numbers.rng.standard_normal((k, d, d))
        covariances = numbers.scale**2 * (roots @ roots.swapaxes(1, 2) / d + 0.5 * np.eye(d))
    return numbers(n, d), numbers.cast(weights), numbers(k, d), numbers.cast(covariances)


mixture_score = mixture_log_density


def _coefficient(numbers, value, b):
    return numbers.unit(b) if value is None else value


def add_noise(numbers, shape, signal, noise_scale, key):
    """A coefficient of None becomes an array with one entry a sample, and a ``key`` of None an
    array of noise.
    """
    x0 = numbers(*shape)
    signal = _coefficient(numbers, signal, shape[0])
    noise_scale = _coefficient(numbers, noise_scale, shape[0])
    return x0, signal, noise_scale, key or numbers.unit(*shape)


def reverse_step(numbers, shape, a, b, c, key):
    """As ``add_noise``; with c = 0 there is no noise."""
    x, prediction = numbers(*shape), numbers.unit(*shape)
    a, b, c = (_coefficient(numbers, value, shape[0]) for value in (a, b, c))
    return (
        x,
        prediction,
        a,
        b,
        c,
        None if np.ndim(c) == 0 and c == 0 else key or numbers.unit(*shape),
    )


def fokker_planck_step(numbers, n, dx, dt, periodic):
    return (
        numbers.between(0.1, 1, n),
        numbers.between(-5, 5, n + 1),
        numbers.between(0.5, 2, n + 1),
        dx,
        dt,
        periodic,
    )


def fokker_planck_step_2d(numbers, n, m, dx, dy, dt, periodic):
    drifts = numbers.between(-5, 5, n + 1, m), numbers.between(-5, 5, n, m + 1)
    diffusions = numbers.between(0.5, 2, n + 1, m), numbers.between(0.5, 2, n, m + 1)
    return numbers.between(0.1, 1, n, m), *drifts, *diffusions, dx, dy, dt, periodic


def with_upstream_gradient(name, numbers, arguments):
    """The arguments of ``NAME_backward``, from those of the forward and a random gradient of its
    output.
    """
    y = differentiable_output(name, call_op(name, getattr(reference.ops, name), arguments))
    return backward_arguments(name, arguments, numbers.unit(*y.shape))


# of the cases of an op of the rule "general", in turns
SCALES_AND_OFFSETS = ((1.0, 0.0), (1.0, 30.0), (100.0, 0.0))
INDEX = (2**40 + 7, (0, 9, 2**32 - 1), 3)
LAST_INDEX = (2**64 - 1, (5,), 2**32 - 1)
KEY = Key(2**40 + 7, np.array([4, 0, 2**32 - 1]), 3, Purpose.STEP_NOISE)
NORMS = (
    (2, (3, 5), 2, 3, 1e-5),
    (3, (7,), 4, 2, 1e-3),
    (2, (2, 2), 1, 5, 1e-5),
    (3, (), 2, 4, 1e-5),
    (1, (67, 31), 1, 2, 1e-5),
)
FIXED_INPUTS = {  # the last cases are large, as far as the files of ``test-vectors`` stay small
    "linear": ((3, 5, 4), (2, 7, 3, False), (1, 1, 1), (131, 67, 5), (2, 3, 4099)),
    "conv2d": (
        (2, 5, 7, 2, 3, 3, 1, "per pixel"),
        (2, 7, 5, 3, 2, 3, 2, "per channel"),
        (1, 4, 6, 2, 3, 3, 2, "per pixel"),
        (2, 3, 4, 1, 2, 3, 1, None),
        (2, 5, 4, 3, 2, 1, 1, "per channel"),
        (1, 6, 3, 2, 4, 1, 2, None),
        *[(1, 5, 3, 67, 3, 3, 1, None), (1, 3, 5, 3, 131, 3, 2, None)],
    ),
    "group_norm": NORMS,
    "group_norm_silu": NORMS,
    "silu": ((2, 3, 5), (7,), (4, 9), (65_537,)),
    "silu_second": ((2, 3, 5), (7,), (4, 9)),
    "softmax": ((2, 3, 5), (7,), (4, 9), (2, 1031)),
    "attention": (
        (2, 5, 3, 2, 4),
        (1, 3, 4, 1, 3),
        (1, 2, 3, 1, 2),
        (2, 4, 6, 3, 2),
        (1, 67, 131, 3, 5),
        (3, 4, 8, 2, 3, True),
        (2, 5, 7, 1, 4, True),
    ),
    "upsample_nearest": ((2, 3, 5, 2), (1, 1, 4, 3)),
    "average_pool": ((2, 3, 5, 2), (1, 1, 4, 3)),
    "concat": (((2, 3, 5), 2, 3), ((3,), 4, 1)),
    "timestep_embedding": ((3, 6, 0), (5, 2, 0), (3, 8, 1)),
    "embedding": (
        (5, 3, 4, np.int64),
        (3, 4, 2, np.int32),
        (9, 2, 3, np.uint8),
        (131, 1031, 3, np.int64),
    ),
    "mse": ((3, 4, 2), (2,), (2, 3, 4, 1)),
    "gaussian_kl": ((3, 4, 2), (2,), (2, 3, 4, 1)),
    "cross_entropy": (
        (3, 5, np.int64),
        (2, 10, np.int32),
        (4, 3, np.uint8),
        (3, 1, np.int64),
        (2, 1031, np.int64),
    ),
    "adam_step_": (
        ((3, 5), 1, 1e-3, 0.9, 0.999),
        ((7,), 10, None, 0.5, 0.9),
        ((2, 3, 2), 1000, 0.1, 0.9, 0.999),
    ),
    "ema_step_": (((3, 5), 0.999), ((7,), 0.75), ((2, 3), 0.0)),
    "global_norm": (((3, 5),), ((2, 3), (7,), (2, 2, 2)), ((4,), (1, 3))),
    "philox_bits": (
        (*INDEX, Purpose.PRIOR, 9),
        (*LAST_INDEX, Purpose.INIT, 4),
        (0, (0,), 0, 0, 4),
        (1, (0,), 0, 0, 4 * 65_537),
    ),
    "uniform": ((*INDEX, Purpose.TIME, ()), (*LAST_INDEX, Purpose.DATA_ORDER, (3, 2))),
    "normal": ((*INDEX, Purpose.TRAINING_NOISE, (3, 5)), (*LAST_INDEX, Purpose.PRIOR, (7,))),
    "mixture_log_density": ((5, 3, 2, False), (4, 2, 3, True), (3, 4, 1, False)),
    "mixture_score": ((5, 3, 2, False), (4, 2, 3, True), (3, 4, 1, False)),
    "add_noise": (
        ((3, 4, 2), 0.75, -1.5, None),
        ((2, 3), None, None, None),
        ((3, 5, 1), None, 0.6, KEY),
    ),
    "reverse_step": (
        ((3, 4, 2), 0.75, -1.5, 0.3, None),
        ((2, 3), None, None, None, None),
        ((3, 5, 1), 0.9, None, 0.5, KEY),
        ((2, 5), 0.9, 0.1, 0.0, None),
    ),
    "fokker_planck_step": (
        (7, 0.1, 0.01, False),
        (5, 0.5, 0.1, True),
        (9, 1.0, 1.0, False),
        (1031, 0.1, 0.01, True),
    ),
    "fokker_planck_step_2d": ((4, 6, 0.5, 0.25, 0.01, False), (5, 3, 0.5, 0.25, 0.5, True)),
}


def fixed_inputs(name):
    """The arguments, in float32, of a few calls of a row of the contract: always the same ones."""
    forward, found = name.removesuffix("_backward"), []
    for number, sizes in enumerate(FIXED_INPUTS[forward]):
        scale, offset = SCALES_AND_OFFSETS[number % 3 if OPS[name].rule == "general" else 0]
        numbers = RandomArrays(number, scale, offset, np.float32)
        arguments = globals()[forward](numbers, *sizes)
        found.append(
            arguments if forward == name else with_upstream_gradient(forward, numbers, arguments)
        )
    return found


def random_parameters(network, seed=0):
    """Random parameters without zeros: the zeros of an untrained network would hide gradients."""
    rng, params = np.random.default_rng(seed), {}
    for name, shape in network.shapes().items():
        draw = rng.standard_normal(shape)
        params[name] = (
            1 + draw / 4
            if name.endswith("scale")
            else draw / np.sqrt(np.prod(shape[:-1]))
            if len(shape) > 1
            else draw / 4
        )
    return params
