"""Known mistakes in the kernels of the GPU port, those above all that only a device can make; the tests run in the simulator."""

GPU = "accelerated/gpu/"
OPS = "tests/conformance/test_ops.py::test_its_results_are_within_budget[accelerated.gpu-"
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
    # a part of the work that takes another's place
    (
        GPU + "conv.py",
        "dw = part if dw is None else dw + part",
        "dw = part",
        GPU_TESTS + "a_convolution_whose_patches_are_made_in_parts[2-3-None]",
    ),
    # an index of 32 bits
    (
        GPU + "kernel.py",
        "np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x)",
        "np.int32(cuda.blockIdx.x) * np.int32(cuda.blockDim.x)",
        GPU_TESTS + "no_kernel_narrows_an_index",
    ),
)
