"""Mistakes in the kernels of the CPU port.  Each mutant is compiled anew, so its test runs one kernel in one precision."""

CPU = "accelerated/cpu/"
OPS = "tests/conformance/test_ops.py::test_"
LINEAR = OPS + "linear_of_many_sizes[accelerated.cpu-33-70-59-float32]"
MANY = OPS + "linear_of_many_sizes[accelerated.cpu-600-100-270-float32]"
WINOGRAD = OPS + "conv2d_of_many_sizes[accelerated.cpu-2-9-6-16-48-3-1-float32]"
WIDE = OPS + "conv2d_of_many_sizes[accelerated.cpu-1-5-5-64-144-3-1-float32]"
PATCHES = OPS + "conv2d_of_many_sizes[accelerated.cpu-1-13-11-33-17-3-2-float32]"
FEW = OPS + "conv2d_of_many_sizes[accelerated.cpu-2-8-8-32-1-3-1-float32]"
ATTENTION = OPS + "attention_of_many_sizes[accelerated.cpu-1-33-70-30-3-float32]"
MIXTURE = OPS + "mixtures_of_many_sizes[accelerated.cpu-1000-8-2-False-mixture_score-float32]"
PORT = "tests/accelerated/test_cpu.py::test_"
LARGE = "tests/conformance/test_sizes.py::test_results_at_large_sizes_are_within_tolerance[accelerated.cpu-"

