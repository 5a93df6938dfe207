"""Captions as a condition: a text encoder, and attention from the pixels of an image to the tokens
of its caption (cross-attention; Rombach et al. 2022).

The encoder gives every token of a caption a vector, which depends on the word and on its place:

    t_i = E[token_i] + P[i],    E[vocabulary,d] and P[length,d] learned.

Cross-attention has the queries from the pixels, keys and values from the tokens:

    y = x + out(attention(q(n), k(t), v(t))),    n = norm(x),

over the tokens that count: ``mask``[b,m] is False for the padding, which therefore changes nothing.

Without cross-attention, the mean of the vectors of the tokens that count enters the network as a
class does: by a linear layer, in the time embedding.
"""

import numpy as np

from reference.networks.blocks import layer_shapes, norm_shapes

PAD, NULL = 0, 1  # the token behind the last word, and the one token of no caption


def check_text_fields(network):
    """ValueError unless vocabulary, length of captions and width of vectors are allowed."""
    if network.vocabulary and network.classes:
        raise ValueError("the network must have classes or a vocabulary, not both")
    given = network.vocabulary, network.caption_length, network.text_width
    if given[0] < 0 or min(given[1:]) < 1:
        raise ValueError(
            "vocabulary must be at least 0, caption_length and text_width at least 1, got"
            f" {', '.join(map(str, given))}"
        )


def text_encoder_shapes(name, vocabulary, length, width):
    """Shapes of an encoder for captions of ``length`` tokens, with vectors of ``width`` entries."""
    return {
        f"{name}.token_embedding.table": (vocabulary, width),
        f"{name}.position_embedding.table": (length, width),
    }


def text_encoder(params, name, tokens, ops):
    """tokens[b,m], integers -> t[b,m,d], saved."""
    table = params[f"{name}.token_embedding.table"]
    places = params[f"{name}.position_embedding.table"]
    if tokens.shape[1:] != places.shape[:1]:
        raise ValueError(f"tokens must have shape (b, {len(places)}), got {tokens.shape}")
    t = ops.embedding(tokens.reshape(-1), table).reshape(*tokens.shape, -1)
    return t + places, tokens


def text_encoder_backward(params, name, dt, saved, gradients, ops):
    """dt[b,m,d] -> gradients alone, as tokens have none.

    Row k of E enters at every place with the token k, as in ``embedding``; P[i] enters in every
    caption, so dP[i] is the sum of dt_i over the batch.
    """
    table, tokens = params[f"{name}.token_embedding.table"], saved
    flat = dt.reshape(-1, dt.shape[2])
    gradients[f"{name}.token_embedding.table"] = ops.embedding_backward(
        flat, tokens.reshape(-1), table
    )
    gradients[f"{name}.position_embedding.table"] = dt.sum(axis=0)


def text_mean(params, name, t, mask, ops):
    """t[b,m,d], mask[b,m] -> a row[b,i] to add to the time embedding, saved: the linear layer of
    the mean of t over the tokens that count.

    The mean is attention with a query of zeros: all scores are 0, and so all shares are equal.
    """
    b, _, d = t.shape
    q = ops.add_noise(t[:, :1], 0.0, 0.0, t[:, :1])  # zeros, by an op
    mean, logsumexp = ops.attention(q, t, t, 1, mask)
    row = ops.linear(mean.reshape(b, d), params[f"{name}.mean.w"], params[f"{name}.mean.b"])
    return row, (q, t, mean, logsumexp, mask)


def text_mean_backward(params, name, drow, saved, gradients, ops):
    """drow[b,i] -> dt[b,m,d]: that of the values.  The query does not depend on t, and the
    gradient of the keys is 0, as the query is.
    """
    q, t, mean, logsumexp, mask = saved
    flat = mean.reshape(len(t), -1)
    dmean, dw, db = ops.linear_backward(drow, flat, params[f"{name}.mean.w"])
    gradients |= {f"{name}.mean.w": dw, f"{name}.mean.b": db}
    return ops.attention_backward(dmean.reshape(mean.shape), q, t, t, 1, mean, logsumexp, mask)[2]


def cross_name(name):
    """The name of the block that follows the attention block ``name``."""
    return name.replace("attentions", "cross_attentions")


