"""Known mistakes in the kernels of the GPU port, those above all that only a device can make; the tests run in the simulator."""

GPU = "accelerated/gpu/"
OPS = "tests/conformance/test_ops.py::test_its_results_are_within_budget[accelerated.gpu-"

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
        "tests/accelerated/test_gpu.py::test_results_are_right_for_any_block[softmax_backward-4]",
    ),
    # an index of 32 bits
    (
        GPU + "kernel.py",
        "np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x)",
        "np.int32(cuda.blockIdx.x) * np.int32(cuda.blockDim.x)",
        "tests/accelerated/test_gpu.py::test_no_kernel_narrows_an_index",
    ),
)
