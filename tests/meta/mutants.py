"""Known mistakes in ops and networks: (file, exact old text, new text, test that must fail).

``test_mutants.py`` takes the MUTANTS of every file here whose name begins with ``mutants``.  Pick a test that runs within a second or two.
"""

OPS, NETWORKS = "reference/ops/", "reference/networks/"
COORDINATES = "tests/reference/test_gradients.py::test_gradient_in_every_coordinate"
GRADIENTS = "tests/reference/test_gradients.py::test_"
VALUES = "tests/reference/test_ops.py::test_"
RANDOM = "tests/reference/test_random.py::test_"
CALLS = "tests/conformance/test_calls.py::test_"
SPECIAL = "tests/conformance/test_ops.py::test_"
END_TO_END = "tests/reference/test_networks.py::test_"
UNET = END_TO_END + "gradient_of_all_parameters_and_x_together[plain]"

MUTANTS = (
    # linear and conv2d
    (OPS + "linear.py", "dw = x.T @ dy", "dw = (dy.T @ x).reshape(w.shape)", COORDINATES + "[linear]"),
    (OPS + "linear.py", "db = dy.sum(axis=0)", "db = 0 * dy.sum(axis=0)", COORDINATES + "[linear]"),
    (OPS + "conv.py", "db = flat.sum(axis=0)", "db = flat.mean(axis=0)", COORDINATES + "[conv2d]"),
    (
        OPS + "conv.py",
        "return windows.transpose(",
        "return windows[..., ::-1, ::-1].transpose(",
        VALUES + "conv2d_is_scipys_correlation[5-7]",
    ),
    (OPS + "conv.py", "(0, 1, 2, 4, 5, 3)", "(0, 1, 2, 5, 4, 3)", VALUES + "conv2d_is_scipys_correlation[5-7]"),
    (
        OPS + "conv.py",
        "[\n        :, ::stride, ::stride\n    ]",
        "[:, stride - 1 :: stride, stride - 1 :: stride]",
        VALUES + "conv2d_is_its_equation[3-2-2-4]",
    ),
    (
        OPS + "conv.py",
        "((0, 0), (p, p), (p, p), (0, 0))",
        "((0, 0), (0, 2 * p), (0, 2 * p), (0, 0))",
        VALUES + "conv2d_is_scipys_correlation[7-5]",
    ),
    (OPS + "conv.py", "(p, p), (0, 0)))", '(p, p), (0, 0)), "edge")', VALUES + "conv2d_is_scipys_correlation[7-5]"),
    (
        OPS + "conv.py",
        "dy.sum(axis=(1, 2), keepdims=True)",
        "dy.mean(axis=(1, 2), keepdims=True)",
        GRADIENTS + "gradient_of_conv2d_with_unequal_sides_and_channels[per channel-3-1-5-7]",
    ),
    (OPS + "conv.py", "v + stride * n : stride] += dpatches", "v + stride * n : stride] = dpatches", COORDINATES + "[conv2d]"),
    (OPS + "conv.py", "    if add is not None:\n        y += add\n", "", VALUES + "conv2d_sums_in_what_it_is_given[pixels0]"),
    # norms
    (OPS + "norm.py", "dx = d - d.mean(axis=(1, 3), keepdims=True)", "dx = d.copy()", COORDINATES + "[group_norm]"),
    (
        OPS + "norm.py",
        "dx -= xhat * (d * xhat).mean(axis=(1, 3), keepdims=True)",
        "dx -= 0 * xhat",
        COORDINATES + "[group_norm]",
    ),
    (
        OPS + "norm.py",
        "dscale = (dy * xhat.reshape(x.shape)).sum(",
        "dscale = (dy * xhat.reshape(x.shape)).mean(",
        COORDINATES + "[group_norm]",
    ),
    (
        OPS + "norm.py",
        "np.square(d - mean).mean(axis=(1, 3), keepdims=True)",
        "d.var(axis=(1, 3), keepdims=True, ddof=1)",
        VALUES + "group_norm_is_a_loop_over_groups[1e-05-2]",
    ),
    (
        OPS + "norm.py",
        "np.sqrt(variance + s * s * entries.dtype.type(eps))",
        "(np.sqrt(variance) + s * s * entries.dtype.type(eps))",
        VALUES + "group_norm_is_a_loop_over_groups[1e-05-2]",
    ),
    (
        OPS + "norm.py",
        "x.reshape(len(x), pixels, groups, x.shape[-1] // groups)",
        "x.reshape(len(x), pixels, x.shape[-1] // groups, groups).swapaxes(2, 3)",
        VALUES + "group_norm_is_a_loop_over_groups[1e-05-2]",
    ),
    (
        OPS + "norm.py",
        "group_norm_backward(silu_backward(dy, y), x,",
        "group_norm_backward(silu_backward(dy, y) * 0 + dy, x,",
        COORDINATES + "[group_norm_silu]",
    ),
    (
        OPS + "norm.py",
        "first = entries[:, :1, :, :1]",
        "first = 0 * entries[:, :1, :, :1]",
        SPECIAL + "a_group_of_one_constant_value_gives_its_shift_and_passes_no_gradient_to_its_scale[reference.ops-7-1-12345.678-float32]",
    ),
    (
        OPS + "norm.py",
        "rstd = s / np.sqrt(",
        "rstd = 1 / np.sqrt(",
        SPECIAL + "group_norm_of_entries_up_to_half_the_largest_number[reference.ops-float32-1e+25-group_norm]",
    ),
    # activations
    (OPS + "activation.py", "(1 + x * (1 - g)))", "(1 - x * (1 - g)))", COORDINATES + "[silu]"),
    (OPS + "activation.py", "(2 + x * (1 - 2 * g)))", "(2 + x * (1 - g)))", GRADIENTS + "silu_second_in_every_coordinate"),
    (OPS + "activation.py", "y * (dy - (dy * y).sum(axis=-1, keepdims=True))", "y * (1 - y) * dy", COORDINATES + "[softmax]"),
    # attention
    (OPS + "attention.py", "(dp - (dy * y).sum(axis=-1, keepdims=True))", "dp", COORDINATES + "[attention]"),
    (OPS + "attention.py", "return (f * q) @", "return q @", VALUES + "attention_is_a_loop_over_heads_and_rows[2]"),
    (OPS + "attention.py", "dk = f * (ds", "dk = (ds", COORDINATES + "[attention]"),
    (OPS + "attention.py", "np.log(total)", "np.log2(total)", VALUES + "attention_is_a_loop_over_heads_and_rows[2]"),
    (
        OPS + "attention.py",
        "x.reshape(b, n, heads, c // heads).transpose(0, 2, 1, 3)",
        "x.reshape(b, n, c // heads, heads).transpose(0, 3, 1, 2)",
        VALUES + "attention_is_a_loop_over_heads_and_rows[2]",
    ),
    # resample and embedding
    (OPS + "resample.py", ").sum(axis=(2, 4))", ").mean(axis=(2, 4))", COORDINATES + "[upsample_nearest]"),
    (OPS + "resample.py", "return upsample_nearest(dy) / 4", "return upsample_nearest(dy)", COORDINATES + "[average_pool]"),
    (
        OPS + "embedding.py",
        "(np.cos(angles), np.sin(angles))",
        "(np.sin(angles), np.cos(angles))",
        VALUES + "timestep_embedding_has_cosines_first_and_geometric_frequencies",
    ),
    (
        OPS + "embedding.py",
        "-np.arange(half) / half",
        "-np.arange(half) / (half - 1)",
        VALUES + "timestep_embedding_has_cosines_first_and_geometric_frequencies",
    ),
    (OPS + "embedding.py", "np.add.at(dtable, labels, dy)", "dtable[labels] = dy", COORDINATES + "[embedding]"),
    # losses
    (OPS + "loss.py", "(2 * (y - target) / n)", "((y - target) / n)", COORDINATES + "[mse]"),
    (
        OPS + "loss.py",
        "(np.expm1(log_var) - log_var)",
        "(np.expm1(log_var) + log_var)",
        VALUES + "gaussian_kl_is_the_integral_of_the_log_ratio",
    ),
    (OPS + "loss.py", "d * (np.expm1(log_var) / 2)", "d * (np.exp(log_var) / 2)", COORDINATES + "[gaussian_kl]"),
    # optimizer
    (OPS + "optimizer.py", "mhat = m / p.dtype.type(1 - beta1**step)", "mhat = m", VALUES + "adam_is_the_textbook_algorithm"),
    (OPS + "optimizer.py", "vhat = v / p.dtype.type(1 - beta2**step)", "vhat = v", VALUES + "adam_is_the_textbook_algorithm"),
    (OPS + "optimizer.py", "beta1 * m + (1 - beta1) * g", "beta2 * m + (1 - beta2) * g", VALUES + "adam_is_the_textbook_algorithm"),
    (OPS + "optimizer.py", "(np.sqrt(vhat) + eps)", "np.sqrt(vhat + eps)", VALUES + "adam_is_the_textbook_algorithm"),
    (OPS + "optimizer.py", "decay * average + (1 - decay) * p", "(1 - decay) * average + decay * p", VALUES + "ema_is_the_geometric_sum"),
    # random
    (OPS + "random.py", "M0, M1 =", "M1, M0 =", RANDOM + "philox_gives_the_published_answers"),
    (OPS + "random.py", "W0, W1 =", "W1, W0 =", RANDOM + "philox_gives_the_published_answers"),
    (OPS + "random.py", "range(10)", "range(9)", RANDOM + "philox_gives_the_published_answers"),
    (
        OPS + "random.py",
        "np.broadcast_arrays(block, sample_column,",
        "np.broadcast_arrays(sample_column, block,",
        RANDOM + "word_e_of_a_sample_is_word_e_mod_4_of_block_e_div_4",
    ),
    (
        OPS + "random.py",
        "words.reshape(len(sample), 4 * blocks)",
        "words.swapaxes(1, 2).reshape(len(sample), 4 * blocks)",
        RANDOM + "word_e_of_a_sample_is_word_e_mod_4_of_block_e_div_4",
    ),
    (OPS + "random.py", "(seed & 0xFFFFFFFF, seed >> 32)", "(seed & 0xFFFFFFFF, 0)", RANDOM + "other_seeds_give_other_bits"),
    (OPS + "random.py", "(bits + 0.5) * 2.0**-32", "bits * 2.0**-32", RANDOM + "uniforms_are_the_middles_of_their_cells"),
    (
        OPS + "random.py",
        "(r * np.cos(angle), r * np.sin(angle))",
        "(r * np.sin(angle), r * np.cos(angle))",
        RANDOM + "normals_are_box_and_mullers",
    ),
    # mixture and diffusion
    (
        OPS + "mixture.py",
        "np.maximum(logs.max(axis=1, keepdims=True), np.finfo(x.dtype).min)",
        "logs.max(axis=1, keepdims=True)",
        SPECIAL + "a_mixture_too_far_for_its_squares_has_log_density_minus_infinity_and_no_score[reference.ops-2-True-float32]",
    ),
    (
        OPS + "mixture.py",
        "np.log(weights) - log_det",
        "np.log(weights) + log_det",
        VALUES + "mixture_log_density_is_scipys",
    ),
    (
        OPS + "mixture.py",
        "scores = -np",
        "scores = np",
        VALUES + "mixture_score_is_the_mean_of_the_components_scores_under_their_responsibilities",
    ),
    (
        OPS + "mixture.py",
        "np.linalg.solve(factors.swapaxes(1, 2), z)",
        "np.linalg.solve(factors, z)",
        VALUES + "mixture_score_is_the_mean_of_the_components_scores_under_their_responsibilities",
    ),
    (OPS + "diffusion.py", '+ per_sample("b", b, x)', '- per_sample("b", b, x)', VALUES + "reverse_step_is_its_formula_sample_by_sample"),
    # networks
    (NETWORKS + "unet.py", "conv(name, dh + dskips.pop(),", "conv(name, dh + 0 * dskips.pop(),", UNET),
    (NETWORKS + "unet.py", "de = de + other", "de = other", UNET),
    (NETWORKS + "blocks.py", "return dx + dshortcut, de", "return dx, de", UNET),
    (NETWORKS + "blocks.py", "return dx + dy", "return dx", UNET),
    (NETWORKS + "blocks.py", "(dn_q + dn_k + dn_v)", "(dn_q + dn_v)", UNET),
    (
        NETWORKS + "blocks.py",
        "ops.linear_backward(\n        dt.reshape(t.shape[0], t.shape[3])",
        "ops.linear_backward(-dt.reshape(t.shape[0], t.shape[3])",
        UNET,
    ),
    (NETWORKS + "blocks.py", "and not layer.endswith(zero)", "", END_TO_END + "network_begins_by_predicting_exactly_zero"),
    (
        NETWORKS + "mlp.py",
        "da = ops.silu_second(dh_dot, pre_dots[layer], pre[layer])",
        "da = 0 * ops.silu_second(dh_dot, pre_dots[layer], pre[layer])",
        END_TO_END + "gradient_of_jvp_in_every_parameter_in_x_and_in_v",
    ),
    (
        NETWORKS + "mlp.py",
        "dw[: len(dw_dot)] += dw_dot",
        "dw[: len(dw_dot)] += 0",
        END_TO_END + "gradient_of_jvp_in_every_parameter_in_x_and_in_v",
    ),
    (NETWORKS + "blocks.py", "if layer else dh\n", "if layer > 1 else dh\n", END_TO_END + "gradient_of_every_parameter_and_of_x[deep]"),
    # what holds of every op
    (
        OPS + "resample.py",
        "return dy[..., :c].copy(), dy[..., c:].copy()",
        "return dy[..., :c], dy[..., c:]",
        CALLS + "results_of_two_calls_are_memory_of_their_own[reference.ops-concat_backward]",
    ),
    (
        OPS + "checks.py",
        "        return out\n",
        "        return results\n",
        CALLS + "out_is_filled_and_returned[reference.ops-silu-asarray]",
    ),
    (OPS + "checks.py", "    target[...] = result\n", "", CALLS + "out_is_filled_and_returned[reference.ops-silu-asarray]"),
    (OPS + "embedding.py", "half)).astype(dtype)", "half))", CALLS + "dtype_in_is_dtype_out[reference.ops-timestep_embedding-float32]"),
    (
        OPS + "loss.py",
        '    check("mean[b,...] log_var[b,...]", mean, log_var)\n',
        '    check("mean[b,...] log_var[b,...]", mean, log_var)\n    mean += 1\n',
        CALLS + "arguments_are_not_modified[reference.ops-gaussian_kl]",
    ),
    (
        OPS + "norm.py",
        "mean = d.mean(axis=(1, 3), keepdims=True)",
        "mean = d.mean(axis=(1, 3), keepdims=True) + 0 * d.sum()",
        CALLS + "non_finite_sample_shows_and_leaves_other_samples_alone[reference.ops-group_norm-nan]",
    ),
)
