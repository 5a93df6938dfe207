"""Known mistakes in the kernels of the GPU port, mainly mistakes that are specific to devices; the tests run in the simulator."""

GPU = "accelerated/gpu/"
OF_OPS = "tests/conformance/test_ops.py::test_"
OPS = OF_OPS + "results_are_within_tolerance[accelerated.gpu-"
GPU_TESTS = "tests/accelerated/test_gpu.py::test_"

MUTANTS = (
    # a missing barrier
    (
        GPU + "kernel.py",
        "    shared[thread] = value\n    cuda.syncthreads()\n    while half > 0:\n        if lane < half:\n            shared[thread] +=",
        "    shared[thread] = value\n    while half > 0:\n        if lane < half:\n            shared[thread] +=",
        OPS + "softmax-float32]",
    ),
    # shared memory read before it is written
    (GPU + "linear.py", "    shared[thread] = of_line\n", "    shared[thread] += of_line\n", OPS + "linear_backward-float32]"),
    # a reduction that assumes an entry for every thread of a block
    (GPU + "activation.py", "    part = x.dtype.type(0)\n", "    part = x.dtype.type(1)\n", OPS + "softmax-float32]"),
    # a block that writes past the end of its row
    (
        GPU + "activation.py",
        "    inner = total(shared, part)\n    for i in range(first,",
        "    inner = total(shared, part)\n    for i in range(max(first - 1, 0),",
        GPU_TESTS + "rows_longer_and_shorter_than_a_block_are_right[softmax-sizes1-4]",
    ),
    # the largest numbers
    (
        GPU + "norm.py",
        "        s = small\n",
        "        s = s\n",
        OF_OPS + "group_norm_of_entries_up_to_half_the_largest_number[accelerated.gpu-float32-1e+25-group_norm]",
    ),
    (
        GPU + "norm.py",
        "first, zero, s, entries = x[begin],",
        "first, zero, s, entries = x.dtype.type(0),",
        OF_OPS + "group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient[accelerated.gpu-5-3-12345.678-float32]",
    ),
    (
        GPU + "activation.py",
        "math.exp(-math.fabs(x))",
        "math.exp(-min(math.fabs(x), type(x)(87)))",
        OF_OPS + "silu_of_the_largest_and_smallest_floats[accelerated.gpu-silu-float32]",
    ),
    # a part of the work that overwrites another part
    (
        GPU + "conv.py",
        "add=dw is not None",
        "add=False",
        GPU_TESTS + "a_convolution_whose_patches_are_made_in_parts[2-3-None]",
    ),
    # a column-major matrix read as row-major
    (
        GPU + "product.py",
        "return x, 1, by_column, step",
        "return x, 0, by_column, step",
        GPU_TESTS + "cublas_is_asked_for_the_product[0-1-3]",
    ),
    (
        GPU + "product.py",
        "step = x.strides[0] // x.itemsize if x.ndim == 3 else 0",
        "step = 0",
        GPU_TESTS + "cublas_is_asked_for_the_product[0-1-3]",
    ),
    # a replayed graph that uses the numbers or the object of its capture
    (
        GPU + "replay.py",
        "                place[...] = arg\n",
        "                pass\n",
        GPU_TESTS + "from_the_second_call_on_launches_are_replayed_with_other_numbers",
    ),
    (
        GPU + "replay.py",
        "else id(arg) for arg",
        "else None for arg",
        GPU_TESTS + "another_shape_and_another_object_are_recorded_by_themselves",
    ),
    # a result that the next call overwrites
    (
        GPU + "replay.py",
        "return result.copy() if is_device(result)",
        "return result if is_device(result)",
        GPU_TESTS + "what_is_returned_is_the_callers_but_for_dictionaries",
    ),
    # a 32-bit index
    (
        GPU + "kernel.py",
        "np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x)",
        "np.int32(cuda.blockIdx.x) * np.int32(cuda.blockDim.x)",
        GPU_TESTS + "no_kernel_narrows_an_index",
    ),
)
