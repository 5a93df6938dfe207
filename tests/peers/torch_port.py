"""A port made of PyTorch on the CPU: its kernels forward, its autograd and its kernels backward.

    pytest tests/conformance --port tests/peers/torch_port.py

``op`` turns a function on tensors into an op of the contract.  What the contract has and this file has not is reported as missing.
"""

import functools

import numpy as np
import torch
from torch.nn import functional as F

from reference.conformance.call import bind_arguments
from reference.conformance.contract import OPS
from reference.ops.attention import check_mask
from reference.ops.checks import check, takes_out

aten = torch.ops.aten


def op(function):
    """Arrays are checked against the contract's row; ValueError for arrays that PyTorch refuses; results are new memory."""
    name = function.__name__
    words = OPS[name].arguments.split()

    @takes_out
    @functools.wraps(function)
    def on_arrays(*args, **kwargs):
        args = bind_arguments(name, args, kwargs)
        given = {word: argument for word, argument in zip(words, args) if "[" in word and argument is not None}
        check(" ".join(given), *given.values())
        try:
            results = function(*(torch.from_numpy(np.array(a, order="C")) if isinstance(a, np.ndarray) else a for a in args))
        except (RuntimeError, IndexError) as error:
            raise ValueError(str(error)) from None
        return tuple(map(to_numpy, results)) if isinstance(results, tuple) else to_numpy(results)

    return on_arrays


def to_numpy(tensor):
    return None if tensor is None else tensor.detach().contiguous().numpy()


def gradients(function, dy, *inputs):
    """Of ``function`` at the inputs, by autograd."""
    inputs = [tensor.requires_grad_() for tensor in inputs]
    return torch.autograd.grad(function(*inputs), inputs, dy)


def channels_first(x):
    """NHWC -> NCHW, or a group norm's [b,...,c] -> [b,c,...]."""
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


# Products.


@op
def linear(x, w, b):
    return F.linear(x, w.T, b)


@op
def linear_backward(dy, x, w):
    return gradients(lambda x, w, b: F.linear(x, w.T, b), dy, x, w, dy.new_zeros(w.shape[1]))


