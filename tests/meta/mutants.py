"""Known mistakes in ops and networks: (file, exact old text, new text, test that must fail).

``test_mutants.py`` collects the MUTANTS of every ``mutants*.py`` here.  Choose a test that takes at most two seconds.
"""

OPS, NETWORKS = "reference/ops/", "reference/networks/"
COORDINATES = "tests/reference/test_gradients.py::test_gradient_in_every_coordinate"
GRADIENTS = "tests/reference/test_gradients.py::test_"
LAYERS = "tests/reference/test_layer_ops.py::test_"
LOSSES = "tests/reference/test_loss_and_optimizer_ops.py::test_"
STEPS = "tests/reference/test_mixture_and_diffusion_ops.py::test_"
RANDOM = "tests/reference/test_random.py::test_"
CALLS = "tests/conformance/test_calls.py::test_"
SPECIAL = "tests/conformance/test_ops.py::test_"
END_TO_END = "tests/reference/test_networks.py::test_"
UNET = END_TO_END + "gradient_of_all_parameters_and_x_together[plain]"
PUBLISHED = END_TO_END + "gradient_of_all_parameters_and_x_together[published]"
HALVED = END_TO_END + "an_image_is_halved_with_zeros_on_the_sides_that_padding_names"

MUTANTS = (
    # linear and conv2d
    (OPS + "linear.py", "dw = x.T @ dy", "dw = (dy.T @ x).reshape(w.shape)", COORDINATES + "[linear]"),
    (OPS + "linear.py", "db = dy.sum(axis=0)", "db = 0 * dy.sum(axis=0)", COORDINATES + "[linear]"),
    (OPS + "conv.py", "db = flat.sum(axis=0)", "db = flat.mean(axis=0)", COORDINATES + "[conv2d]"),
    (
        OPS + "conv.py",
        "return windows.transpose(",
        "return windows[..., ::-1, ::-1].transpose(",
        LAYERS + "conv2d_equals_scipys_correlation[5-7]",
    ),
    (OPS + "conv.py", "(0, 1, 2, 4, 5, 3)", "(0, 1, 2, 5, 4, 3)", LAYERS + "conv2d_equals_scipys_correlation[5-7]"),
    (
        OPS + "conv.py",
        "[:, ::stride, ::stride]",
        "[:, stride - 1 :: stride, stride - 1 :: stride]",
        LAYERS + "conv2d_equals_its_equation[3-2-2-4]",
    ),
    (
        OPS + "conv.py",
        "((0, 0), (p, p), (p, p), (0, 0))",
        "((0, 0), (0, 2 * p), (0, 2 * p), (0, 0))",
        LAYERS + "conv2d_equals_scipys_correlation[7-5]",
    ),
    (OPS + "conv.py", "(p, p), (0, 0)))", '(p, p), (0, 0)), "edge")', LAYERS + "conv2d_equals_scipys_correlation[7-5]"),
    (
        OPS + "conv.py",
        "dy.sum(axis=(1, 2), keepdims=True)",
        "dy.mean(axis=(1, 2), keepdims=True)",
        GRADIENTS + "gradient_of_conv2d_with_unequal_sides_and_channels[per channel-3-1-5-7]",
    ),
    (OPS + "conv.py", "padded[:, rows, columns] += dpatches", "padded[:, rows, columns] = dpatches", COORDINATES + "[conv2d]"),
    (OPS + "conv.py", "    if add is not None:\n        y += add\n", "", LAYERS + "conv2d_adds_its_add_argument[pixels0]"),
    # norms
    (OPS + "norm.py", "dx = d - d.mean(axis=(1, 3), keepdims=True)", "dx = d.copy()", COORDINATES + "[group_norm]"),
    (
        OPS + "norm.py",
        "dx -= x_hat * (d * x_hat).mean(axis=(1, 3), keepdims=True)",
        "dx -= 0 * x_hat",
        COORDINATES + "[group_norm]",
    ),
    (
        OPS + "norm.py",
        "dscale = (dy * x_hat.reshape(x.shape)).sum(",
        "dscale = (dy * x_hat.reshape(x.shape)).mean(",
        COORDINATES + "[group_norm]",
    ),
    (
        OPS + "norm.py",
        "np.square(a - mean).mean(axis=(1, 3), keepdims=True)",
        "a.var(axis=(1, 3), keepdims=True, ddof=1)",
        LAYERS + "group_norm_equals_a_loop_over_groups[1e-05-2]",
    ),
    (
        OPS + "norm.py",
        "np.sqrt(variance + s * s * entries.dtype.type(eps))",
        "(np.sqrt(variance) + s * s * entries.dtype.type(eps))",
        LAYERS + "group_norm_equals_a_loop_over_groups[1e-05-2]",
    ),
    (
        OPS + "norm.py",
        "x.reshape(len(x), pixels, groups, x.shape[-1] // groups)",
        "x.reshape(len(x), pixels, x.shape[-1] // groups, groups).swapaxes(2, 3)",
        LAYERS + "group_norm_equals_a_loop_over_groups[1e-05-2]",
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
        SPECIAL + "group_norm_of_a_constant_group_is_its_shift_with_no_scale_gradient[reference.ops-7-1-12345.678-float32]",
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
    # attention
    (OPS + "attention.py", "(dp - (dy * y).sum(axis=-1, keepdims=True))", "dp", COORDINATES + "[attention]"),
    (OPS + "attention.py", "s: Array = (f * q) @", "s: Array = q @", LAYERS + "attention_equals_a_loop_over_heads_and_rows[2]"),
    (OPS + "attention.py", "dk = f * (ds", "dk = (ds", COORDINATES + "[attention]"),
    (OPS + "attention.py", "np.log(total)", "np.log2(total)", LAYERS + "attention_equals_a_loop_over_heads_and_rows[2]"),
    (
        OPS + "attention.py",
        "x.reshape(b, n, heads, c // heads).transpose(0, 2, 1, 3)",
        "x.reshape(b, n, c // heads, heads).transpose(0, 3, 1, 2)",
        LAYERS + "attention_equals_a_loop_over_heads_and_rows[2]",
    ),
    # resample and embedding
    (OPS + "resample.py", ").sum(axis=(2, 4))", ").mean(axis=(2, 4))", COORDINATES + "[upsample_nearest]"),
    (OPS + "resample.py", "dx: Array = upsample_nearest(dy) / 4", "dx: Array = upsample_nearest(dy)", COORDINATES + "[average_pool]"),
    (
        OPS + "embedding.py",
        "(np.cos(angles), np.sin(angles))",
        "(np.sin(angles), np.cos(angles))",
        LAYERS + "timestep_embedding_has_cosines_first_and_geometric_frequencies",
    ),
    (
        OPS + "embedding.py",
        "-np.arange(half) / (half - shift)",
        "-np.arange(half) / (half - 1 - shift)",
        LAYERS + "timestep_embedding_has_cosines_first_and_geometric_frequencies",
    ),
    (OPS + "embedding.py", "(half - shift)", "half", LAYERS + "a_shift_of_one_ends_the_frequencies_at_exactly_1e_4"),
    (OPS + "embedding.py", "np.add.at(dtable, labels, dy)", "dtable[labels] = dy", COORDINATES + "[embedding]"),
    # losses
    (OPS + "loss.py", "(2 * (y - target) / n)", "((y - target) / n)", COORDINATES + "[mse]"),
    (
        OPS + "loss.py",
        "(np.expm1(log_var) - log_var)",
        "(np.expm1(log_var) + log_var)",
        LOSSES + "gaussian_kl_is_the_integral_of_the_log_ratio",
    ),
    (OPS + "loss.py", "d * (np.expm1(log_var) / 2)", "d * (np.exp(log_var) / 2)", COORDINATES + "[gaussian_kl]"),
    # optimizer
    (OPS + "optimizer.py", "m_hat = m / p.dtype.type(1 - beta1**step)", "m_hat = m", LOSSES + "adam_equals_the_textbook_algorithm"),
    (OPS + "optimizer.py", "v_hat = v / p.dtype.type(1 - beta2**step)", "v_hat = v", LOSSES + "adam_equals_the_textbook_algorithm"),
    (OPS + "optimizer.py", "beta1 * m + (1 - beta1) * g", "beta2 * m + (1 - beta2) * g", LOSSES + "adam_equals_the_textbook_algorithm"),
    (OPS + "optimizer.py", "(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)", LOSSES + "adam_equals_the_textbook_algorithm"),
    (
        OPS + "optimizer.py",
        "decay * average + (1 - decay) * p",
        "(1 - decay) * average + decay * p",
        LOSSES + "ema_equals_the_geometric_sum",
    ),
    # random
    (OPS + "random.py", "M0, M1 =", "M1, M0 =", RANDOM + "philox_gives_the_published_outputs"),
    (OPS + "random.py", "W0, W1 =", "W1, W0 =", RANDOM + "philox_gives_the_published_outputs"),
    (OPS + "random.py", "range(10)", "range(9)", RANDOM + "philox_gives_the_published_outputs"),
    (
        OPS + "random.py",
        "np.broadcast_arrays(block, sample_column,",
        "np.broadcast_arrays(sample_column, block,",
        RANDOM + "entry_e_of_a_sample_is_word_e_mod_4_of_block_e_div_4",
    ),
    (
        OPS + "random.py",
        "words.reshape(len(sample), 4 * blocks)",
        "words.swapaxes(1, 2).reshape(len(sample), 4 * blocks)",
        RANDOM + "entry_e_of_a_sample_is_word_e_mod_4_of_block_e_div_4",
    ),
    (OPS + "random.py", "(seed & 0xFFFFFFFF, seed >> 32)", "(seed & 0xFFFFFFFF, 0)", RANDOM + "other_seeds_give_other_bits"),
    (OPS + "random.py", "(bits + 0.5) * 2.0**-32", "bits * 2.0**-32", RANDOM + "uniforms_are_the_midpoints_of_their_cells"),
    (
        OPS + "random.py",
        "(r * np.cos(angle), r * np.sin(angle))",
        "(r * np.sin(angle), r * np.cos(angle))",
        RANDOM + "normals_equal_box_and_muller",
    ),
    # mixture and diffusion
    (
        OPS + "mixture.py",
        "np.maximum(logs.max(axis=1, keepdims=True), np.finfo(x.dtype).min)",
        "logs.max(axis=1, keepdims=True)",
        SPECIAL + "mixture_at_overflowing_distance_has_density_0_and_nan_score[reference.ops-2-True-float32]",
    ),
    (
        OPS + "mixture.py",
        "np.log(weights) - log_det",
        "np.log(weights) + log_det",
        STEPS + "mixture_log_density_equals_scipys",
    ),
    (
        OPS + "mixture.py",
        "scores = -np",
        "scores = np",
        STEPS + "mixture_score_is_the_responsibility_weighted_mean_of_scores",
    ),
    (
        OPS + "mixture.py",
        "np.linalg.solve(factors.swapaxes(1, 2), z)",
        "np.linalg.solve(factors, z)",
        STEPS + "mixture_score_is_the_responsibility_weighted_mean_of_scores",
    ),
    (
        OPS + "diffusion.py",
        '+ per_sample("b", b, x)',
        '- per_sample("b", b, x)',
        STEPS + "reverse_step_equals_its_formula_for_every_sample",
    ),
    # networks
    (NETWORKS + "unet.py", "halving(name, dh + dskips.pop())", "halving(name, dh + 0 * dskips.pop())", UNET),
    (NETWORKS + "blocks.py", "total = total + other", "total = other", UNET),
    (NETWORKS + "blocks.py", "conv2d(flipped_images(x), w[::-1, ::-1]", "conv2d(flipped_images(x), w", HALVED + "[0]"),
    (NETWORKS + "blocks.py", "dx, dw = flipped_images(dx), dw[::-1, ::-1]", "dx = flipped_images(dx)", PUBLISHED),
    (NETWORKS + "blocks.py", "dx, dw = flipped_images(dx), dw[::-1, ::-1]", "dw = dw[::-1, ::-1]", PUBLISHED),
    (NETWORKS + "blocks.py", "return x[:, ::-1, ::-1]", "return x[:, ::-1]", HALVED + "[0]"),
    (NETWORKS + "blocks.py", "return dx + dshortcut, de", "return dx, de", UNET),
    (NETWORKS + "blocks.py", "return dx + dy", "return dx", UNET),
    (NETWORKS + "blocks.py", "(dn_q + dn_k + dn_v)", "(dn_q + dn_v)", UNET),
    (
        NETWORKS + "blocks.py",
        "    dt = dt.reshape(t.shape[0], t.shape[3])",
        "    dt = -dt.reshape(t.shape[0], t.shape[3])",
        UNET,
    ),
    (NETWORKS + "blocks.py", "and not layer.endswith(zero)", "", END_TO_END + "an_untrained_network_predicts_exactly_zero"),
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
    # rules for every op
    (
        OPS + "resample.py",
        "return dy[..., :c].copy(), dy[..., c:].copy()",
        "return dy[..., :c], dy[..., c:]",
        CALLS + "two_calls_return_separate_memory[reference.ops-concat_backward]",
    ),
    (
        OPS + "checks.py",
        "        return out\n",
        "        return results\n",
        CALLS + "out_is_filled_and_returned[reference.ops-silu-asarray]",
    ),
    (OPS + "checks.py", "    target[...] = result\n", "", CALLS + "out_is_filled_and_returned[reference.ops-silu-asarray]"),
    (OPS + "embedding.py", "shift))).astype(dtype)", "shift)))", CALLS + "dtype_in_is_dtype_out[reference.ops-timestep_embedding-float32]"),
    (
        OPS + "loss.py",
        '    check("mean[b,...] log_var[b,...]", mean, log_var)\n',
        '    check("mean[b,...] log_var[b,...]", mean, log_var)\n    mean += 1\n',
        CALLS + "arguments_are_not_modified[reference.ops-gaussian_kl]",
    ),
    (
        OPS + "norm.py",
        "mean = a.mean(axis=(1, 3), keepdims=True)",
        "mean = a.mean(axis=(1, 3), keepdims=True) + 0 * a.sum()",
        CALLS + "non_finite_input_makes_only_its_own_sample_non_finite[reference.ops-group_norm-nan]",
    ),
)
