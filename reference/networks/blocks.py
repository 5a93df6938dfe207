"""The parts of networks, each forward beside its backward: a stack of linear layers, and the
residual and attention blocks of a U-Net; and initial parameters.

A block finds its parameters in the dictionary ``params`` by its name.  The forward returns y and
``saved`` for the backward; the backward adds its gradients to the dictionary ``gradients``, under
the same names.

The backward passes follow from two rules; each block's docstring applies them.

    1. Chain: if y = f(h) and h = g(x), then dh = f_backward(dy) and dx = g_backward(dh).
    2. Sum: if x enters y in several places, dx is the sum of the gradients from all of them.
"""

from itertools import pairwise

import numpy as np

from reference.ops.random import Purpose, normal


def init_params(shapes, zero, seed, dtype):
    """Initial parameters for a dictionary of shapes.  Weights are N(0, 1/fan-in), so that a linear
    layer keeps the scale of its input.  Embedding tables are N(0, 1), scales 1, shifts and biases
    0.

    The weights of the layers whose names end in a word of ``zero`` are 0.  A network names there
    the last layers of all residual branches, and its own last layer: every block begins as the
    identity, and the network predicts 0 (Ho et al. 2020).
    """
    params = {}
    for index, (name, shape) in enumerate(shapes.items()):
        layer, _, kind = name.rpartition(".")
        if kind == "w" and not layer.endswith(zero):
            draw = normal(seed, np.array([index]), 0, Purpose.INIT, shape, np.float64)[0]
            params[name] = (draw / np.sqrt(np.prod(shape[:-1]))).astype(dtype)
        elif kind == "table":
            params[name] = normal(seed, np.array([index]), 0, Purpose.INIT, shape, dtype)[0]
        else:
            params[name] = np.full(shape, kind == "scale", dtype)
    return params


def takes_labels(network):
    """Does the network need labels, numbers of classes or the tokens of captions?"""
    return bool(network.classes or getattr(network, "vocabulary", 0))


def check_labels_given(network, labels):
    """ValueError unless labels are given exactly if the network takes them."""
    needed = takes_labels(network)
    if needed != (labels is not None):
        has = f"{network.classes} classes" if network.classes or not needed else "a vocabulary"
        raise ValueError(f"labels must {'' if needed else 'not '}be given: the network has {has}")


def sum_of(gradients):
    """The gradient of an array that enters several blocks, from the gradients of all of them."""
    total = gradients[0]
    for other in gradients[1:]:
        total = total + other
    return total


class DiscardCache(dict):
    """A dictionary that stays empty: it takes the place of ``saved`` if no backward follows."""

    def __setitem__(self, name, value):
        pass


def layer_shapes(name, *shape):
    """Weights and bias of a linear layer [i,o] or a convolution [k,k,i,o]."""
    return {f"{name}.w": shape, f"{name}.b": shape[-1:]}


def norm_shapes(name, channels):
    """Scale and shift of a group norm."""
    return {f"{name}.scale": (channels,), f"{name}.shift": (channels,)}


def mlp_layers_shapes(name, widths):
    """Shapes of the layers ``name``.0, ``name``.1 ..: layer l maps widths[l] to widths[l + 1]
    channels.
    """
    shapes: dict = {}
    for layer, (i, o) in enumerate(pairwise(widths)):
        shapes |= layer_shapes(f"{name}.{layer}", i, o)
    return shapes


def mlp_layers(params, name, h, depth, ops):
    """``depth`` linear layers, each followed by SiLU, and a last linear layer:

        a_l = h_{l-1} W_l + b_l,   h_l = silu(a_l)   for l = 1 .. depth,   y = h_depth W + b.

    h_0[b,i] -> y[b,o], saved = ([h_0 .. h_depth], [a_1 .. a_depth]).
    """
    hs, pre = [], []
    for layer in range(depth):
        hs.append(h)
        pre.append(ops.linear(h, params[f"{name}.{layer}.w"], params[f"{name}.{layer}.b"]))
        h = ops.silu(pre[-1])
    hs.append(h)
    return ops.linear(h, params[f"{name}.{depth}.w"], params[f"{name}.{depth}.b"]), (hs, pre)


def mlp_layers_backward(params, name, dy, saved, gradients, ops):
    """dy[b,o] -> dh_0[b,i].  From the last layer to the first,

    da_l = dh_l ∘ silu'(a_l)   (in the last layer, which has no SiLU, dy takes its place),
    dh_{l-1} = da_l W_lᵀ,   dW_l = h_{l-1}ᵀ da_l,   db_l = sum of da_l over the batch.
    """
    hs, pre = saved
    d = dy
    for layer in reversed(range(len(hs))):
        dh, dw, db = ops.linear_backward(d, hs[layer], params[f"{name}.{layer}.w"])
        gradients |= {f"{name}.{layer}.w": dw, f"{name}.{layer}.b": db}
        d = ops.silu_backward(dh, pre[layer - 1]) if layer else dh
    return d


