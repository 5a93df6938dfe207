"""Known mistakes in images from captions: (file, exact old text, new text, test that must fail)."""

OP, CPU, GPU = "reference/ops/attention.py", "accelerated/cpu/attention.py", "accelerated/gpu/attention.py"
MASK = "tests/reference/test_attention_mask.py::test_"
LOOPS = MASK + "masked_attention_and_its_gradients_equal_loops_over_the_keys_that_count[2]"
ANYTHING = "tests/conformance/test_ops.py::test_masked_keys_may_hold_anything_and_attention_is_that_over_the_others"
ON_CPU, ON_GPU = ANYTHING + "[accelerated.cpu-in between-float32]", ANYTHING + "[accelerated.gpu-in between-float32]"

MUTANTS = (
    # a mask of keys
    (OP, "return s if mask is None else np.where(", "return s if True else np.where(", LOOPS),
    (OP, "np.where(mask[:, None, None, :], s,", "np.where(~mask[:, None, None, :], s,", LOOPS),
    (OP, "np.where(mask[:, None, None, :], s,", "np.where(mask[::-1, None, None, :], s,", LOOPS),
    (OP, "p = np.exp(_scores(q, k, mask)", "p = np.exp(_scores(q, k, None)", LOOPS),
    (OP, "np.where(mask[:, :, None], x, x.dtype.type(0))", "x", ANYTHING + "[reference.ops-padding-float64]"),
    (OP, "if not counts.all():", "if not counts.any():", MASK + "a_sample_without_a_key_that_counts_is_refused[1-sample 1 has none]"),
    (CPU, "_leave_out(mask[sample], scores[", "_leave_out(mask[0], scores[", ON_CPU),
    (CPU, "        if not mask[j]:", "        if mask[j]:", ON_CPU),
    (GPU, "not mask[i // (n * m) * m + i % m]", "not mask[i % m]", ON_GPU),
    (GPU, "p, ds = _scores(q, k_transposed, mask)", "p, ds = _scores(q, k_transposed, None)", ON_GPU),
)
