"""One step in time of the Fokker-Planck equation: formulas as in reference/ops/fokker_planck.py.

With a_f and b_f, dt/2 times the rates of jumping over face f to the left and to the right, row i of the system is

    (1 + l_i + r_i) p'_i - r_(i-1) p'_(i-1) - l_(i+1) p'_(i+1) = q_i,   l_i = a_i, r_i = b_(i+1), q_i = p_i + flux_(i+1) - flux_i:

a particle leaves cell i to the left or right at rates l_i and r_i, and stays for good at rate s_i = 1.  Cells are eliminated as from a
Markov chain: those who come to cell j move on, left, right or to stay, with the probabilities l_j / D_j, r_j / D_j and s_j / D_j, where
D = l + r + s.  Those who come back to where they were have not left.  With the neighbours of i at a distance d, on both sides, gone

    l_i <- l_i l_(i-d) / D_(i-d),   s_i <- s_i + l_i s_(i-d) / D_(i-d) + r_i s_(i+d) / D_(i+d),
    r_i <- r_i r_(i+d) / D_(i+d),   q_i <- q_i + r_(i-d) q_(i-d) / D_(i-d) + l_(i+d) q_(i+d) / D_(i+d)

are those of a chain whose neighbours are 2d apart: nothing is subtracted, so no digits are lost, however long the step.

A line of cells is cut into 2^k parts, a thread for each.  It eliminates its cells one after the other but for the last.  What is left is a
ring of 2^k cells, in shared memory, for which the rule above serves k times, for all at once: cyclic reduction.  Then every cell is its own
only neighbour, and p' = q / s.  Where the line is not periodic, nobody passes from one of its ends to the other.  A step takes two kernels,
one of which has a thread for each cell; a long line is first replaced by the last cells of parts that many blocks eliminate.

Whether diffusion is nowhere negative is looked at where NumPy holds it: for arrays of the device that would mean to wait.
"""

import numpy as np

from accelerated.gpu.device import cuda, math, op, xp
from accelerated.gpu.kernel import block, device, index, kernel
from reference.ops.checks import check, takes_out
from reference.ops.fokker_planck import check_faces, check_lengths

LINES = 8  # at least that a block solves, where lines lie side by side: so many numbers are read from memory at a time, asked for or not
LONG = 16  # cells of a line for each thread of a block, from which on many blocks work on it
CELLS = 32  # that a thread eliminates of such a line


@takes_out
def fokker_planck_step(p, drift, diffusion, dx, dt, periodic=False):
    """p[n] a time dt later.  drift[n+1] = D1 and diffusion[n+1] = D2 >= 0 on the faces.

    Nothing passes the outer faces; with ``periodic`` they are one face, whose values are the first.
    """
    _look_at(diffusion)
    return _step(p, drift, diffusion, dx, dt, periodic)


@op
def _step(p, drift, diffusion, dx, dt, periodic):
    check("p[n] drift[f] diffusion[f]", p, drift, diffusion)
    check_faces("drift", drift, len(p) + 1)
    dx, dt = check_lengths(np.zeros(0), dx, dt)
    return _after(p, drift, diffusion, dx, dt, periodic, in_rows=True)


@takes_out
def fokker_planck_step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic=False):
    """p[n,m] a time dt later: half a step along x, one along y, half a step along x (Strang), of second order together.

    drift_x[n+1,m] and diffusion_x on the faces between neighbours in x, drift_y[n,m+1] and diffusion_y on those in y.
    """
    _look_at(diffusion_x)
    _look_at(diffusion_y)
    return _step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic)


