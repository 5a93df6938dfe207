"""Adam, the moving average of parameters, and the norm of a gradient: formulas as in reference/ops/optimizer.py.

lr and decay may be numbers of the host or, as arrays of shape (), of the device, where they stay.
"""

from accelerated.gpu.device import cuda, is_device, math, op, xp
from accelerated.gpu.kernel import block, device, index, kernel, total, total_of_all
from reference.ops.checks import check
from reference.ops.optimizer import check_adam, check_list, scalar

PART = 64  # entries that a thread squares and sums one after the other: more would round more than NumPy does


def _writable(*targets):
    """What a kernel can write to instead: the arrays themselves, or copies of those that are not contiguous."""
    return [target if target.flags.c_contiguous else target.copy() for target in targets]


def _write_back(targets, results):
    """Where the kernel wrote to a copy, the array itself follows."""
    for target, result in zip(targets, results):
        if result is not target:
            target[...] = result


def _number(value, factor, other):
    """factor * value as a number, an array, and whether that is to be multiplied by; ``other`` is an array, whichever, where it isn't."""
    return (factor, value, True) if is_device(value) else (factor * float(value), other, False)


@device
def _product(number, array, there):
    return number * array[0] if there else number


@op
def adam_step_(p, g, m, v, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """p[...], g[...], m[...], v[...]: one step of Adam on p, m and v in place.  ``step`` counts from 1."""
    step, lr, beta1, beta2, eps = check_adam(p, g, m, v, step, lr, beta1, beta2, eps)
    targets, rate = _writable(p, m, v), _number(lr, 1 / (1 - beta1**step), g)
    _adam[p.size](*targets, g, *rate, beta1, 1 - beta1, beta2, 1 - beta2, 1 / (1 - beta2**step), eps)
    _write_back((p, m, v), targets)


@kernel("w* w* w* r* s r* b s s s s s s")
def _adam(p, m, v, g, number, array, there, beta1, rest1, beta2, rest2, correction, eps):
    i = index()
    if i < p.size:
        first = beta1 * m[i] + rest1 * g[i]
        second = beta2 * v[i] + rest2 * (g[i] * g[i])
        m[i] = first
        v[i] = second
        p[i] -= _product(number, array, there) * first / (math.sqrt(second * correction) + eps)


@op
def ema_step_(average, p, decay):
    """average[...] = decay average + (1 - decay) p, in place."""
    check("average[...] p[...]", average, p)
    targets = _writable(average)
    _ema[p.size](*targets, p, *_number(scalar("decay", decay, average), 1, p))
    _write_back([average], targets)


@kernel("w* r* s r* b")
def _ema(average, p, number, array, there):
    i = index()
    if i < p.size:
        decay = _product(number, array, there)
        average[i] = decay * average[i] + (p.dtype.type(1) - decay) * p[i]


@op
def global_norm(arrays):
    """The Euclidean norm of all entries of a list of arrays together, in their dtype."""
    check_list(arrays)
    blocks = [-(-array.size // (PART * block())) for array in arrays]
    sums, norm = xp.zeros(max(1, sum(blocks)), arrays[0].dtype), xp.empty((), arrays[0].dtype)
    end = 0
    for array, count in zip(arrays, blocks):
        begin, end = end, end + count
        _squares.blocks(count)(array, sums[begin:end])
    _root_of_sum.blocks(1)(sums, norm)
    return norm


@kernel("r* w*", shared=1)
def _squares(x, sums):
    shared, begin, part = cuda.shared.array(0, x.dtype), cuda.blockIdx.x * x.size // sums.size, x.dtype.type(0)
    for i in range(begin + cuda.threadIdx.x, (cuda.blockIdx.x + 1) * x.size // sums.size, cuda.blockDim.x):
        part += x[i] * x[i]
    part = total(shared, part)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = part


@kernel("r* w*", shared=1)
def _root_of_sum(sums, norm):
    whole = total_of_all(cuda.shared.array(0, norm.dtype), sums)
    if cuda.threadIdx.x == 0:
        norm[0] = math.sqrt(whole)