def residual_shapes(name, i, o, embedding):
    """Shapes of a residual block from i to o channels.  The embedding e has ``embedding`` channels;
    with 0 there is none.
    """
    shapes = norm_shapes(f"{name}.norm1", i)
    shapes |= layer_shapes(f"{name}.conv1", 3, 3, i, o)
    if embedding:
        shapes |= layer_shapes(f"{name}.time_emb_proj", embedding, o)
    shapes |= norm_shapes(f"{name}.norm2", o)
    shapes |= layer_shapes(f"{name}.conv2", 3, 3, o, o)
    return shapes | (layer_shapes(f"{name}.conv_shortcut", 1, 1, i, o) if i != o else {})


def residual_block(params, name, x, e, groups, ops, eps=1e-5):
    """y = conv2(silu(norm2(h))) + shortcut(x),  h = conv1(silu(norm1(x))) + proj(e).

    x[b,h,w,i], e[b,d] -> y[b,h,w,o], saved.  e is the embedding of time and class; proj is the
    linear layer ``time_emb_proj``.  If e is None, h is conv1 alone.
    """
    p = lambda leaf: params[f"{name}.{leaf}"]
    g1, mean1, rstd1 = ops.group_norm_silu(x, p("norm1.scale"), p("norm1.shift"), groups, eps)
    t = None
    if e is not None:
        t = ops.linear(e, p("time_emb_proj.w"), p("time_emb_proj.b"))
        t = t.reshape(t.shape[0], 1, 1, t.shape[1])
    h = ops.conv2d(g1, p("conv1.w"), p("conv1.b"), add=t)
    g2, mean2, rstd2 = ops.group_norm_silu(h, p("norm2.scale"), p("norm2.shift"), groups, eps)
    shortcut = x
    if f"{name}.conv_shortcut.w" in params:
        shortcut = ops.conv2d(x, p("conv_shortcut.w"), p("conv_shortcut.b"))
    y = ops.conv2d(g2, p("conv2.w"), p("conv2.b"), add=shortcut)
    return y, (x, e, t, mean1, rstd1, g1, h, mean2, rstd2, g2)


def residual_block_backward(params, name, dy, saved, groups, gradients, ops):
    """dy[b,h,w,o] -> dx[b,h,w,i], de[b,d] (None without e).

    With g1 = silu(norm1(x)), h = conv1(g1) + t, t = proj(e), g2 = silu(norm2(h)) and
    y = conv2(g2) + shortcut(x), from the last line to the first:

        dg2 = conv2_backward(dy),   dh = norm2_silu_backward(dg2),   dg1 = conv1_backward(dh),
        dt  = sum of dh over the pixels (t is broadcast),   de = proj_backward(dt),
        dx  = norm1_silu_backward(dg1) + shortcut_backward(dy),

    the last by the sum rule, as x enters y twice.  If i = o, the shortcut is the identity.
    """
    p = lambda leaf: params[f"{name}.{leaf}"]
    x, e, t, mean1, rstd1, g1, h, mean2, rstd2, g2 = saved
    dg2, dw2, db2, _ = ops.conv2d_backward(dy, g2, p("conv2.w"))
    dh, dscale2, dshift2 = ops.group_norm_silu_backward(
        dg2, h, p("norm2.scale"), p("norm2.shift"), groups, mean2, rstd2
    )
    dg1, dw1, db1, dt = ops.conv2d_backward(dh, g1, p("conv1.w"), add=t)
    de = None
    if e is not None:
        dt = dt.reshape(t.shape[0], t.shape[3])
        de, dw_t, db_t = ops.linear_backward(dt, e, p("time_emb_proj.w"))
        gradients |= {f"{name}.time_emb_proj.w": dw_t, f"{name}.time_emb_proj.b": db_t}
    dx, dscale1, dshift1 = ops.group_norm_silu_backward(
        dg1, x, p("norm1.scale"), p("norm1.shift"), groups, mean1, rstd1
    )
    dshortcut = dy
    if f"{name}.conv_shortcut.w" in params:
        dshortcut, dw_s, db_s, _ = ops.conv2d_backward(dy, x, p("conv_shortcut.w"))
        gradients |= {f"{name}.conv_shortcut.w": dw_s, f"{name}.conv_shortcut.b": db_s}
    gradients |= {f"{name}.norm1.scale": dscale1, f"{name}.norm1.shift": dshift1}
    gradients |= {f"{name}.conv1.w": dw1, f"{name}.conv1.b": db1}
    gradients |= {f"{name}.norm2.scale": dscale2, f"{name}.norm2.shift": dshift2}
    gradients |= {f"{name}.conv2.w": dw2, f"{name}.conv2.b": db2}
    return dx + dshortcut, de


def attention_shapes(name, channels):
    """Shapes of an attention block."""
    shapes = norm_shapes(f"{name}.group_norm", channels)
    for layer in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= layer_shapes(f"{name}.{layer}", channels, channels)
    return shapes