MUTANTS = (
    # products
    (CPU + "product.py", "offset + min(5, last) * row_stride\n", "offset + min(4, last) * row_stride\n", LINEAR),
    (CPU + "product.py", "repeat6(load(bias, column))", "repeat6(load(bias, 0))", LINEAR),
    (CPU + "product.py", "repeat6(load(bias, column + LANES))", "repeat6(load(bias, column))", LINEAR),
    (CPU + "product.py", "b_offset + b_panel_stride + k * b_row_stride", "b_offset + k * b_row_stride", LINEAR),
    (CPU + "product.py", "min(LANES, width - LANES), edge", "LANES, edge", LINEAR),
    (
        CPU + "product.py",
        "left, right = load6(c, target, c_row_stride), load6(c, target + LANES, c_row_stride)",
        "left, right = repeat6(splat(c.dtype.type(0))), repeat6(splat(c.dtype.type(0)))",
        MANY,
    ),
    (CPU + "product.py", "copy(w[k * columns + first : (k + 1) * columns]", "copy(w[k * columns : (k + 1) * columns - first]", LINEAR),
    (CPU + "product.py", "w[(first + lane) * terms + k]", "w[lane * terms + k]", LINEAR),
    (CPU + "linear.py", "store(db, column + c, total)", "store(db, column, total)", LINEAR),
    (CPU + "linear.py", "for begin in range(first, last, SAMPLE_BLOCK):", "for begin in range(first + 1, last, SAMPLE_BLOCK):", LINEAR),
    (CPU + "linear.py", "for c in range(whole, width):", "for c in range(whole, width - 1):", LINEAR),
    (CPU + "linear.py", "for split in range(1, splits):", "for split in range(2, splits):", MANY),
    # Winograd
    (CPU + "winograd_transforms.py", "POINT_B * (d3 - A2 * d1)", "POINT_B * (d3 + A2 * d1)", WINOGRAD),
    (CPU + "winograd_transforms.py", "A2 * a_odd + B2 * b_odd + m5", "a_odd + B2 * b_odd + m5", WINOGRAD),
    (CPU + "winograd_tiles.py", "d0 = load(x, at) if tile.top > 0 else zero", "d0 = zero", WINOGRAD),
    (CPU + "winograd_tiles.py", "if tile.top + 4 < h else zero", "if tile.top + 5 < h else zero", WINOGRAD),
    (CPU + "winograd_forward.py", "((8 - tap) * o", "(tap * o", WINOGRAD),
    (CPU + "winograd_transforms.py", "POINT_B * (y1 + B2 * y3)", "POINT_B * (y1 + A2 * y3)", WINOGRAD),
    (
        CPU + "winograd_weights.py",
        "first, last = part * tiles // parts, (part + 1) * tiles // parts",
        "first, last = 0, tiles // parts",
        WINOGRAD,
    ),
    (CPU + "winograd_weights.py", "c * o + left + column + panel * LANES", "c * o + column + panel * LANES", WIDE),
    (
        CPU + "winograd_weights.py",
        "        next_origin = next_tile(tile, h, w)\n        for c in range(first, last, LANES):",
        "        for c in range(first, last, LANES):",
        WINOGRAD,
    ),
    # attention
    (CPU + "attention.py", "(panel - pair * panels_per_pair) * LANES, (panel", "0, (panel", ATTENTION),
    (CPU + "attention.py", "            _start_sums(ds, means, column, width)\n", "", ATTENTION),
    (CPU + "attention.py", "if j + width >= m:", "if j == 0:", ATTENTION),
    # products over patches
    (CPU + "conv.py", "clear(target[: first * i])", "clear(target[:0])", PATCHES),
    (CPU + "conv.py", "min(k, height - top)", "min(k, height - top - 1)", PATCHES),
    (CPU + "conv.py", "        y[...] = b\n", "        y[...] = 0\n", FEW),
    (
        CPU + "conv.py",
        "np.ascontiguousarray(turned(weight_gradient(x, dy, stride, k)))",
        "turned(weight_gradient(x, dy, stride, k))[::-1]",
        FEW,
    ),
    (CPU + "conv.py", "w[::-1, ::-1].swapaxes(2, 3)", "w.swapaxes(2, 3)", FEW),
    # large sizes
    (CPU + "blocks.py", "min(n, (block + 1) * size)", "min(n, (block + 1) * size, 65_536)", LARGE + "silu-0-float32]"),
    (CPU + "loss.py", "@njit(fastmath=SUM)\ndef _mean(", "@njit\ndef _mean(", LARGE + "mse-0-float64]"),
    # the largest numbers, and the smallest
    (
        CPU + "elementary.py",
        "e = exp(-abs(x))",
        "e = exp(-min(abs(x), one * 87))",
        OPS + "silu_of_the_largest_and_smallest_floats[accelerated.cpu-silu-float32]",
    ),
    (
        CPU + "elementary.py",
        "low, large, one = real(-bias),",
        "low, large, one = real(1 - bias),",
        OPS + "mixture_at_overflowing_distance_has_density_0_and_nan_score[accelerated.cpu-2-True-float32]",
    ),
    (
        CPU + "norm.py",
        "if not by_group.max() < np.inf:",
        "if False:",
        OPS + "group_norm_of_entries_up_to_half_the_largest_number[accelerated.cpu-float32-1e+25-group_norm]",
    ),
    (
        CPU + "norm.py",
        "        first = sample[:channels:width]\n",
        "        first = 0 * sample[:channels:width]\n",
        OPS + "group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient[accelerated.cpu-7-1-12345.678-float32]",
    ),
    # mixtures in the plane
    (CPU + "mixture.py", "table[k, 2] = constants[k] / log2", "table[k, 2] = constants[k]", MIXTURE),
    (CPU + "mixture.py", "y[whole:] = scores[: n - whole]", "y[whole:] = rest[: n - whole]", MIXTURE),
    # compiling and caching
    (
        CPU + "kernel.py",
        "hashlib.sha256(sources + machine.encode())",
        "hashlib.sha256(machine.encode())",
        PORT + "machine_code_of_other_sources_is_not_used",
    ),
    (CPU + "precompile.py", "        shares.sort()\n", "", PORT + "files_are_divided_evenly_among_processes[2]"),
    (
        CPU + "precompile.py",
        "if one.file in files else ()",
        "if one.file in files[1:] else ()",
        PORT + "precompiled_kernels_are_not_compiled_again",
    ),
)
