"""PyTorch, eager and compiled: diffusers' UNet2DModel and an MLP with the workload's weights, fused Adam, a fused moving average."""

from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.peers import particles
from benchmarks.peers.restoration import STEPS
from reference.conformance.call import result_names
from reference.diffusion.training import ema_decay
from reference.networks import MLP, UNet
from reference.runs import diffusers_format

set_threads = torch.set_num_threads


def prepare(workload, channels_last=False, compiled=False, device="cpu"):
    torch.set_default_device(device)
    # on CUDA cuDNN's fastest float32 convolution, without TF32 and its 11-bit significand
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False
    maybe_compiled = (lambda f: torch.compile(f, dynamic=False)) if compiled else lambda f: f
    kinds = {"Training": training, "Forward": forward, "Backward": backward, "Sampling": sampling}
    kinds |= {"GuidedSampling": guided_sampling, "Particles": particle_steps, "MatMul": matmul, "Op": op}
    kinds |= {"PiGDM": restoration, "DDRM": restoration}
    layout = Layout(torch.channels_last if channels_last else torch.contiguous_format)
    results, call = kinds[type(workload).__name__](workload, layout, maybe_compiled)
    return results, call if device == "cpu" else lambda: (call(), torch.cuda.synchronize())


class Layout:
    """Converts arrays [b,...] to tensors and back; tensors of images are [b,c,h,w], in one of two memory formats."""

    def __init__(self, memory_format):
        self.memory_format = memory_format

    def tensor(self, array):
        if array.ndim != 4:
            return torch.tensor(array)
        return torch.tensor(array.transpose(0, 3, 1, 2)).contiguous(memory_format=self.memory_format)

    def array(self, tensor):
        array = tensor.detach().cpu().numpy()
        return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array

    def noise(self, shape):
        """Normal noise for a tensor [b,...] of points, or of images in this memory format."""
        if len(shape) == 4 and self.memory_format == torch.channels_last:
            b, c, h, w = shape
            return torch.randn(b, h, w, c).permute(0, 3, 1, 2)
        return torch.randn(shape)


class MLPModel(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        widths = [network.entries + network.embedding, *[network.width] * network.depth, network.entries]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in pairwise(widths))
        half = network.embedding // 2
        self.register_buffer("frequencies", torch.tensor(10000.0 ** (-np.arange(half) / half), dtype=torch.float32), persistent=False)

    def forward(self, x, c):
        angles = c[:, None] * self.frequencies
        h = torch.cat((x, torch.cos(angles), torch.sin(angles)), dim=1)
        for layer in self.layers[:-1]:
            h = F.silu(layer(h))
        return self.layers[-1](h)


class UNetModel(torch.nn.Module):
    """A UNet2DModel that takes tensors and returns one."""

    def __init__(self, network):
        from diffusers import UNet2DModel

        super().__init__()
        self.unet = UNet2DModel.from_config(diffusers_format.config_of(network))

    def forward(self, x, c, labels=None):
        return self.unet(x, c, labels, return_dict=False)[0]


def build_model(workload, layout):
    network, arrays = workload.network, diffusers_format.to_diffusers_arrays(workload.parameters())
    model: Any = {MLP: MLPModel, UNet: UNetModel}[type(network)](network)
    inner = model.unet if isinstance(model, UNetModel) else model
    inner.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return model.to(memory_format=layout.memory_format), inner


