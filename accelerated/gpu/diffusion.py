"""Add noise, and take one step back, as in reference/ops/diffusion.py: a thread for each entry, one pass over the arrays.

With a ``Key`` the same kernel draws the noise (see random.py), and the noise stays in shared memory.  The code asks for each fused
multiply-add by ``cuda.fma``, so that a ``Key`` gives the same bits as its noise in an array.

The sample indices of a ``Key`` are validated where they are a NumPy array, as in random.py.
"""

from accelerated.gpu.device import cuda, is_device_array, op, xp
from accelerated.gpu.kernel import device_function, kernel, thread_index
from accelerated.gpu.random import block_count, draw_normals, key_arguments, validate_samples
from reference.ops.checks import check, per_sample, takes_out
from reference.ops.diffusion import check_no_noise
from reference.ops.random import Key, entries


@takes_out
def add_noise(x0, signal, noise_scale, noise):
    """x0[b,...] -> signal x0 + noise_scale noise; coefficients are numbers or arrays [b], noise an array or a ``Key``."""
    if isinstance(noise, Key):
        validate_samples(noise.sample)
    return _add_noise(x0, signal, noise_scale, noise)


@op
def _add_noise(x0, signal, noise_scale, noise):
    check("x0[b,...]", x0)
    a, b = coefficient_arguments("signal", signal, x0), coefficient_arguments("noise_scale", noise_scale, x0)
    x = xp.empty(x0.shape, x0.dtype)
    if isinstance(noise, Key):
        key = key_arguments_for(noise, x0)
        _add_drawn.blocks(block_count(*key))(x0, *a, *b, *key, x)
    else:
        check("x[...] noise[...]", x0, noise)
        _add[x.size](x0, noise, *a, *b, x)
    return x


@takes_out
def reverse_step(x, prediction, a, b, c, noise):
    """x[b,...], prediction[b,...] -> a x + b prediction + c noise, as ``add_noise``.  ``noise=None`` adds none, and c must be 0."""
    if isinstance(noise, Key):
        validate_samples(noise.sample)
    return _reverse_step(x, prediction, a, b, c, noise)


@op
def _reverse_step(x, prediction, a, b, c, noise):
    check("x[b,...] prediction[b,...]", x, prediction)
    a, b = coefficient_arguments("a", a, x), coefficient_arguments("b", b, x)
    y = xp.empty(x.shape, x.dtype)
    if noise is None:
        check_no_noise(c)
        _add[y.size](x, prediction, *a, *b, y)
        return y
    c = coefficient_arguments("c", c, x)
    if isinstance(noise, Key):
        key = key_arguments_for(noise, x)
        _step_drawn.blocks(block_count(*key))(x, prediction, *a, *b, *c, *key, y)
    else:
        check("x[...] noise[...]", x, noise)
        _step[y.size](x, prediction, noise, *a, *b, *c, y)
    return y


def coefficient_arguments(name, value, x):
    """A coefficient as three arguments of a kernel: (values [b], 0, entries of a sample), or (a placeholder, the number, 0)."""
    value = per_sample(name, value, x)
    return (value, 0, x.size // max(1, value.size)) if is_device_array(value) else (x, value, 0)


@device_function
def coefficient_of(i, values, number, repeat):
    """The coefficient of entry i: ``values`` holds one for ``repeat`` consecutive entries, unless ``repeat`` is 0."""
    return values[i // repeat] if repeat > 0 else number


def key_arguments_for(key, x):
    """The arguments of a kernel that draws the noise of x."""
    key = key_arguments(key.seed, key.sample, key.step, key.purpose, entries(x.shape[1:], x.dtype))
    if len(key[2]) != len(x):
        check("x[...] noise[...]", x, xp.empty((len(key[2]), *x.shape[1:]), x.dtype))
    return key


@device_function
def linear_combination(a, x, b, y):
    """a x + b y, the sum fused with the second product."""
    return cuda.fma(b, y, a * x)


@kernel("r* r* r* s i r* s i w*")
def _add(x, y, values_a, a, repeat_a, values_b, b, repeat_b, z):
    i = thread_index()
    if i < z.size:
        z[i] = linear_combination(coefficient_of(i, values_a, a, repeat_a), x[i], coefficient_of(i, values_b, b, repeat_b), y[i])


@kernel("r* r* s i r* s i i i rI1 i i i w*", shared=4)
def _add_drawn(x, values_a, a, repeat_a, values_b, b, repeat_b, low, high, sample, step, purpose, count, z):
    shared = cuda.shared.array(0, z.dtype)
    begin, end = draw_normals(shared, low, high, sample, step, purpose, count)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        signal, noise_scale = coefficient_of(i, values_a, a, repeat_a), coefficient_of(i, values_b, b, repeat_b)
        z[i] = linear_combination(signal, x[i], noise_scale, shared[i - begin])


@kernel("r* r* r* r* s i r* s i r* s i w*")
def _step(x, y, noise, values_a, a, repeat_a, values_b, b, repeat_b, values_c, c, repeat_c, z):
    i = thread_index()
    if i < z.size:
        mean = linear_combination(coefficient_of(i, values_a, a, repeat_a), x[i], coefficient_of(i, values_b, b, repeat_b), y[i])
        z[i] = cuda.fma(coefficient_of(i, values_c, c, repeat_c), noise[i], mean)


@kernel("r* r* r* s i r* s i r* s i i i rI1 i i i w*", shared=4)
def _step_drawn(x, y, values_a, a, repeat_a, values_b, b, repeat_b, values_c, c, repeat_c, low, high, sample, step, purpose, count, z):
    shared = cuda.shared.array(0, z.dtype)
    begin, end = draw_normals(shared, low, high, sample, step, purpose, count)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        mean = linear_combination(coefficient_of(i, values_a, a, repeat_a), x[i], coefficient_of(i, values_b, b, repeat_b), y[i])
        z[i] = cuda.fma(coefficient_of(i, values_c, c, repeat_c), shared[i - begin], mean)
