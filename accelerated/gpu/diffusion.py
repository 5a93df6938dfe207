"""Add noise, and take one step back, as in reference/ops/diffusion.py: a thread for each entry, one pass over the arrays.

With a ``Key`` the noise is drawn in the same kernel (see random.py) and reaches no other memory than a block's own.  Products are fused
with sums where the code says so: a ``Key`` gives the same bits as its noise in an array, whatever a compiler would have chosen.

The samples of a ``Key`` are looked at where NumPy holds them, as in random.py.
"""

from accelerated.gpu.device import cuda, is_device, op, xp
from accelerated.gpu.kernel import device, index, kernel
from accelerated.gpu.random import draw_normals, kernel_key, launched, look_at_samples
from reference.ops.checks import check, per_sample, takes_out
from reference.ops.diffusion import check_no_noise
from reference.ops.random import Key, entries


@takes_out
def add_noise(x0, signal, noise_scale, noise):
    """x0[b,...] -> signal x0 + noise_scale noise; coefficients are numbers or arrays [b], noise an array or a ``Key``."""
    if isinstance(noise, Key):
        look_at_samples(noise.sample)
    return _add_noise(x0, signal, noise_scale, noise)


@op
def _add_noise(x0, signal, noise_scale, noise):
    check("x0[b,...]", x0)
    a, b = coefficient("signal", signal, x0), coefficient("noise_scale", noise_scale, x0)
    x = xp.empty(x0.shape, x0.dtype)
    if isinstance(noise, Key):
        key = key_for(noise, x0)
        _add_drawn.blocks(launched(*key))(x0, *a, *b, *key, x)
    else:
        check("x[...] noise[...]", x0, noise)
        _add[x.size](x0, noise, *a, *b, x)
    return x


@takes_out
def reverse_step(x, prediction, a, b, c, noise):
    """x[b,...], prediction[b,...] -> a x + b prediction + c noise, as ``add_noise``.  ``noise=None`` adds none, and c must be 0."""
    if isinstance(noise, Key):
        look_at_samples(noise.sample)
    return _reverse_step(x, prediction, a, b, c, noise)


@op
def _reverse_step(x, prediction, a, b, c, noise):
    check("x[b,...] prediction[b,...]", x, prediction)
    a, b = coefficient("a", a, x), coefficient("b", b, x)
    y = xp.empty(x.shape, x.dtype)
    if noise is None:
        check_no_noise(c)
        _add[y.size](x, prediction, *a, *b, y)
        return y
    c = coefficient("c", c, x)
    if isinstance(noise, Key):
        key = key_for(noise, x)
        _step_drawn.blocks(launched(*key))(x, prediction, *a, *b, *c, *key, y)
    else:
        check("x[...] noise[...]", x, noise)
        _step[y.size](x, prediction, noise, *a, *b, *c, y)
    return y


def coefficient(name, value, x):
    """As kernels take one: an array and how many entries have the same; or some array, a number and 0."""
    value = per_sample(name, value, x)
    return (value, 0, x.size // max(1, value.size)) if is_device(value) else (x, value, 0)


@device
def of_entry(i, values, number, each):
    return values[i // each] if each > 0 else number


def key_for(key, x):
    """A key for the noise of x, as kernels take it."""
    key = kernel_key(key.seed, key.sample, key.step, key.purpose, entries(x.shape[1:], x.dtype))
    if len(key[2]) != len(x):
        check("x[...] noise[...]", x, xp.empty((len(key[2]), *x.shape[1:]), x.dtype))
    return key


@device
def sum_of_two(a, x, b, y):
    return cuda.fma(b, y, a * x)


@kernel("r* r* r* s i r* s i w*")
def _add(x, y, values_a, a, each_a, values_b, b, each_b, z):
    i = index()
    if i < z.size:
        z[i] = sum_of_two(of_entry(i, values_a, a, each_a), x[i], of_entry(i, values_b, b, each_b), y[i])


@kernel("r* r* s i r* s i i i rI1 i i i w*", shared=4)
def _add_drawn(x, values_a, a, each_a, values_b, b, each_b, low, high, sample, step, purpose, count, z):
    shared = cuda.shared.array(0, z.dtype)
    begin, end = draw_normals(shared, low, high, sample, step, purpose, count)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        z[i] = sum_of_two(of_entry(i, values_a, a, each_a), x[i], of_entry(i, values_b, b, each_b), shared[i - begin])


@kernel("r* r* r* r* s i r* s i r* s i w*")
def _step(x, y, noise, values_a, a, each_a, values_b, b, each_b, values_c, c, each_c, z):
    i = index()
    if i < z.size:
        mean = sum_of_two(of_entry(i, values_a, a, each_a), x[i], of_entry(i, values_b, b, each_b), y[i])
        z[i] = cuda.fma(of_entry(i, values_c, c, each_c), noise[i], mean)


@kernel("r* r* r* s i r* s i r* s i i i rI1 i i i w*", shared=4)
def _step_drawn(x, y, values_a, a, each_a, values_b, b, each_b, values_c, c, each_c, low, high, sample, step, purpose, count, z):
    shared = cuda.shared.array(0, z.dtype)
    begin, end = draw_normals(shared, low, high, sample, step, purpose, count)
    for i in range(begin + cuda.threadIdx.x, end, cuda.blockDim.x):
        mean = sum_of_two(of_entry(i, values_a, a, each_a), x[i], of_entry(i, values_b, b, each_b), y[i])
        z[i] = cuda.fma(of_entry(i, values_c, c, each_c), shared[i - begin], mean)