def training(workload, layout, maybe_compiled, parallel=lambda model: model, rank=0, count=1):
    """``parallel(model)`` averages gradients over ``count`` processes, of which each has its part of a batch."""
    model, inner = build_model(workload, layout)
    model, batch = parallel(model), workload.settings.batch // count
    part = slice(rank * batch, (rank + 1) * batch)
    data, T, settings = layout.tensor(workload.data()), workload.model.schedule.T, workload.settings
    tables, classes = list(map(torch.tensor, workload.tables())), workload.network.classes
    names, parameters = zip(*inner.named_parameters())

    @maybe_compiled
    def loss_of(x0, t, noise, *labels):
        signal, noise_scale, input_scale, condition = (table[t] for table in tables)
        column = lambda a: a.view(-1, *[1] * (x0.dim() - 1))
        x = (column(signal) * x0 + column(noise_scale) * noise) * column(input_scale)
        return F.mse_loss(model(x, condition, *labels), noise)

    class Run:
        """Parameters, Adam's moments and the average, from the beginning."""

        def __init__(self):
            self.adam = torch.optim.Adam(parameters, lr=settings.lr, fused=True)
            self.average, self.step = [p.detach().clone() for p in parameters], 0

        def advance(self, indices, t, noise, *labels):
            self.step += 1
            loss = loss_of(data[indices], t, noise, *labels)
            loss.backward()
            self.adam.step()
            self.adam.zero_grad(set_to_none=True)
            torch._foreach_lerp_(self.average, list(parameters), 1 - ema_decay(settings.ema, self.step))
            return loss.item()

    def results():
        start, run, losses = deepcopy(inner.state_dict()), Run(), []
        for step in range(1, workload.steps + 1):
            losses.append(run.advance(*[layout.tensor(drawn[part]) for drawn in workload.draws(step)]))
        ours = lambda tensors: diffusers_format.from_diffusers_arrays(
            workload.network, {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, tensors)}
        )
        gradients = ours([run.adam.state[p]["exp_avg"] for p in parameters])
        inner.load_state_dict(start)
        return {"losses": {"loss": np.array(losses, np.float32)}, "gradients": gradients, "average": ours(run.average)}

    run = Run()
    all_labels: Any = torch.tensor(workload.labels(len(data))) if classes else None

    def call():
        indices, t = torch.randint(len(data), (batch,)), torch.randint(1, T + 1, (batch,))
        draws = [indices, t, layout.noise((batch, *data.shape[1:]))]
        if classes:
            draws.append(torch.where(torch.rand(batch) < settings.label_dropout, classes - 1, all_labels[indices]))
        run.advance(*draws)

    return results, call


def forward(workload, layout, maybe_compiled):
    model, (x, c) = maybe_compiled(build_model(workload, layout)[0]), map(layout.tensor, workload.inputs())

    @torch.inference_mode()
    def call():
        return model(x, c)

    return lambda: {"output": {"y": layout.array(call())}}, call


def backward(workload, layout, maybe_compiled):
    """Many backward passes of one forward pass, so the arrays that it saves must not be overwritten."""
    from torch._functorch import config

    config.donated_buffer = False
    (model, inner), (x, c), dy = build_model(workload, layout), map(layout.tensor, workload.inputs()), layout.tensor(workload.upstream())
    names, parameters = zip(*inner.named_parameters())
    y = maybe_compiled(model)(x.requires_grad_(), c)
    call = lambda: torch.autograd.grad(y, (x, *parameters), dy, retain_graph=True)

    def results():
        dx, *gradients = call()
        theirs = {name: gradient.cpu().numpy() for name, gradient in zip(names, gradients)}
        return {"input": {"dx": layout.array(dx)}, "gradients": diffusers_format.from_diffusers_arrays(workload.network, theirs)}

    return results, call


def sampling(workload, layout, maybe_compiled):
    model, x_T, rows = build_model(workload, layout)[0], layout.tensor(workload.prior()), workload.coefficients()
    rows = [tuple(map(torch.tensor, row)) for row in torch.tensor(rows, dtype=torch.float32).tolist()]

    @maybe_compiled
    def step(x, scale, condition, a, b):
        return a * x + b * model(scale * x, condition.expand(len(x)))

    @torch.inference_mode()
    def call():
        x = x_T
        for row in rows:
            x = step(x, *row)
        return x

    return lambda: {"samples": {"x": layout.array(call())}}, call


def guided_sampling(workload, layout, maybe_compiled):
    """Both predictions of a step come from one call of the model."""
    model, x_T = build_model(workload, layout)[0], layout.tensor(workload.prior())
    labels = torch.tensor(workload.labels(len(x_T)))
    both = torch.cat((labels, torch.full_like(labels, workload.network.classes - 1)))
    rows = [tuple(map(torch.tensor, row)) for row in torch.tensor(workload.coefficients(), dtype=torch.float32).tolist()]

    @maybe_compiled
    def step(x, x0_before, scale, condition, a, b, slope, c, d):
        z = scale * x
        conditional, unconditional = model(torch.cat((z, z)), condition.expand(len(both)), both).chunk(2)
        x0 = a * x + b * torch.lerp(unconditional, conditional, workload.guidance)
        return c * x + d * (x0 + slope * (x0 - x0_before)), x0

    @torch.inference_mode()
    def call():
        x, x0 = x_T, torch.zeros_like(x_T)
        for row in rows:
            x, x0 = step(x, x0, *row)
        return x

    return lambda: {"samples": {"x": layout.array(call())}}, call


