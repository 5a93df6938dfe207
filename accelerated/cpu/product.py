"""Matrix products for ``linear``, ``conv2d`` and ``attention``, after Goto and van de Geijn 2008, in the form of BLIS's micro-kernel.

The *micro-kernel* computes a tile of c, MR = 6 rows by NR = 2 LANES columns, that stays in registers while k runs over the terms:

               2 vectors of row k of b
                +-------+-------+
                | LANES | LANES |                c[r, :] += a[r, k] b[k, :],   r = 0 .. 5
                +-------+-------+
       a[0,k]   |  c0   |  d0   |
       a[1,k]   |  c1   |  d1   |                Each step of k loads 2 vectors of b and 6 numbers of a,
       a[2,k]   |  c2   |  d2   |                splats each number into a vector,
       a[3,k]   |  c3   |  d3   |                and issues 12 fused multiply-adds (FMAs).
       a[4,k]   |  c4   |  d4   |
       a[5,k]   |  c5   |  d5   |                12 accumulators + 2 vectors of b + 1 of a: 15 registers
                +-------+-------+                (AVX2 has 16).

The 12 accumulators are independent.  With 2 FMA units and a latency of 4 cycles, at least 8 independent accumulators are needed.

b is *packed* into panels of LANES columns.  The rows of a panel follow one another: rows whose distance is a power of two would share few
sets of a cache.  The last panel is padded with zeros:

        b[k,columns]                       packed[panel,k,LANES]
        +--------+--------+----+           panel 0         panel 1         panel 2
    k=0 | b00 .. | ..     | .. |           +--------+      +--------+      +----+---+
    k=1 | b10 .. | ..     | .. |    ->     | b00 .. | k=0  | ..     |      | .. | 0 |
    k=2 | b20 .. | ..     | .. |           | b10 .. | k=1  | ..     |      | .. | 0 |
        +--------+--------+----+           | b20 .. | k=2  | ..     |      | .. | 0 |
         LANES    LANES                    +--------+      +--------+      +----+---+

A small b is not packed: its panels are then LANES apart, and its rows as far apart as they are in b.  A tile takes two panels, or one
where only one is left.  a isn't packed: its row stride and its column stride are arguments, so xᵀ y needs no transposed copy.

Loop order, from the outside: columns by NR, rows by MR, then k in the micro-kernel.  There is no loop over blocks of k: the callers cut
their work into blocks of rows that stay in a cache.

``gemm_bias`` and ``gemm_accumulate`` differ in how a tile is initialised and stored.  ``gemm_bias`` computes c = a b + bias: the
accumulators begin with the bias, and c has exactly its rows and columns, so tiles at its edges are stored entry by entry.
``gemm_accumulate`` computes c += a b: the accumulators begin with c, and c has room for whole tiles, so every tile is stored by vectors.
"""

import numpy as np
from numba import njit
from numba.extending import register_jitable

from accelerated.cpu.blocks import block_count
from accelerated.cpu.contiguous import clear, copy
from accelerated.cpu.kernel import kernel
from accelerated.cpu.memory import aligned_empty, aligned_scratch
from accelerated.cpu.simd import LANES, always_inline, load, load6, load_scalar, multiply_add, repeat6, splat, store, store6

MR = 6  # rows of a register tile; the micro-kernels are written out for 6
NR = 2 * LANES  # columns of a register tile


@always_inline
def micro_kernel_one_panel(terms, a, a_rows, a_step, b, b_offset, b_row_stride, sums):
    """sums + a b for MR rows and one panel: a[r,k] is at a_rows[r] + k a_step, row k of b at b_offset + k b_row_stride."""
    a0, a1, a2, a3, a4, a5 = a_rows
    c0, c1, c2, c3, c4, c5 = sums
    for k in range(terms):
        step = k * a_step
        row = load(b, b_offset + k * b_row_stride)
        c0 = multiply_add(splat(load_scalar(a, a0 + step)), row, c0)
        c1 = multiply_add(splat(load_scalar(a, a1 + step)), row, c1)
        c2 = multiply_add(splat(load_scalar(a, a2 + step)), row, c2)
        c3 = multiply_add(splat(load_scalar(a, a3 + step)), row, c3)
        c4 = multiply_add(splat(load_scalar(a, a4 + step)), row, c4)
        c5 = multiply_add(splat(load_scalar(a, a5 + step)), row, c5)
    return c0, c1, c2, c3, c4, c5


@always_inline
def micro_kernel_two_panels(terms, a, a_rows, a_step, b, b_offset, b_panel_stride, b_row_stride, left, right):
    """The same for two panels of b, b_panel_stride apart: (left + a b[:, :LANES], right + a b[:, LANES:])."""
    a0, a1, a2, a3, a4, a5 = a_rows
    c0, c1, c2, c3, c4, c5 = left
    d0, d1, d2, d3, d4, d5 = right
    for k in range(terms):
        step = k * a_step
        row = load(b, b_offset + k * b_row_stride)
        other = load(b, b_offset + b_panel_stride + k * b_row_stride)
        c0, d0 = _multiply_add2(splat(load_scalar(a, a0 + step)), row, other, c0, d0)
        c1, d1 = _multiply_add2(splat(load_scalar(a, a1 + step)), row, other, c1, d1)
        c2, d2 = _multiply_add2(splat(load_scalar(a, a2 + step)), row, other, c2, d2)
        c3, d3 = _multiply_add2(splat(load_scalar(a, a3 + step)), row, other, c3, d3)
        c4, d4 = _multiply_add2(splat(load_scalar(a, a4 + step)), row, other, c4, d4)
        c5, d5 = _multiply_add2(splat(load_scalar(a, a5 + step)), row, other, c5, d5)
    return (c0, c1, c2, c3, c4, c5), (d0, d1, d2, d3, d4, d5)