@op
def _step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic):
    check("p[n,m] drift_x[f,m] drift_y[n,g] diffusion_x[f,m] diffusion_y[n,g]", p, drift_x, drift_y, diffusion_x, diffusion_y)
    check_faces("drift_x", drift_x, p.shape[0] + 1)
    check_faces("drift_y", drift_y.T, p.shape[1] + 1)
    dx, half = check_lengths(np.zeros(0), dx, dt / 2)
    dy, dt = check_lengths(np.zeros(0), dy, dt)
    p = _after(p, drift_x, diffusion_x, dx, half, periodic, in_rows=False)
    p = _after(p, drift_y, diffusion_y, dy, dt, periodic, in_rows=True)
    return _after(p, drift_x, diffusion_x, dx, half, periodic, in_rows=False)


def _look_at(diffusion):
    """ValueError where diffusion is negative on a face, if NumPy holds it."""
    if isinstance(diffusion, np.ndarray) and diffusion.dtype.kind == "f":
        check_lengths(diffusion, 1.0, 0.0)


def _after(p, drift, diffusion, dx, dt, periodic, in_rows):
    """p a time dt later, each of its rows or columns by itself."""
    left, right, stay, q = (xp.empty(p.shape, p.dtype) for _ in range(4))
    n = p.shape[-1 if in_rows else 0]
    _system[p.size](p, drift, diffusion, dx, dt / 2 / dx, periodic, in_rows, n, left, right, stay, q)
    return _solution(left, right, stay, q, n, in_rows)


