"""One step in time of the Fokker-Planck equation: formulas as in reference/ops/fokker_planck.py.

Let a_f and b_f be dt/2 times the rates of jumping over face f to the left and to the right.  Row i of the linear system is

    (1 + l_i + r_i) p_i(t+dt) - r_{i-1} p_{i-1}(t+dt) - l_{i+1} p_{i+1}(t+dt) = q_i,
    l_i = a_i,   r_i = b_{i+1},   q_i = p_i + flux_{i+1} - flux_i.

Read as a Markov chain, a particle leaves cell i to the left or right at rates l_i and r_i, and is absorbed at rate s_i = 1.  Eliminating
cell j replaces it by the next move from there: left, right or absorbed with probabilities l_j / D_j, r_j / D_j and s_j / D_j, where
D = l + r + s.  A return to the cell of departure is no move.  Eliminating both neighbours of cell i, at distance d, gives

    l_i <- l_i l_{i-d} / D_{i-d},   s_i <- s_i + l_i s_{i-d} / D_{i-d} + r_i s_{i+d} / D_{i+d},
    r_i <- r_i r_{i+d} / D_{i+d},   q_i <- q_i + r_{i-d} q_{i-d} / D_{i-d} + l_{i+d} q_{i+d} / D_{i+d},

a chain whose neighbours are 2d apart.  Nothing is subtracted, so no digits are lost, however long the step.

A line of cells is cut into 2^k parts with a thread for each.  The thread eliminates all cells of its part but the last, one after the
other.  A ring of 2^k cells remains in shared memory.  The rule above, applied k times to all of them at once, is cyclic reduction; then
each cell is its own only neighbour, and p(t+dt) = q / s.  On a line that is not periodic no particle passes between its two ends.  A step
takes two kernels: the first, with a thread for each cell, computes the system, and the second solves it.  For a long line many blocks
first eliminate all but the last cells of its parts.

Diffusion is checked for negative values if it is a NumPy array.  To check it on the device would copy it to the host.
"""

import numpy as np

from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import block_size, device_function, kernel, thread_index
from reference.ops.checks import check, takes_out
from reference.ops.fokker_planck import check_faces, check_lengths

MIN_LINES_PER_BLOCK = 8  # of columns: memory is read in sectors of 32 bytes, which hold 8 neighbouring float32
MAX_CELLS_PER_THREAD = 16  # of a line that one block solves; several blocks share a longer line
CELLS_PER_PART = 32  # that a thread eliminates of a longer line


@takes_out
def fokker_planck_step(p, drift, diffusion, dx, dt, periodic=False):
    """p[n] after a time dt.  drift[n+1] = D1 and diffusion[n+1] = D2 >= 0 on the faces.

    Nothing passes the outer faces; with ``periodic`` they are one face, whose values are the first.
    """
    _check_diffusion(diffusion)
    return _step(p, drift, diffusion, dx, dt, periodic)


@op
def _step(p, drift, diffusion, dx, dt, periodic):
    check("p[n] drift[f] diffusion[f]", p, drift, diffusion)
    check_faces("drift", drift, len(p) + 1)
    dx, dt = check_lengths(np.zeros(0), dx, dt)
    return _step_along_axis(p, drift, diffusion, dx, dt, periodic, in_rows=True)


@takes_out
def fokker_planck_step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic=False):
    """p[n,m] after a time dt: half a step along x, one along y, half a step along x (Strang splitting, of second order).

    drift_x[n+1,m] and diffusion_x on the faces between neighbours in x, drift_y[n,m+1] and diffusion_y on those in y.
    """
    _check_diffusion(diffusion_x)
    _check_diffusion(diffusion_y)
    return _step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic)


@op
def _step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic):
    check("p[n,m] drift_x[f,m] drift_y[n,g] diffusion_x[f,m] diffusion_y[n,g]", p, drift_x, drift_y, diffusion_x, diffusion_y)
    check_faces("drift_x", drift_x, p.shape[0] + 1)
    check_faces("drift_y", drift_y.T, p.shape[1] + 1)
    dx, half = check_lengths(np.zeros(0), dx, dt / 2)
    dy, dt = check_lengths(np.zeros(0), dy, dt)
    p = _step_along_axis(p, drift_x, diffusion_x, dx, half, periodic, in_rows=False)
    p = _step_along_axis(p, drift_y, diffusion_y, dy, dt, periodic, in_rows=True)
    return _step_along_axis(p, drift_x, diffusion_x, dx, half, periodic, in_rows=False)


def _check_diffusion(diffusion):
    """ValueError where diffusion, if it is a NumPy array, is negative."""
    if isinstance(diffusion, np.ndarray) and diffusion.dtype.kind == "f":
        check_lengths(diffusion, 1.0, 0.0)