@always_inline
def _multiply_add2(x, row, other, c, d):
    return multiply_add(x, row, c), multiply_add(x, other, d)


@always_inline
def row_offsets(offset, row_stride, rows=MR):
    """Offsets of the MR rows of a tile.  Beyond ``rows`` the last row is repeated, and the caller drops its sums."""
    last = rows - 1
    o1, o2, o3 = offset + min(1, last) * row_stride, offset + min(2, last) * row_stride, offset + min(3, last) * row_stride
    return offset, o1, o2, o3, offset + min(4, last) * row_stride, offset + min(5, last) * row_stride


@njit
def gemm_bias(rows, terms, a, a_offset, a_row_stride, a_step, b, b_panel_stride, b_row_stride, columns, c, c_offset, bias):
    """c[rows,columns] = a b + bias.

    a[r,k] is at a_offset + r a_row_stride + k a_step.  Row k of panel p of b is at p b_panel_stride + k b_row_stride.  c is contiguous from
    c_offset on.  ``bias`` has entries for whole panels.
    """
    edge = aligned_scratch(MR * LANES, c.dtype)
    for column in range(0, columns, NR):
        width = columns - column
        two = width > LANES
        b_offset = column // LANES * b_panel_stride
        left = repeat6(load(bias, column))
        right = repeat6(load(bias, column + LANES)) if two else left
        for row in range(0, rows, MR):
            height = min(MR, rows - row)
            target = c_offset + row * columns + column
            a_rows = row_offsets(a_offset + row * a_row_stride, a_row_stride, height)
            if two:
                first, second = micro_kernel_two_panels(terms, a, a_rows, a_step, b, b_offset, b_panel_stride, b_row_stride, left, right)
                _store_tile(second, height, min(LANES, width - LANES), edge, c, target + LANES, columns)
            else:
                first = micro_kernel_one_panel(terms, a, a_rows, a_step, b, b_offset, b_row_stride, left)
            _store_tile(first, height, min(LANES, width), edge, c, target, columns)


@always_inline
def _store_tile(sums, height, width, edge, c, c_offset, c_row_stride):
    """Store the first ``height`` rows and ``width`` columns of a tile of one panel; ``edge`` is scratch."""
    if height == MR and width == LANES:
        store6(c, c_offset, c_row_stride, sums)
    else:
        store6(edge, 0, LANES, sums)
        for row in range(height):
            for column in range(width):
                c[c_offset + row * c_row_stride + column] = edge[row * LANES + column]


@njit
def gemm_accumulate(rows, terms, a, a_offset, a_row_stride, a_step, b, b_offset, b_row_stride, columns, c, c_offset, c_row_stride):
    """c += a b, where ``columns`` is a multiple of LANES.

    a[r,k] is at a_offset + r a_row_stride + k a_step, row k of b at b_offset + k b_row_stride, row r of c at c_offset + r c_row_stride.
    c has ``padded_rows(rows)`` rows; the rows beyond ``rows`` get arbitrary values.
    """
    for column in range(0, columns, NR):
        for row in range(0, rows, MR):
            a_rows = row_offsets(a_offset + row * a_row_stride, a_row_stride, min(MR, rows - row))
            at, target = b_offset + column, c_offset + row * c_row_stride + column
            if column + LANES < columns:
                left, right = load6(c, target, c_row_stride), load6(c, target + LANES, c_row_stride)
                left, right = micro_kernel_two_panels(terms, a, a_rows, a_step, b, at, LANES, b_row_stride, left, right)
                store6(c, target, c_row_stride, left)
                store6(c, target + LANES, c_row_stride, right)
            else:
                left = load6(c, target, c_row_stride)
                store6(c, target, c_row_stride, micro_kernel_one_panel(terms, a, a_rows, a_step, b, at, b_row_stride, left))


def padded_columns(n):
    """n rounded up to whole panels: to a multiple of LANES."""
    return -(-n // LANES) * LANES


@register_jitable
def padded_rows(n):
    """n rounded up to whole tiles: to a multiple of MR."""
    return block_count(n, MR) * MR


def pad_last_axis(array):
    """The array with zeros after its last axis, up to whole panels."""
    if array.shape[-1] % LANES == 0:
        return array
    padded = np.zeros((*array.shape[:-1], padded_columns(array.shape[-1])), array.dtype)
    padded[..., : array.shape[-1]] = array
    return padded


def pack_panels(w, transposed=False):
    """w[k,o], or wᵀ if ``transposed``, packed as [panels,k,LANES]."""
    terms, columns = w.shape[::-1] if transposed else w.shape
    packed = aligned_empty((padded_columns(columns) // LANES, terms, LANES), w.dtype)
    _pack(w, transposed, packed)
    return packed


@kernel("r2 b w3")
def _pack(w, transposed, packed):
    """On one thread: there is too little work for several."""
    terms, columns = (w.shape[1], w.shape[0]) if transposed else w.shape
    w = w.ravel()
    for panel in range(len(packed)):
        first = panel * LANES
        width = min(LANES, columns - first)
        if width < LANES:
            clear(packed[panel].ravel())
        if transposed:
            for lane in range(width):
                for k in range(terms):
                    packed[panel, k, lane] = w[(first + lane) * terms + k]
        elif width == LANES:
            for k in range(terms):
                store(packed, (panel * terms + k) * LANES, load(w, k * columns + first))
        else:
            for k in range(terms):
                copy(w[k * columns + first : (k + 1) * columns], packed[panel, k, :width])