@kernel("r* r* r* s s b b i w* w* w* w*")
def _system(p, drift, diffusion, dx, rate, periodic, in_rows, n, left, right, stay, q):
    i, lines = index(), p.size // n
    if i < p.size:
        line, cell = (i // n, i % n) if in_rows else (i % lines, i // lines)
        step, begin, faces = (1, line * n, line * (n + 1)) if in_rows else (lines, line, line)
        before, behind = p[begin + (cell - 1 if cell > 0 else n - 1) * step], p[begin + (cell + 1 if cell + 1 < n else 0) * step]
        a, b = rates(drift, diffusion, faces, step, cell, n, dx, rate, periodic)
        next_a, next_b = rates(drift, diffusion, faces, step, cell + 1, n, dx, rate, periodic)
        left[i], right[i], stay[i] = a, next_b, p.dtype.type(1)
        q[i] = p[i] + ((next_a * behind - next_b * p[i]) - (a * p[i] - b * before))


@device
def rates(drift, diffusion, begin, step, face, n, dx, rate, periodic):
    """dt/2 times the rates of jumping over a face of a line of n cells, to the left and to the right.  ``rate``: dt/2 / dx."""
    zero, two, end = drift.dtype.type(0), drift.dtype.type(2), drift.dtype.type(80)
    outer = face == 0 or face == n
    if outer and not periodic:
        return zero, zero
    at, before, behind = begin + face * step, begin + (face - 1) * step, begin + (face + 1) * step
    if outer:
        at, before, behind = begin, begin + (n - 1) * step, begin + step
    B = (diffusion[behind] - diffusion[before]) / (two * dx) - drift[at]
    size, own = math.fabs(B) * dx, diffusion[at]
    both = zero  # D2 b(w)
    if not size >= end * own:
        w = size / own
        both = own if w == zero else size / math.expm1(w)
    both /= dx
    return rate * (both + (B if B > zero else zero)), rate * (both + (-B if B < zero else zero))


def _solution(left, right, stay, q, n, in_rows):
    """Of the system with these rates, each row or column by itself."""
    if q.ndim == 1 and n > LONG * block():
        return _solution_in_parts(left, right, stay, q, -(-n // CELLS))
    x, beta, gamma = (xp.empty(q.shape, q.dtype) for _ in range(3))
    parts = 1 << (min(n, block() if in_rows else max(1, block() // LINES)).bit_length() - 1)
    wide, lines = block() // parts, q.size // n
    _solve.blocks(-(-lines // wide))(left, right, stay, q, n, parts, wide, in_rows, x, beta, gamma)
    return x


@kernel("r* r* r* r* i i i b w* w* w*", shared=4)
def _solve(left, right, stay, q, n, parts, wide, in_rows, x, beta, gamma):
    """A block for ``wide`` lines, with ``parts`` threads for each: neighbouring threads read neighbouring cells, or lines."""
    shared, zero, one = cuda.shared.array(0, x.dtype), x.dtype.type(0), x.dtype.type(1)
    thread, lines = np.int64(cuda.threadIdx.x), x.size // n
    lane, part = (thread // parts, thread % parts) if in_rows else (thread % wide, thread // wide)
    line = cuda.blockIdx.x * wide + lane
    working = lane < wide and part < parts and line < lines
    first, step = (line * n, 1) if in_rows else (line, lines)
    # the numbers of a part's last cell: its thread's in four arrays; those of the part at a distance d from it
    ring, spacing = (lane * parts, 1) if in_rows else (lane, wide)
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


@device
def eliminate(left, right, stay, q, at, step, cells, entering, x, beta, gamma):
    """All but the last of some cells, the first of which is at ``at``, and is entered from the cell before at a rate of ``entering``.

    Returns l, r, s and q: of the last cell, but r of the cell before; and by how much s and q of the cell before grow.  Leaves behind
    p'_i = x_i + beta_i p' of the cell before + gamma_i p'_(i+1).
    """
    one, more_s, more_y = x.dtype.type(1), x.dtype.type(0), x.dtype.type(0)
    l, s, y, r = left[at], stay[at], q[at], entering
    for _ in range(cells - 1):
        onwards, back = right[at], left[at + step]
        reciprocal = one / (l + s + onwards)
        back *= reciprocal
        x[at], beta[at], gamma[at] = y * reciprocal, r * reciprocal, back
        more_s += r * (s * reciprocal)
        more_y += l * (y * reciprocal)
        at += step
        y = q[at] + onwards * (y * reciprocal)
        s = stay[at] + back * s
        l = back * l
        r *= onwards * reciprocal
    return l, r, s, y, more_s, more_y


@device
def substitute(x, beta, gamma, at, step, cells, before, last):
    """p' of cells in x, the last of which is at ``at``, from that of it and of the cell before the first."""
    x[at] = last
    for _ in range(cells - 1):
        at -= step
        last = x[at] + beta[at] * before + gamma[at] * last
        x[at] = last


def _solution_in_parts(left, right, stay, q, parts):
    """Of a long line, by way of the last cells of its parts."""
    x, beta, gamma = (xp.empty(q.shape, q.dtype) for _ in range(3))
    links, sums, more = (xp.empty((2, parts), q.dtype) for _ in range(3))
    _eliminate_parts[parts](left, right, stay, q, parts, links, sums, more, x, beta, gamma)
    sums = sums + more
    last = _solution(links[0], links[1], sums[0], sums[1], parts, in_rows=True)
    _substitute_parts[parts](last, beta, gamma, x)
    return x


@kernel("r* r* r* r* i w* w* w* w* w* w*")
def _eliminate_parts(left, right, stay, q, parts, links, sums, more, x, beta, gamma):
    part, n = index(), q.size
    if part < parts:
        begin, end, previous = part * n // parts, (part + 1) * n // parts, (part + parts - 1) % parts
        entering = right[(begin + n - 1) % n]
        l, r, s, y, more_s, more_y = eliminate(left, right, stay, q, begin, 1, end - begin, entering, x, beta, gamma)
        links[part], links[parts + previous] = l, r
        sums[part], sums[parts + part] = s, y
        more[previous], more[parts + previous] = more_s, more_y


@kernel("r* r* r* w*")
def _substitute_parts(last, beta, gamma, x):
    part, n, parts = index(), x.size, last.size
    if part < parts:
        begin, end, previous = part * n // parts, (part + 1) * n // parts, (part + parts - 1) % parts
        substitute(x, beta, gamma, end - 1, 1, end - begin, last[previous], last[part])