def _step_along_axis(p, drift, diffusion, dx, dt, periodic, in_rows):
    """p after a time dt of motion along its rows (``in_rows``) or columns, each of them by itself."""
    left, right, stay, q = (xp.empty(p.shape, p.dtype) for _ in range(4))
    n = p.shape[-1 if in_rows else 0]
    _system[p.size](p, drift, diffusion, dx, dt / 2 / dx, periodic, in_rows, n, left, right, stay, q)
    return _solve_lines(left, right, stay, q, n, in_rows)


@kernel("r* r* r* s s b b i w* w* w* w*")
def _system(p, drift, diffusion, dx, rate, periodic, in_rows, n, left, right, stay, q):
    i = thread_index()
    lines = p.size // n
    if i < p.size:
        line, cell = (i // n, i % n) if in_rows else (i % lines, i // lines)
        step, begin, faces = (1, line * n, line * (n + 1)) if in_rows else (lines, line, line)
        previous = p[begin + (cell - 1 if cell > 0 else n - 1) * step]
        following = p[begin + (cell + 1 if cell + 1 < n else 0) * step]
        a, b = rates(drift, diffusion, faces, step, cell, n, dx, rate, periodic)
        next_a, next_b = rates(drift, diffusion, faces, step, cell + 1, n, dx, rate, periodic)
        left[i] = a
        right[i] = next_b
        stay[i] = p.dtype.type(1)
        q[i] = p[i] + ((next_a * following - next_b * p[i]) - (a * p[i] - b * previous))


@device_function
def rates(drift, diffusion, begin, step, face, n, dx, rate, periodic):
    """(a, b) of a face of a line of n cells: dt/2 times the rates of jumping over it to the left and to the right.  ``rate``: dt/2 / dx."""
    zero, two, end = drift.dtype.type(0), drift.dtype.type(2), drift.dtype.type(80)
    outer = face == 0 or face == n
    if outer and not periodic:
        return zero, zero
    at = begin + face * step
    before, behind = begin + (face - 1) * step, begin + (face + 1) * step
    if outer:
        at = begin
        before, behind = begin + (n - 1) * step, begin + step
    B = (diffusion[behind] - diffusion[before]) / (two * dx) - drift[at]
    size, own = math.fabs(B) * dx, diffusion[at]
    both = zero  # D2 b(w)
    if not size >= end * own:
        w = size / own
        both = own if w == zero else size / math.expm1(w)
    both /= dx
    return rate * (both + (B if B > zero else zero)), rate * (both + (-B if B < zero else zero))


def _solve_lines(left, right, stay, q, n, in_rows):
    """The solution of the system with these rates, for each row or column by itself."""
    if q.ndim == 1 and n > MAX_CELLS_PER_THREAD * block_size():
        return _solve_long_line(left, right, stay, q, -(-n // CELLS_PER_PART))
    x, beta, gamma = (xp.empty(q.shape, q.dtype) for _ in range(3))
    parts = 1 << (min(n, block_size() if in_rows else max(1, block_size() // MIN_LINES_PER_BLOCK)).bit_length() - 1)
    lines_per_block, lines = block_size() // parts, q.size // n
    _solve.blocks(-(-lines // lines_per_block))(left, right, stay, q, n, parts, lines_per_block, in_rows, x, beta, gamma)
    return x


@kernel("r* r* r* r* i i i b w* w* w*", shared=4)
def _solve(left, right, stay, q, n, parts, lines_per_block, in_rows, x, beta, gamma):
    """A block solves ``lines_per_block`` lines with ``parts`` threads each.  Neighbouring threads read neighbouring cells of memory."""
    shared = cuda.shared.array(0, x.dtype)
    zero, one = x.dtype.type(0), x.dtype.type(1)
    thread = np.int64(cuda.threadIdx.x)
    lines = x.size // n
    own_line, part = (thread // parts, thread % parts) if in_rows else (thread % lines_per_block, thread // lines_per_block)
    line = cuda.blockIdx.x * lines_per_block + own_line
    working = own_line < lines_per_block and part < parts and line < lines
    first, step = (line * n, 1) if in_rows else (line, lines)
    # shared memory: four arrays, l, r, s and q of the last cell of each part, at the index of the part's thread
    ring, spacing = (own_line * parts, 1) if in_rows else (own_line, lines_per_block)
    lefts, rights, stays, sums = 0, cuda.blockDim.x, 2 * cuda.blockDim.x, 3 * cuda.blockDim.x
    previous = ring + (part + parts - 1) % parts * spacing
    begin, end = part * n // parts, (part + 1) * n // parts
    entering = right[first + (begin + n - 1) % n * step] if working else zero
    l, r, s, y, more_s, more_y = zero, entering, zero, zero, zero, zero
    if working:
        l, r, s, y, more_s, more_y = eliminate(left, right, stay, q, first + begin * step, step, end - begin, entering, x, beta, gamma)
        shared[lefts + thread], shared[rights + previous], shared[stays + thread], shared[sums + thread] = l, r, s, y
    cuda.syncthreads()
    if working:
        shared[stays + previous] += more_s
        shared[sums + previous] += more_y
    cuda.syncthreads()
    d = 1
    while d < parts:
        if working:
            l, r, s, y = shared[lefts + thread], shared[rights + thread], shared[stays + thread], shared[sums + thread]
            other = ring + (part + parts - d) % parts * spacing
            from_left = one / (shared[lefts + other] + shared[rights + other] + shared[stays + other])
            to_left, to_right = shared[lefts + other] * from_left, shared[rights + other] * from_left
            s += l * (shared[stays + other] * from_left)
            y += to_right * shared[sums + other]
            l *= to_left
            other = ring + (part + d) % parts * spacing
            from_right = one / (shared[lefts + other] + shared[rights + other] + shared[stays + other])
            to_left, to_right = shared[lefts + other] * from_right, shared[rights + other] * from_right
            s += r * (shared[stays + other] * from_right)
            y += to_left * shared[sums + other]
            r *= to_right
        cuda.syncthreads()
        if working:
            shared[lefts + thread], shared[rights + thread], shared[stays + thread], shared[sums + thread] = l, r, s, y
        cuda.syncthreads()
        d *= 2
    if working:
        shared[lefts + thread] = shared[sums + thread] / shared[stays + thread]
    cuda.syncthreads()
    if working:
        substitute(x, beta, gamma, first + (end - 1) * step, step, end - begin, shared[lefts + previous], shared[lefts + thread])


@device_function
def eliminate(left, right, stay, q, at, step, cells, entering, x, beta, gamma):
    """Eliminate all but the last of ``cells`` cells, the first of which is at index ``at``.

    ``entering``: the rate from the cell before the first to the first.  Returns l, s and q of the last cell and r of the cell before, in
    the order l, r, s, q, and the growth of s and q of the cell before.  Writes x, beta and gamma, with which
    p_i(t+dt) = x_i + beta_i p_before(t+dt) + gamma_i p_{i+1}(t+dt); ``before`` is the cell before the first.
    """
    one = x.dtype.type(1)
    more_s, more_y = x.dtype.type(0), x.dtype.type(0)
    l, s, y, r = left[at], stay[at], q[at], entering
    for _ in range(cells - 1):
        onwards, back = right[at], left[at + step]
        reciprocal = one / (l + s + onwards)
        back *= reciprocal
        x[at] = y * reciprocal
        beta[at] = r * reciprocal
        gamma[at] = back
        more_s += r * (s * reciprocal)
        more_y += l * (y * reciprocal)
        at += step
        y = q[at] + onwards * (y * reciprocal)
        s = stay[at] + back * s
        l = back * l
        r *= onwards * reciprocal
    return l, r, s, y, more_s, more_y


@device_function
def substitute(x, beta, gamma, at, step, cells, before, last):
    """Write p(t+dt) to x for ``cells`` cells, the last of which is at index ``at``.

    ``last``: p(t+dt) of the last cell; ``before``: of the cell before the first.
    """
    x[at] = last
    for _ in range(cells - 1):
        at -= step
        last = x[at] + beta[at] * before + gamma[at] * last
        x[at] = last


def _solve_long_line(left, right, stay, q, parts):
    """The solution for a long line: its parts are reduced to their last cells, these are solved for, and then all others."""
    x, beta, gamma = (xp.empty(q.shape, q.dtype) for _ in range(3))
    links, sums, more = (xp.empty((2, parts), q.dtype) for _ in range(3))
    _eliminate_parts[parts](left, right, stay, q, parts, links, sums, more, x, beta, gamma)
    sums = sums + more
    last = _solve_lines(links[0], links[1], sums[0], sums[1], parts, in_rows=True)
    _substitute_parts[parts](last, beta, gamma, x)
    return x


@kernel("r* r* r* r* i w* w* w* w* w* w*")
def _eliminate_parts(left, right, stay, q, parts, links, sums, more, x, beta, gamma):
    part, n = thread_index(), q.size
    if part < parts:
        begin, end, previous = part * n // parts, (part + 1) * n // parts, (part + parts - 1) % parts
        entering = right[(begin + n - 1) % n]
        l, r, s, y, more_s, more_y = eliminate(left, right, stay, q, begin, 1, end - begin, entering, x, beta, gamma)
        links[part], links[parts + previous] = l, r
        sums[part], sums[parts + part] = s, y
        more[previous], more[parts + previous] = more_s, more_y


@kernel("r* r* r* w*")
def _substitute_parts(last, beta, gamma, x):
    part, n, parts = thread_index(), x.size, last.size
    if part < parts:
        begin, end, previous = part * n // parts, (part + 1) * n // parts, (part + parts - 1) % parts
        substitute(x, beta, gamma, end - 1, 1, end - begin, last[previous], last[part])
