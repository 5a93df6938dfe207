"""One step in time of the Fokker-Planck equation: formulas as in reference/ops/fokker_planck.py.

With a_f and b_f, dt/2 times the rates of jumping over face f to the left and to the right, row i of the system is

    -b_i p'_(i-1) + (1 + a_i + b_(i+1)) p'_i - a_(i+1) p'_(i+1) = q_i,   q_i = p_i + flux_(i+1) - flux_i,   flux_f = a_f p_f - b_f p_(f-1).

Elimination from the left turns the diagonal into u_i = t_i + b_(i+1), where t_0 = 1 and t_i = 1 + a_i t_(i-1) / u_(i-1): nothing is
subtracted, so no digits are lost, however long the step.  From the right it is the same with a and b exchanged.

A step is a chain of divisions, each of which waits for the one before.  On one line of cells two chains run at once, from both ends to
the middle; in two dimensions LINES lines are solved at a time, copied into rows of one cell of each.
"""

import numpy as np
from numba import njit, prange
from numba.extending import overload

from accelerated.cpu.blocks import blocks, span
from accelerated.cpu.elementary import FUSED, expm1
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import empty
from reference.ops.checks import check, takes_out
from reference.ops.fokker_planck import check_faces, check_lengths

LINES, PARTS = 16, 16  # solved at a time, and shares of the work that each have scratch of their own


@takes_out
def fokker_planck_step(p, drift, diffusion, dx, dt, periodic=False):
    """p[n] a time dt later.  drift[n+1] = D1 and diffusion[n+1] = D2 >= 0 on the faces.

    Nothing passes the outer faces; with ``periodic`` they are one face, whose values are the first.
    """
    check("p[n] drift[f] diffusion[f]", p, drift, diffusion)
    check_faces("drift", drift, len(p) + 1)
    dx, dt = check_lengths(diffusion, dx, dt)
    q = empty(p.shape, p.dtype)
    _line(p, drift, diffusion, p.dtype.type(dx), p.dtype.type(dt / 2), bool(periodic), q)
    return q


@kernel("r1 r1 r1 s s b w1")
def _line(p, drift, diffusion, dx, half, periodic, q):
    a, b = np.empty_like(drift), np.empty_like(drift)
    _system(p, drift, diffusion, 1, dx, half, periodic, a, b, q)
    _solve(a, b, periodic, q, np.empty_like(q))