def attention_block(params, name, x, groups, head_width, ops, eps=1e-5):
    """Attention between all pixels of an image: x[b,h,w,c] -> y[b,h,w,c], saved.

    y = out(attention(q(n), k(n), v(n))) + x,   n = norm(x).

    A head has ``head_width`` channels; None: all c.
    """
    p = lambda leaf: params[f"{name}.{leaf}"]
    b, h, w, c = x.shape
    n, mean, rstd = ops.group_norm(x, p("group_norm.scale"), p("group_norm.shift"), groups, eps)
    n = n.reshape(b * h * w, c)
    q = ops.linear(n, p("to_q.w"), p("to_q.b")).reshape(b, h * w, c)
    k = ops.linear(n, p("to_k.w"), p("to_k.b")).reshape(b, h * w, c)
    v = ops.linear(n, p("to_v.w"), p("to_v.b")).reshape(b, h * w, c)
    a, logsumexp = ops.attention(q, k, v, c // (head_width or c))
    y = ops.linear(a.reshape(b * h * w, c), p("to_out.0.w"), p("to_out.0.b")).reshape(x.shape)
    return y + x, (x, mean, rstd, n, q, k, v, a, logsumexp)


def attention_block_backward(params, name, dy, saved, groups, head_width, gradients, ops):
    """dy[b,h,w,c] -> dx[b,h,w,c].

    da = out_backward(dy),   (dq, dk, dv) = attention_backward(da),
    dn = q_backward(dq) + k_backward(dk) + v_backward(dv),   as n enters three layers,
    dx = norm_backward(dn) + dy,                             as x enters y twice.
    """
    p = lambda leaf: params[f"{name}.{leaf}"]
    x, mean, rstd, n, q, k, v, a, logsumexp = saved
    flat, c = n.shape, n.shape[1]
    heads = c // (head_width or c)
    da, dw_o, db_o = ops.linear_backward(dy.reshape(flat), a.reshape(flat), p("to_out.0.w"))
    dq, dk, dv = ops.attention_backward(da.reshape(a.shape), q, k, v, heads, a, logsumexp)
    dn_q, dw_q, db_q = ops.linear_backward(dq.reshape(flat), n, p("to_q.w"))
    dn_k, dw_k, db_k = ops.linear_backward(dk.reshape(flat), n, p("to_k.w"))
    dn_v, dw_v, db_v = ops.linear_backward(dv.reshape(flat), n, p("to_v.w"))
    dn = (dn_q + dn_k + dn_v).reshape(x.shape)
    dx, dscale, dshift = ops.group_norm_backward(
        dn, x, p("group_norm.scale"), p("group_norm.shift"), groups, mean, rstd
    )
    gradients |= {f"{name}.group_norm.scale": dscale, f"{name}.group_norm.shift": dshift}
    gradients |= {f"{name}.to_q.w": dw_q, f"{name}.to_q.b": db_q}
    gradients |= {f"{name}.to_k.w": dw_k, f"{name}.to_k.b": db_k}
    gradients |= {f"{name}.to_v.w": dw_v, f"{name}.to_v.b": db_v}
    gradients |= {f"{name}.to_out.0.w": dw_o, f"{name}.to_out.0.b": db_o}
    return dx + dy


def halving_convolution(params, name, x, padding, ops):
    """A convolution with stride 2 that halves an image with even sides: x[b,h,w,c] ->
    y[b,h/2,w/2,c].

    In each direction, with kernel w_0, w_1, w_2 and zeros outside of x_0 .. x_{n-1},

        padding 1:   y_i = sum_k w_k x_{2i+k-1},     padding 0:   y_i = sum_k w_k x_{2i+k}.

    The op has padding 1.  Padding 0 is the same on flipped arrays: with x'_j = x_{n-1-j},
    w'_k = w_{2-k} and y'_i = y_{n/2-1-i},

        y'_i = sum_k w_k x_{n-2-2i+k} = sum_k w_k x'_{2i+1-k} = sum_k w'_k x'_{2i+k-1}.
    """
    w, b = params[f"{name}.w"], params[f"{name}.b"]
    if padding:
        return ops.conv2d(x, w, b, stride=2)
    return flipped_images(ops.conv2d(flipped_images(x), w[::-1, ::-1], b, stride=2))


def halving_convolution_backward(params, name, dy, x, padding, gradients, ops):
    """dy[b,h/2,w/2,c] -> dx[b,h,w,c].  A flip is a permutation and its own inverse: the gradient of
    a flipped array is the flipped gradient.
    """
    w = params[f"{name}.w"]
    if padding:
        dx, dw, db, _ = ops.conv2d_backward(dy, x, w, 2)
    else:
        dx, dw, db, _ = ops.conv2d_backward(flipped_images(dy), flipped_images(x), w[::-1, ::-1], 2)
        dx, dw = flipped_images(dx), dw[::-1, ::-1]
    gradients |= {f"{name}.w": dw, f"{name}.b": db}
    return dx


def flipped_images(x):
    """x[b,h,w,c], upside down and left to right."""
    return x[:, ::-1, ::-1]
