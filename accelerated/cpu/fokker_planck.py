"""One time step of the Fokker-Planck equation: formulas as in reference/ops/fokker_planck.py.

Let a_f and b_f be dt/2 times the rates of jumps over face f to the left and to the right, p the density before the step and p̃ the density
after it.  Row i of the system is

    -b_i p̃_{i-1} + (1 + a_i + b_{i+1}) p̃_i - a_{i+1} p̃_{i+1} = q_i,   q_i = p_i + flux_{i+1} - flux_i,   flux_f = a_f p_f - b_f p_{f-1}.

Elimination from the left turns the diagonal into u_i = t_i + b_{i+1}, where t_0 = 1 and t_i = 1 + a_i t_{i-1} / u_{i-1}.  Nothing is
subtracted, so no digits are lost, however long the step.  Elimination from the right is the same with a and b exchanged.

Elimination is a chain of divisions that depend on one another.  One line of cells is eliminated by two chains, from both ends to the
middle.  In two dimensions LINE_BLOCK lines are solved together: they are copied to scratch[cell,line], and loops run over the lines.
"""

import numpy as np
from numba import njit, prange
from numba.extending import overload

from accelerated.cpu.blocks import block_count, span
from accelerated.cpu.elementary import FUSED, expm1
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty
from reference.ops.checks import check, takes_out
from reference.ops.fokker_planck import check_faces, check_lengths

LINE_BLOCK = 16  # lines that are solved together
MAX_SHARES = 16  # most shares of the work; each has scratch of its density


@takes_out
def fokker_planck_step(p, drift, diffusion, dx, dt, periodic=False):
    """p[n] a time dt later.  drift[n+1] = D1 and diffusion[n+1] = D2 >= 0 on the faces.

    The outer faces reflect.  With ``periodic`` they are one face, with the first face's values.
    """
    check("p[n] drift[f] diffusion[f]", p, drift, diffusion)
    check_faces("drift", drift, len(p) + 1)
    dx, dt = check_lengths(diffusion, dx, dt)
    q = aligned_empty(p.shape, p.dtype)
    _solve_line(p, drift, diffusion, p.dtype.type(dx), p.dtype.type(dt / 2), bool(periodic), q)
    return q


@kernel("r1 r1 r1 s s b w1")
def _solve_line(p, drift, diffusion, dx, half, periodic, q):
    a, b = np.empty_like(drift), np.empty_like(drift)
    _assemble(p, drift, diffusion, 1, dx, half, periodic, a, b, q)
    _solve(a, b, periodic, q, np.empty_like(q))


@takes_out
def fokker_planck_step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic=False):
    """p[n,m] a time dt later, by Strang splitting of second order: half a step along x, one along y, half a step along x.

    drift_x[n+1,m] and diffusion_x are on the faces between neighbours in x, drift_y[n,m+1] and diffusion_y between neighbours in y.
    """
    check("p[n,m] drift_x[f,m] drift_y[n,g] diffusion_x[f,m] diffusion_y[n,g]", p, drift_x, drift_y, diffusion_x, diffusion_y)
    check_faces("drift_x", drift_x, p.shape[0] + 1)
    check_faces("drift_y", drift_y.T, p.shape[1] + 1)
    dx, half = check_lengths(diffusion_x, dx, dt / 2)
    dy, dt = check_lengths(diffusion_y.T, dy, dt)
    number = p.dtype.type
    along_x = drift_x, diffusion_x, number(dx), number(half / 2), bool(periodic), False
    along_y = drift_y, diffusion_y, number(dy), number(dt / 2), bool(periodic), True
    for along in (along_x, along_y, along_x):
        q = aligned_empty(p.shape, p.dtype)
        _solve_lines(p, *along, q)
        p = q
    return p


