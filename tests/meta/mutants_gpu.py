"""Known mistakes in the kernels of the GPU port, those above all that only a device can make; the tests run in the simulator."""

GPU = "accelerated/gpu/"
OF_OPS = "tests/conformance/test_ops.py::test_"
OPS = OF_OPS + "its_results_are_within_budget[accelerated.gpu-"
GPU_TESTS = "tests/accelerated/test_gpu.py::test_"

MUTANTS = (
    # a barrier that is missing
    (
        GPU + "kernel.py",
        "    shared[thread] = value\n    cuda.syncthreads()\n    while half > 0:\n        if lane < half:\n            shared[thread] +=",
        "    shared[thread] = value\n    while half > 0:\n        if lane < half:\n            shared[thread] +=",
        OPS + "softmax-float32]",
    ),
    # shared memory that is read before it is written
    (GPU + "linear.py", "    shared[thread] = of_line\n", "    shared[thread] += of_line\n", OPS + "linear_backward-float32]"),
    # a reduction that takes every thread of a block to have an entry
    (GPU + "activation.py", "    part = x.dtype.type(0)\n", "    part = x.dtype.type(1)\n", OPS + "softmax-float32]"),
    # a block that writes beyond its row
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
        OF_OPS + "a_group_of_one_constant_value_gives_its_shift_and_passes_no_gradient_to_its_scale[accelerated.gpu-5-3-12345.678-float32]",
    ),
    (
        GPU + "activation.py",
        "math.exp(-math.fabs(x))",
        "math.exp(-min(math.fabs(x), type(x)(87)))",
        OF_OPS + "silu_of_the_largest_and_the_smallest_numbers[accelerated.gpu-silu-float32]",
    ),
    # a part of the work that takes another's place
    (
        GPU + "conv.py",
        "add=dw is not None",
        "add=False",
        GPU_TESTS + "a_convolution_whose_patches_are_made_in_parts[2-3-None]",
    ),
    # a matrix that lies by columns, read as if by rows
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
    # a replay that goes on with the numbers, or with the object, that it was recorded with
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
    # an index of 32 bits
    (
        GPU + "kernel.py",
        "np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x)",
        "np.int32(cuda.blockIdx.x) * np.int32(cuda.blockDim.x)",
        GPU_TESTS + "no_kernel_narrows_an_index",
    ),
)
