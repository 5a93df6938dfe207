"""Adam, the moving average of parameters, and the norm of a gradient: formulas as in reference/ops/optimizer.py.

lr and decay may be Python numbers, or arrays of shape () on the device, which are not copied to the host.
"""

from accelerated.gpu.device import cuda, is_device_array, math, op, xp
from accelerated.gpu.kernel import array_sum, block_size, block_sum, device_function, kernel, thread_index
from reference.ops.checks import check
from reference.ops.optimizer import check_adam, check_list, scalar

ENTRIES_PER_THREAD = 64  # that a thread squares and adds in sequence: more would round more than NumPy's pairwise sums


def _writable(*targets):
    """Contiguous arrays for a kernel to write to: the targets themselves, or copies of targets that are not contiguous."""
    return [target if target.flags.c_contiguous else target.copy() for target in targets]


def _write_back(targets, results):
    """Copy the results to the targets that ``_writable`` replaced by copies."""
    for target, result in zip(targets, results):
        if result is not target:
            target[...] = result


def _scalar_arguments(value, factor, placeholder):
    """factor * value as three arguments of a kernel: a number, an array, and whether to multiply the number by the array's entry.

    ``placeholder``: any array, passed where value is a Python number.
    """
    return (factor, value, True) if is_device_array(value) else (factor * float(value), placeholder, False)


@device_function
def _scalar(number, array, is_array):
    return number * array[0] if is_array else number


@op
def adam_step_(p, g, m, v, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """p[...], g[...], m[...], v[...]: one step of Adam on p, m and v in place.  ``step`` counts from 1."""
    step, lr, beta1, beta2, eps = check_adam(p, g, m, v, step, lr, beta1, beta2, eps)
    targets, rate = _writable(p, m, v), _scalar_arguments(lr, 1 / (1 - beta1**step), g)
    _adam[p.size](*targets, g, *rate, beta1, 1 - beta1, beta2, 1 - beta2, 1 / (1 - beta2**step), eps)
    _write_back((p, m, v), targets)


@kernel("w* w* w* r* s r* b s s s s s s")
def _adam(p, m, v, g, number, array, is_array, beta1, one_minus_beta1, beta2, one_minus_beta2, bias_correction, eps):
    i = thread_index()
    if i < p.size:
        first = beta1 * m[i] + one_minus_beta1 * g[i]
        second = beta2 * v[i] + one_minus_beta2 * (g[i] * g[i])
        m[i] = first
        v[i] = second
        p[i] -= _scalar(number, array, is_array) * first / (math.sqrt(second * bias_correction) + eps)


@op
def ema_step_(average, p, decay):
    """average[...] = decay average + (1 - decay) p, in place."""
    check("average[...] p[...]", average, p)
    targets = _writable(average)
    _ema[p.size](*targets, p, *_scalar_arguments(scalar("decay", decay, average), 1, p))
    _write_back([average], targets)


@kernel("w* r* s r* b")
def _ema(average, p, number, array, is_array):
    i = thread_index()
    if i < p.size:
        decay = _scalar(number, array, is_array)
        average[i] = decay * average[i] + (p.dtype.type(1) - decay) * p[i]


@op
def global_norm(arrays):
    """The Euclidean norm of all entries of a list of arrays together, in their dtype."""
    check_list(arrays)
    blocks = [-(-array.size // (ENTRIES_PER_THREAD * block_size())) for array in arrays]
    sums, norm = xp.zeros(max(1, sum(blocks)), arrays[0].dtype), xp.empty((), arrays[0].dtype)
    end = 0
    for array, count in zip(arrays, blocks):
        begin, end = end, end + count
        _squares.blocks(count)(array, sums[begin:end])
    _root_of_sum.blocks(1)(sums, norm)
    return norm


@kernel("r* w*", shared=1)
def _squares(x, sums):
    shared = cuda.shared.array(0, x.dtype)
    begin = cuda.blockIdx.x * x.size // sums.size
    partial = x.dtype.type(0)
    for i in range(begin + cuda.threadIdx.x, (cuda.blockIdx.x + 1) * x.size // sums.size, cuda.blockDim.x):
        partial += x[i] * x[i]
    squares = block_sum(shared, partial)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = squares


@kernel("r* w*", shared=1)
def _root_of_sum(sums, norm):
    squares = array_sum(cuda.shared.array(0, norm.dtype), sums)
    if cuda.threadIdx.x == 0:
        norm[0] = math.sqrt(squares)