@kernel("r2 r2 r2 s s b b w2")
def _solve_lines(p, drift, diffusion, dx, half, periodic, in_rows, q):
    """One step along the rows of p if ``in_rows``, else along its columns."""
    n, lines = q.shape[::-1] if in_rows else q.shape
    tiles = block_count(lines, LINE_BLOCK)
    parts = min(tiles, MAX_SHARES)
    for part in prange(parts):
        density = np.zeros((n, LINE_BLOCK), q.dtype)
        right_hand_side = np.empty((n, LINE_BLOCK), q.dtype)
        reciprocals = np.empty((n, LINE_BLOCK), q.dtype)
        face_drift, face_diffusion = np.zeros((n + 1, LINE_BLOCK), q.dtype), np.zeros((n + 1, LINE_BLOCK), q.dtype)
        a, b = np.empty((n + 1, LINE_BLOCK), q.dtype), np.empty((n + 1, LINE_BLOCK), q.dtype)
        for tile in range(part, tiles, parts):
            begin, end = span(tile, lines, LINE_BLOCK)
            _load_lines(p, begin, end, in_rows, density)
            _load_lines(drift, begin, end, in_rows, face_drift)
            _load_lines(diffusion, begin, end, in_rows, face_diffusion)
            flat = face_drift.reshape(-1), face_diffusion.reshape(-1), LINE_BLOCK, dx, half, periodic, a.reshape(-1), b.reshape(-1)
            _assemble(density.reshape(-1), *flat, right_hand_side.reshape(-1))
            _solve(a, b, periodic, right_hand_side, reciprocals)
            _store_lines(right_hand_side, begin, end, in_rows, q)


@njit
def _load_lines(array, begin, end, in_rows, lines):
    for i in range(len(lines)):
        if end - begin == LINE_BLOCK and not in_rows:  # a constant length becomes a few vector instructions
            for j in range(LINE_BLOCK):
                lines[i, j] = array[i, begin + j]
        else:
            for j in range(end - begin):
                lines[i, j] = array[begin + j, i] if in_rows else array[i, begin + j]


@njit
def _store_lines(lines, begin, end, in_rows, array):
    for i in range(len(lines)):
        if end - begin == LINE_BLOCK and not in_rows:
            for j in range(LINE_BLOCK):
                array[i, begin + j] = lines[i, j]
        else:
            for j in range(end - begin):
                if in_rows:
                    array[begin + j, i] = lines[i, j]
                else:
                    array[i, begin + j] = lines[i, j]


@njit
def _assemble(p, drift, diffusion, width, dx, half, periodic, a, b, q):
    """a, b and q of all cells.  Arrays are flat [cell,line] with ``width`` lines."""
    end = len(p)
    _rates(diffusion[: end - width], diffusion[width:end], diffusion[2 * width :], drift[width:end], dx, half, a[width:end], b[width:end])
    outer_left, outer_right = slice(0, width), slice(end, end + width)
    if periodic:
        before = diffusion[end - width : end]
        _rates(before, diffusion[:width], diffusion[width : 2 * width], drift[:width], dx, half, a[:width], b[:width])
    else:
        a[outer_left], b[outer_left] = 0, 0
    a[outer_right], b[outer_right] = a[outer_left], b[outer_left]
    last = slice(end - width, end)
    _right_hand_side(p[last], p[:width], p[width : 2 * width], a[: 2 * width], b[: 2 * width], width, q[:width])
    _right_hand_side(
        p[: end - 2 * width], p[width : end - width], p[2 * width :], a[width:end], b[width:end], width, q[width : end - width]
    )
    _right_hand_side(p[end - 2 * width : end - width], p[last], p[:width], a[end - width :], b[end - width :], width, q[last])


@njit(fastmath=FUSED)
def _rates(before, diffusion, behind, drift, dx, half, a, b):
    """a and b on faces with this drift and diffusion; ``before`` and ``behind`` are the diffusions on the neighbouring faces."""
    number = a.dtype.type
    zero, one, end = number(0), number(1), number(80)
    rate = half / dx
    slope = one / (dx + dx)
    density = one / dx
    for i in range(len(a)):
        B = (behind[i] - before[i]) * slope - drift[i]
        size = abs(B) * dx
        upwind = size >= end * diffusion[i]
        w = (one if upwind else size) / (one if upwind else diffusion[i])
        both = zero if upwind else diffusion[i] if w == zero else size / expm1(w)  # D2 b(w)
        a[i] = rate * (both * density + max(B, zero))
        b[i] = rate * (both * density + max(-B, zero))