def _conv2d(x, w, b, stride, add=None):
    if min(x.shape[1:3]) < 1:
        raise ValueError(f"x must have at least one pixel, got shape {tuple(x.shape)}")
    y = channels_last(F.conv2d(channels_first(x), w.permute(3, 2, 0, 1).contiguous(), b, stride, padding=w.shape[0] // 2))
    return y if add is None else y + add


@op
def conv2d(x, w, b, stride, add):
    return _conv2d(x, w, b, stride, add)


@op
def conv2d_backward(dy, x, w, stride, add):
    inputs = (x, w, dy.new_zeros(w.shape[3])) + (() if add is None else (add,))
    found = gradients(lambda x, w, b, add=None: _conv2d(x, w, b, stride, add), dy, *inputs)
    return found if add is not None else (*found, None)


@op
def embedding_backward(dy, labels, table):
    return aten.embedding_dense_backward(dy, labels.long(), len(table), -1, False)


# Norms.


def _beside(statistic, x):
    """[b,g] -> [b,..,g,1], to broadcast against x[b,...,c] with its channels in groups."""
    b, groups = statistic.shape
    return statistic.reshape(b, *[1] * (x.ndim - 2), groups, 1)


def _normalised(x, groups, mean, rstd):
    return ((x.unflatten(-1, (groups, -1)) - _beside(mean, x)) * _beside(rstd, x)).flatten(-2)


def _group_norm(x, scale, shift, groups, eps):
    """F.group_norm computes x (rstd scale) + (shift - mean rstd scale), and exceeds its tolerance where x hardly differs from its mean."""
    entries, over = x.unflatten(-1, (groups, -1)), (*range(1, x.ndim - 1), -1)
    mean = entries.mean(over)
    rstd = torch.rsqrt((entries - _beside(mean, x)).square().mean(over) + eps)
    return _normalised(x, groups, mean, rstd) * scale + shift, mean, rstd


def _group_norm_backward(dy, x, scale, groups, mean, rstd):
    dy, images = channels_first(dy).contiguous(), channels_first(x).contiguous()
    sizes = len(x), x.shape[-1], int(np.prod(x.shape[1:-1])), groups
    dx, dscale, dshift = aten.native_group_norm_backward(dy, images, mean, rstd, scale, *sizes, [True, True, True])
    return channels_last(dx), dscale, dshift


@op
def group_norm(x, scale, shift, groups, eps):
    return _group_norm(x, scale, shift, groups, eps)


@op
def group_norm_backward(dy, x, scale, shift, groups, mean, rstd):
    return _group_norm_backward(dy, x, scale, groups, mean, rstd)


@op
def group_norm_silu(x, scale, shift, groups, eps):
    y, mean, rstd = _group_norm(x, scale, shift, groups, eps)
    return F.silu(y), mean, rstd


@op
def group_norm_silu_backward(dy, x, scale, shift, groups, mean, rstd):
    y = _normalised(x, groups, mean, rstd) * scale + shift
    return _group_norm_backward(aten.silu_backward(dy, y), x, scale, groups, mean, rstd)


# Activations.


@op
def silu(x):
    return F.silu(x)


@op
def silu_backward(dy, x):
    return aten.silu_backward(dy, x)


@op
def silu_second(dy, v, x):
    def first(x):
        return torch.autograd.grad(F.silu(x), x, v, create_graph=True)[0]

    return gradients(first, dy, x)[0]


@op
def softmax(x):
    if x.shape[-1] == 0:
        raise ValueError("x must have at least one entry on its last axis")
    return torch.softmax(x, -1)


# Attention.


def _split(x, heads):
    """x[b,n,c] -> [b,heads,n,c/heads]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join(x):
    return x.transpose(1, 2).flatten(2)


def _masked(k, v, mask):
    """0 or -infinity for each key, [b,1,1,m], and k and v with zeros at the keys that do not count."""
    mask = k.new_ones(k.shape[:2], dtype=torch.bool) if mask is None else mask
    check_mask(mask.numpy())
    bias = k.new_zeros(mask.shape).masked_fill(~mask, -torch.inf)
    return bias[:, None, None], *(x.masked_fill(~mask[:, :, None], 0) for x in (k, v))


@op
def attention(q, k, v, heads, mask):
    """F.scaled_dot_product_attention answers 0 to a query of NaN."""
    bias, k, v = _masked(k, v, mask)
    q, k, v = (_split(x, heads) for x in (q, k, v))
    s = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
    return _join(torch.softmax(s, -1) @ v), torch.logsumexp(s, -1)


@op
def attention_backward(dy, q, k, v, heads, y, logsumexp, mask):
    bias, k, v = _masked(k, v, mask)
    dy, q, k, v, y = (_split(x, heads) for x in (dy, q, k, v, y))
    bias = bias.expand(-1, -1, q.shape[2], -1)
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    return tuple(map(_join, backward(dy, q, k, v, y, logsumexp, 0.0, False, attn_mask=bias)))


# Changes of resolution, and concatenation.


def _upsample_nearest(x):
    return channels_last(F.interpolate(channels_first(x), scale_factor=2))


def _average_pool(x):
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"x must have even height and width to be halved, got shape {tuple(x.shape)}")
    return channels_last(F.avg_pool2d(channels_first(x), 2))


@op
def upsample_nearest(x):
    return _upsample_nearest(x)


@op
def upsample_nearest_backward(dy):
    b, h, w, c = dy.shape
    return gradients(_upsample_nearest, dy, dy.new_zeros(b, h // 2, w // 2, c))[0]


@op
def average_pool(x):
    return _average_pool(x)


@op
def average_pool_backward(dy):
    b, h, w, c = dy.shape
    return gradients(_average_pool, dy, dy.new_zeros(b, 2 * h, 2 * w, c))[0]


@op
def concat(x, y):
    return torch.cat((x, y), dim=-1)


@op
def concat_backward(dy, x, y):
    dx, dy = dy.split((x.shape[-1], y.shape[-1]), dim=-1)
    return dx.clone(), dy.clone()


# Embeddings.


@op
def timestep_embedding(c, width, shift=0):
    if width < 2 or width % 2:
        raise ValueError(f"width must be an even number from 2 on, got {width}")
    if not 0 <= shift < width // 2:
        raise ValueError(f"shift must lie in 0 .. {width // 2 - 1}, got {shift}")
    frequencies = torch.logspace(0, -4, width // 2 - shift + 1, dtype=c.dtype)[: width // 2]
    angles = torch.outer(c, frequencies)
    return torch.cat((angles.cos(), angles.sin()), dim=1)


@op
def embedding(labels, table):
    return F.embedding(labels.long(), table)


# Losses.


def _refuse_empty(y):
    if not y.numel():
        raise ValueError(f"a loss needs at least one sample and one entry, got shape {tuple(y.shape)}")


def _mse(y, target):
    _refuse_empty(y)
    return F.mse_loss(y, target, reduction="none").reshape(len(y), -1).mean(dim=1)


@op
def mse(y, target):
    per_sample = _mse(y, target)
    return per_sample.mean(), per_sample


@op
def mse_backward(d_per_sample, y, target):
    return gradients(lambda y: _mse(y, target), d_per_sample, y)[0]


@op
def gaussian_kl(mean, log_var):
    _refuse_empty(mean)
    return ((mean.square() + (log_var.expm1() - log_var)) / 2).reshape(len(mean), -1).sum(dim=1)


@op
def gaussian_kl_backward(d_per_sample, mean, log_var):
    """By autograd the second would be e^log_var - 1, which has no digits where log_var is small."""
    _refuse_empty(mean)
    d = d_per_sample.reshape(-1, *[1] * (mean.ndim - 1))
    return d * mean, d * log_var.expm1() / 2


def _cross_entropy(logits, labels):
    _refuse_empty(logits)
    return F.cross_entropy(logits, labels.long(), reduction="none")


@op
def cross_entropy(logits, labels):
    per_sample = _cross_entropy(logits, labels)
    return per_sample.mean(), per_sample


@op
def cross_entropy_backward(d_per_sample, logits, labels):
    return gradients(lambda logits: _cross_entropy(logits, labels), d_per_sample, logits)[0]