def cross_attention_shapes(name, channels, width):
    """Shapes of a block for images with ``channels`` and token vectors of ``width`` entries."""
    shapes = norm_shapes(f"{name}.group_norm", channels)
    for layer, i in (("to_q", channels), ("to_k", width), ("to_v", width), ("to_out.0", channels)):
        shapes |= layer_shapes(f"{name}.{layer}", i, channels)
    return shapes


def cross_attention_block(params, name, x, t, mask, groups, head_width, ops, eps=1e-5):
    """Attention from all pixels to the tokens: x[b,h,w,c], t[b,m,d], mask[b,m] -> y[b,h,w,c],
    saved.  A head has ``head_width`` channels; None: all c.
    """
    p = lambda leaf: params[f"{name}.{leaf}"]
    b, h, w, c = x.shape
    _, m, d = t.shape
    n, mean, rstd = ops.group_norm(x, p("group_norm.scale"), p("group_norm.shift"), groups, eps)
    n, words = n.reshape(b * h * w, c), t.reshape(b * m, d)
    q = ops.linear(n, p("to_q.w"), p("to_q.b")).reshape(b, h * w, c)
    k = ops.linear(words, p("to_k.w"), p("to_k.b")).reshape(b, m, c)
    v = ops.linear(words, p("to_v.w"), p("to_v.b")).reshape(b, m, c)
    a, logsumexp = ops.attention(q, k, v, c // (head_width or c), mask)
    y = ops.linear(a.reshape(b * h * w, c), p("to_out.0.w"), p("to_out.0.b")).reshape(x.shape)
    return y + x, (x, mean, rstd, n, words, q, k, v, a, logsumexp, mask)


def cross_attention_block_backward(params, name, dy, saved, groups, head_width, gradients, ops):
    """dy[b,h,w,c] -> dx[b,h,w,c], dt[b,m,d].

    da = out_backward(dy),   (dq, dk, dv) = attention_backward(da),
    dn = q_backward(dq),     dx = norm_backward(dn) + dy,            as x enters y twice,
    dt = k_backward(dk) + v_backward(dv),                            as t enters two layers.

    dk and dv of a token that does not count are 0, and so is its dt.
    """
    p = lambda leaf: params[f"{name}.{leaf}"]
    x, mean, rstd, n, words, q, k, v, a, logsumexp, mask = saved
    c, (b, m, _) = n.shape[1], k.shape
    heads = c // (head_width or c)

    def linear(leaf, dy, x):
        dx, dw, db = ops.linear_backward(dy.reshape(-1, c), x, p(f"{leaf}.w"))
        gradients[f"{name}.{leaf}.w"], gradients[f"{name}.{leaf}.b"] = dw, db
        return dx

    da = linear("to_out.0", dy, a.reshape(n.shape)).reshape(a.shape)
    dq, dk, dv = ops.attention_backward(da, q, k, v, heads, a, logsumexp, mask)
    dn = linear("to_q", dq, n).reshape(x.shape)
    dt = linear("to_k", dk, words) + linear("to_v", dv, words)
    dx, dscale, dshift = ops.group_norm_backward(
        dn, x, p("group_norm.scale"), p("group_norm.shift"), groups, mean, rstd
    )
    gradients |= {f"{name}.group_norm.scale": dscale, f"{name}.group_norm.shift": dshift}
    return dx + dy, dt.reshape(b, m, -1)


def attention_of_tokens(saved, head_width):
    """The share of every token in the attention of every pixel, the mean over the heads: p[b,h,w,m]
    of a ``cross_attention_block``, from its ``saved``.  Each pixel's shares sum to 1, and a token
    that does not count has none.
    """
    x, *_, q, k, _, _, logsumexp, mask = saved
    b, _, c = q.shape
    heads = c // (head_width or c)
    split = lambda array: array.reshape(b, -1, heads, c // heads).transpose(0, 2, 1, 3)
    scale = q.dtype.type((c // heads) ** -0.5)
    scores = (scale * split(q)) @ split(k).swapaxes(-1, -2)
    shares = np.where(mask[:, None, None], np.exp(scores - logsumexp[..., None]), 0)
    return shares.mean(axis=1).reshape(*x.shape[:3], -1)