@njit
def _right_hand_side(before, p, behind, a, b, width, q):
    """q = p + right flux - left flux.  ``before`` and ``behind`` are the neighbours' p; a and b begin with the left faces."""
    for i in range(len(q)):
        q[i] = p[i] + ((a[i + width] * behind[i] - b[i + width] * p[i]) - (a[i] * p[i] - b[i] * before[i]))


@njit
def _solve(a, b, periodic, q, reciprocals):
    """Solve in place: q[n] or q[n,LINE_BLOCK] is the right-hand side, then the solution.  Periodic systems by Sherman and Morrison."""
    if not periodic:
        _eliminate(a, b, a[0], b[0], q, reciprocals)  # both are 0
        return
    d = a[0] + b[1] + q.dtype.type(1)
    first, last = a[0] + d, b[0] + a[0] * b[0] / d
    z = np.zeros_like(q)
    z[0], z[-1] = d, a[0]
    _eliminate(a, b, first, last, q, reciprocals)
    _eliminate(a, b, first, last, z, reciprocals)
    q += (q[0] + b[0] / d * q[-1]) / (q.dtype.type(1) - z[0] - b[0] / d * z[-1]) * z


def _eliminate(a, b, first, last, q, reciprocals):
    """Solve the tridiagonal system in place, with ``first`` and ``last`` added to the two ends of its diagonal."""


@overload(_eliminate)
def _elimination(a, b, first, last, q, reciprocals):
    if q.ndim == 1:
        return lambda a, b, first, last, q, reciprocals: _eliminate_line(a, b, first, last, q, reciprocals)
    return lambda a, b, first, last, q, reciprocals: _eliminate_rows(a, b, first, last, q, reciprocals)


@njit(fastmath=FUSED)
def _eliminate_line(a, b, first, last, q, reciprocals):
    n, one, zero = len(q), q.dtype.type(1), q.dtype.type(0)
    middle = n // 2
    left, right = first, last  # t - 1 of both chains
    sum_left, sum_right = zero, zero  # the sums to add to q
    for i in range(n - 1 - middle):
        j = n - 1 - i
        q[i] += sum_left
        q[j] += sum_right
        left, sum_left, reciprocals[i] = _eliminate_cell(one, left, a[i + 1], b[i + 1], q[i])
        right, sum_right, reciprocals[j] = _eliminate_cell(one, right, b[j], a[j], q[j])
    if n % 2 == 0:  # the left half has one cell more
        i = middle - 1
        q[i] += sum_left
        left, sum_left, reciprocals[i] = _eliminate_cell(one, left, a[middle], b[middle], q[i])
    q[middle] = (q[middle] + sum_left + sum_right) / (one + left + right)
    x_left = x_right = q[middle]
    for i in range(n - 1 - middle):
        left, right = middle - 1 - i, middle + 1 + i
        x_left = q[left] * reciprocals[left] + a[left + 1] * reciprocals[left] * x_left
        x_right = q[right] * reciprocals[right] + b[right] * reciprocals[right] * x_right
        q[left], q[right] = x_left, x_right
    if n % 2 == 0:
        q[0] = q[0] * reciprocals[0] + a[1] * reciprocals[0] * x_left


@njit(fastmath=FUSED)
def _eliminate_cell(one, beyond, back, on, q):
    """Eliminate a cell with rates ``on`` to the next cell and ``back`` from it: that cell's t - 1, the sum to add to its q, and 1 / u."""
    reciprocal = one / (beyond + (one + on))
    return back * (one + beyond) * reciprocal, on * reciprocal * q, reciprocal


@njit(fastmath=FUSED)
def _eliminate_rows(a, b, first, last, q, reciprocals):
    end, one = len(q) - 1, q.dtype.type(1)
    t = np.empty_like(first)
    for j in range(LINE_BLOCK):
        t[j] = one + first[j]
    for i in range(end):
        for j in range(LINE_BLOCK):
            r = one / (t[j] + b[i + 1, j])
            t[j] = one + a[i + 1, j] * t[j] * r
            q[i + 1, j] += b[i + 1, j] * r * q[i, j]
            reciprocals[i, j] = r
    for j in range(LINE_BLOCK):
        q[end, j] /= t[j] + last[j]
    for i in range(end - 1, -1, -1):
        for j in range(LINE_BLOCK):
            q[i, j] = (q[i, j] + a[i + 1, j] * q[i + 1, j]) * reciprocals[i, j]