def restoration(workload, layout, maybe_compiled):
    """Jᵀ v by autograd; the parameters need no gradients."""
    model, x_T = build_model(workload, layout)[0].requires_grad_(False), layout.tensor(workload.prior())
    y, given = layout.tensor(workload.measurement), list(map(layout.tensor, workload.noises()))
    rows = [tuple(map(torch.tensor, row)) for row in torch.tensor(workload.coefficients(), dtype=torch.float32).tolist()]
    A, A_plus = (lambda x: F.avg_pool2d(x, workload.factor)), (lambda y: F.interpolate(y, scale_factor=workload.factor))

    @maybe_compiled
    def posterior_mean(x, scale, condition, a, b):
        return a * x + b * model(scale * x, condition.expand(len(x)))

    @torch.enable_grad()
    def mean_and_pullback(x, *level):
        x = x.detach().requires_grad_()
        mean = posterior_mean(x, *level)
        return mean.detach(), lambda v: torch.autograd.grad(mean, x, v)[0]

    kind = type(workload).__name__
    step = partial(STEPS[kind], {"PiGDM": mean_and_pullback, "DDRM": posterior_mean}[kind], A, A_plus)

    @torch.no_grad()
    def call(noises=None):
        x = x_T
        for n, row in enumerate(rows):
            x = step(x, noises[n] if noises else layout.noise(x.shape), y, row)
        return x

    return lambda: {"samples": {"x": layout.array(call(given))}}, call


def particle_steps(workload, layout, maybe_compiled):
    """Its own noise comes from torch.randn outside of the compiled step: inside, the compiler's version takes four times as long."""
    x_T, rows = particles.coordinates(workload.prior(), torch.tensor), particles.tables(workload, torch.tensor)
    step = maybe_compiled(lambda x, noise, row: particles.step(torch, x, noise, *row))
    noises = [] if workload.own else [particles.coordinates(noise, torch.tensor) for noise in workload.noises()]

    @torch.inference_mode()
    def call():
        x = x_T
        for n, row in enumerate(rows):
            x = step(x, [torch.randn(workload.count) for _ in x] if workload.own else noises[n % len(noises)], row)
        return x

    return lambda: particles.results(workload, call()), call


def matmul(workload, layout, maybe_compiled):
    x, w, b = map(torch.tensor, workload.inputs())

    @torch.inference_mode()
    def call():
        return torch.addmm(b, x, w)

    return lambda: {"matmul": {"y": call().cpu().numpy()}}, call


def op(workload, layout, maybe_compiled):
    """Forward by ``F``, backward by autograd.  Weights have the axes of PyTorch's layers."""
    args, (dy, *_) = workload.arguments()
    function, weights = OPS[workload.op]
    arrays, options = ([a for a in args if a is not None and isinstance(a, np.ndarray) == kind] for kind in (True, False))
    there = lambda n, array: torch.tensor(array.transpose(weights).copy()) if weights and n == 1 else layout.tensor(array)
    leaves, upstream = [there(n, array).requires_grad_() for n, array in enumerate(arrays)], layout.tensor(dy)
    forward = maybe_compiled(lambda *leaves: function(*leaves, *options))

    def call():
        for leaf in leaves:
            leaf.grad = None
        y = forward(*leaves)
        y.backward(upstream)
        return y

    def results():
        y = layout.array(call())
        back = lambda n, grad: grad.cpu().numpy().transpose(np.argsort(weights)) if weights and n == 1 else layout.array(grad)
        gradients = dict(zip(result_names(f"{workload.op}_backward"), (back(n, leaf.grad) for n, leaf in enumerate(leaves))))
        return {"forward": {"y": y}, "backward": gradients}

    return results, call


def attention(q, k, v, heads):
    split = lambda x: x.view(*x.shape[:2], heads, -1).transpose(1, 2)
    return F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2)


OPS: dict = {  # the function, and the permutation of our weights' axes to PyTorch's
    "linear": (F.linear, (1, 0)),
    "conv2d": (lambda x, w, b, stride: F.conv2d(x, w, b, stride, padding=w.shape[-1] // 2), (3, 2, 0, 1)),
    "group_norm_silu": (lambda x, scale, shift, groups, eps: F.silu(F.group_norm(x, groups, scale, shift, eps)), None),
    "attention": (attention, None),
    "silu": (F.silu, None),
}