@takes_out
def fokker_planck_step_2d(p, drift_x, drift_y, diffusion_x, diffusion_y, dx, dy, dt, periodic=False):
    """p[n,m] a time dt later: half a step along x, one along y, half a step along x (Strang), of second order together.

    drift_x[n+1,m] and diffusion_x on the faces between neighbours in x, drift_y[n,m+1] and diffusion_y on those in y.
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
        q = empty(p.shape, p.dtype)
        _lines(p, *along, q)
        p = q
    return p


@kernel("r2 r2 r2 s s b b w2")
def _lines(p, drift, diffusion, dx, half, periodic, in_rows, q):
    n, lines = q.shape[::-1] if in_rows else q.shape
    tiles = blocks(lines, LINES)
    parts = min(tiles, PARTS)
    for part in prange(parts):
        own, right, reciprocals = np.zeros((n, LINES), q.dtype), np.empty((n, LINES), q.dtype), np.empty((n, LINES), q.dtype)
        its_drift, its_diffusion = np.zeros((n + 1, LINES), q.dtype), np.zeros((n + 1, LINES), q.dtype)
        a, b = np.empty((n + 1, LINES), q.dtype), np.empty((n + 1, LINES), q.dtype)
        for tile in range(part, tiles, parts):
            begin, end = span(tile, lines, LINES)
            _copy_in(p, begin, end, in_rows, own)
            _copy_in(drift, begin, end, in_rows, its_drift)
            _copy_in(diffusion, begin, end, in_rows, its_diffusion)
            flat = its_drift.reshape(-1), its_diffusion.reshape(-1), LINES, dx, half, periodic, a.reshape(-1), b.reshape(-1)
            _system(own.reshape(-1), *flat, right.reshape(-1))
            _solve(a, b, periodic, right, reciprocals)
            _copy_out(right, begin, end, in_rows, q)


@njit
def _copy_in(array, begin, end, in_rows, lines):
    for i in range(len(lines)):
        if end - begin == LINES and not in_rows:  # a known number: a few vector instructions
            for j in range(LINES):
                lines[i, j] = array[i, begin + j]
        else:
            for j in range(end - begin):
                lines[i, j] = array[begin + j, i] if in_rows else array[i, begin + j]


@njit
def _copy_out(lines, begin, end, in_rows, array):
    for i in range(len(lines)):
        if end - begin == LINES and not in_rows:
            for j in range(LINES):
                array[i, begin + j] = lines[i, j]
        else:
            for j in range(end - begin):
                if in_rows:
                    array[begin + j, i] = lines[i, j]
                else:
                    array[i, begin + j] = lines[i, j]


@njit
def _system(p, drift, diffusion, width, dx, half, periodic, a, b, q):
    """a, b and q of all cells, which stand in rows of ``width``, one of each line."""
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
    _right(p[last], p[:width], p[width : 2 * width], a[: 2 * width], b[: 2 * width], width, q[:width])
    _right(p[: end - 2 * width], p[width : end - width], p[2 * width :], a[width:end], b[width:end], width, q[width : end - width])
    _right(p[end - 2 * width : end - width], p[last], p[:width], a[end - width :], b[end - width :], width, q[last])


@njit(fastmath=FUSED)
def _rates(before, diffusion, behind, drift, dx, half, a, b):
    """a and b on faces with this drift and diffusion, which lie between faces with the diffusions ``before`` and ``behind``."""
    number = a.dtype.type
    zero, one, end = number(0), number(1), number(80)
    rate, slope, density = half / dx, one / (dx + dx), one / dx
    for i in range(len(a)):
        B = (behind[i] - before[i]) * slope - drift[i]
        size = abs(B) * dx
        upwind = size >= end * diffusion[i]
        w = (one if upwind else size) / (one if upwind else diffusion[i])
        both = zero if upwind else diffusion[i] if w == zero else size / expm1(w)  # D2 b(w)
        a[i] = rate * (both * density + max(B, zero))
        b[i] = rate * (both * density + max(-B, zero))


@njit
def _right(before, p, behind, a, b, width, q):
    """p + flux to the right - flux to the left, of cells p between these; a and b begin with the faces to their left."""
    for i in range(len(q)):
        q[i] = p[i] + ((a[i + width] * behind[i] - b[i + width] * p[i]) - (a[i] * p[i] - b[i] * before[i]))


@njit
def _solve(a, b, periodic, q, reciprocals):
    """The solution in the place of the right-hand side q[n] or q[n,LINES]; a periodic one by Sherman and Morrison."""
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
    """The solution in the place of q, with ``first`` and ``last`` added to the diagonal's ends."""


@overload(_eliminate)
def _elimination(a, b, first, last, q, reciprocals):
    if q.ndim == 1:
        return lambda a, b, first, last, q, reciprocals: _line_of_cells(a, b, first, last, q, reciprocals)
    return lambda a, b, first, last, q, reciprocals: _rows_of_cells(a, b, first, last, q, reciprocals)


@njit(fastmath=FUSED)
def _line_of_cells(a, b, first, last, q, reciprocals):
    n, one, zero = len(q), q.dtype.type(1), q.dtype.type(0)
    middle = n // 2
    left, right, sum_left, sum_right = first, last, zero, zero  # what t has beyond 1, and q beyond its own
    for i in range(n - 1 - middle):
        j = n - 1 - i
        q[i] += sum_left
        q[j] += sum_right
        left, sum_left, reciprocals[i] = _forward(one, left, a[i + 1], b[i + 1], q[i])
        right, sum_right, reciprocals[j] = _forward(one, right, b[j], a[j], q[j])
    if n % 2 == 0:  # the left half has one cell more
        i = middle - 1
        q[i] += sum_left
        left, sum_left, reciprocals[i] = _forward(one, left, a[middle], b[middle], q[i])
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
def _forward(one, beyond, back, on, q):
    """A cell with rates ``on`` to the next one and ``back`` from it: what t and q of that one have beyond 1 and their own, and 1 / u."""
    reciprocal = one / (beyond + (one + on))
    return back * (one + beyond) * reciprocal, on * reciprocal * q, reciprocal


@njit(fastmath=FUSED)
def _rows_of_cells(a, b, first, last, q, reciprocals):
    end, one = len(q) - 1, q.dtype.type(1)
    t = np.empty_like(first)
    for j in range(LINES):
        t[j] = one + first[j]
    for i in range(end):
        for j in range(LINES):
            r = one / (t[j] + b[i + 1, j])
            t[j] = one + a[i + 1, j] * t[j] * r
            q[i + 1, j] += b[i + 1, j] * r * q[i, j]
            reciprocals[i, j] = r
    for j in range(LINES):
        q[end, j] /= t[j] + last[j]
    for i in range(end - 1, -1, -1):
        for j in range(LINES):
            q[i, j] = (q[i, j] + a[i + 1, j] * q[i + 1, j]) * reciprocals[i, j]
