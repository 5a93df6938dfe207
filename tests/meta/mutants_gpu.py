"""Known mistakes in the kernels of the GPU port, mainly mistakes that are specific to devices; the tests run in the simulator."""

GPU = "accelerated/gpu/"
OF_OPS = "tests/conformance/test_ops.py::test_"
OPS = OF_OPS + "results_are_within_tolerance[accelerated.gpu-"
GPU_TESTS = "tests/accelerated/test_gpu.py::test_"

MUTANTS = (
    # a missing barrier
    (
        GPU + "kernel.py",
        "    cuda.syncthreads()\n    while half > 0:\n        if thread_in_row < half:\n            shared[thread] +=",
        "    while half > 0:\n        if thread_in_row < half:\n            shared[thread] +=",
        OPS + "softmax-float32]",
    ),
    # shared memory that is read before it is written
    (GPU + "linear.py", "    shared[thread] = partial\n", "    shared[thread] += partial\n", OPS + "linear_backward-float32]"),
    # a reduction that takes every thread of a block to have an entry
    (GPU + "activation.py", "    partial = x.dtype.type(0)\n", "    partial = x.dtype.type(1)\n", OPS + "softmax-float32]"),
    # a block that writes beyond its row
    (
        GPU + "activation.py",
        "    row_total = block_sum(shared, partial)\n    for i in range(first,",
        "    row_total = block_sum(shared, partial)\n    for i in range(max(first - 1, 0),",
        GPU_TESTS + "rows_longer_and_shorter_than_a_block[softmax-sizes1-4]",
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
        "    first = x[begin]\n",
        "    first = zero\n",
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
        GPU_TESTS + "convolution_with_patches_in_parts[2-3-None]",
    ),
    # a column-major matrix read as row-major
    (
        GPU + "product.py",
        "return x, 1, by_column, step",
        "return x, 0, by_column, step",
        GPU_TESTS + "gemm_calls_cublas_for_the_product[0-1-3]",
    ),
    (
        GPU + "product.py",
        "step = x.strides[0] // x.itemsize if x.ndim == 3 else 0",
        "step = 0",
        GPU_TESTS + "gemm_calls_cublas_for_the_product[0-1-3]",
    ),
    # a replay with the arrays, or the object, of its capture
    (
        GPU + "graphs.py",
        "                static[...] = arg\n",
        "                pass\n",
        GPU_TESTS + "a_graph_is_replayed_with_new_inputs",
    ),
    (
        GPU + "graphs.py",
        "else id(arg) for arg",
        "else None for arg",
        GPU_TESTS + "each_shape_and_each_object_has_its_own_graph",
    ),
    # a prepared model that replays with the parameters of its first call
    (
        GPU + "models.py",
        "return self.captured(params, x, c, ops, labels), None",
        'return self.captured(vars(self).setdefault("first", params), x, c, ops, labels), None',
        GPU_TESTS + "a_prepared_model_uses_the_parameters_of_each_call",
    ),
    (
        GPU + "models.py",
        "return captured(params, x0, labels, ops, *noise)",
        'return captured(vars(model).setdefault("first", params), x0, labels, ops, *noise)',
        GPU_TESTS + "a_prepared_model_uses_the_parameters_of_each_call",
    ),
    # a result that the next call overwrites
    (
        GPU + "graphs.py",
        "return output.copy() if is_device_array(output)",
        "return output if is_device_array(output)",
        GPU_TESTS + "outputs_are_copies_except_in_dictionaries",
    ),
    # a 32-bit index
    (
        GPU + "kernel.py",
        "np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x)",
        "np.int32(cuda.blockIdx.x) * np.int32(cuda.blockDim.x)",
        GPU_TESTS + "no_kernel_narrows_an_index",
    ),
)
