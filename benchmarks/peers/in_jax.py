"""JAX: whole steps under jit, with the buffers of replaced arrays donated."""

import dataclasses
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import jax_ops, particles
from benchmarks.peers.restoration import STEPS
from reference.conformance.call import result_names
from reference.diffusion.training import ema_decay
from reference.networks import MLP, UNet


def set_threads(threads):
    """XLA uses one thread for each processor of the process, and worker.py limits these to the number of threads."""


def prepare(workload, platform="cpu"):
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # leaves memory of the device to other processes
    jax.config.update("jax_platforms", platform)
    jax.config.update("jax_default_matmul_precision", "highest")  # float32 products on CUDA, not TF32 with its 11-bit significand
    kinds = {"Training": training, "Forward": forward, "Sampling": sampling, "Particles": particle_steps}
    kinds |= {"Backward": backward, "GuidedSampling": guided_sampling, "FokkerPlanck": fokker_planck, "MatMul": matmul, "Op": op}
    kinds |= {"PiGDM": restoration, "DDRM": restoration}
    return kinds[type(workload).__name__](workload)


def to_jax(tree):
    return jax.tree.map(jnp.asarray, tree)


class MLPModel(MLP):
    def _check(self, x, c, labels):
        """The reference's checks accept NumPy arrays only."""


class UNetModel(UNet):
    _check = MLPModel._check


def forward_function(workload):
    """The forward pass (params, x, c, labels) -> y of the workload's network."""
    network = workload.network
    fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    wiring = {MLP: MLPModel, UNet: UNetModel}[type(network)](**fields)
    return lambda params, x, c, labels=None: wiring.forward(params, x, c, jax_ops, labels)[0]


def training(workload):
    network, data, settings = forward_function(workload), jnp.asarray(workload.data()), workload.settings
    tables, T = to_jax(workload.tables()), workload.model.schedule.T
    classes, all_labels = workload.network.classes, to_jax(workload.labels(len(data)))

    def loss_of(params, x0, t, noise, *labels):
        signal, noise_scale, input_scale, condition = (table[t] for table in tables)
        column = lambda a: a.reshape(-1, *[1] * (x0.ndim - 1))
        x = (column(signal) * x0 + column(noise_scale) * noise) * column(input_scale)
        return jnp.square(network(params, x, condition, *labels) - noise).mean()

    @jax.jit
    def draw(step):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), step), 4)
        indices = jax.random.randint(keys[0], (settings.batch,), 0, len(data))
        times = jax.random.randint(keys[1], (settings.batch,), 1, T + 1)
        draws = indices, times, jax.random.normal(keys[2], (settings.batch, *data.shape[1:]))
        if not classes:
            return draws
        dropped = jax.random.bernoulli(keys[3], settings.label_dropout, (settings.batch,))
        return *draws, jnp.where(dropped, classes - 1, all_labels[indices])

    def advance(state, coefficients, indices, t, noise, *labels):
        (params, m, v, average), (first, second, decay) = state, coefficients
        loss, gradients = jax.value_and_grad(loss_of)(params, data[indices], t, noise, *labels)
        m = jax.tree.map(lambda m, g: 0.9 * m + (1 - 0.9) * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + (1 - 0.999) * g * g, v, gradients)
        params = jax.tree.map(lambda p, m, v: p - settings.lr * (m / first) / (jnp.sqrt(v / second) + 1e-8), params, m, v)
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        return (params, m, v, average), loss

    advance = jax.jit(advance, donate_argnums=0)

    def begin():
        """Parameters, Adam's moments and the average, in separate arrays: a buffer can be donated only once."""
        copies = [jax.tree.map(jnp.array, workload.parameters()) for _ in range(4)]
        zeros = [jax.tree.map(jnp.zeros_like, copy) for copy in copies[1:3]]
        return copies[0], *zeros, copies[3]

    def take(state, step, draws):
        """One step.  Coefficients of the step are computed in float64: in float32 1 - 0.999^n would lose five of seven digits."""
        return advance(state, np.array((1 - 0.9**step, 1 - 0.999**step, ema_decay(settings.ema, step)), np.float32), *draws)

    def results():
        state, losses = begin(), []
        for step in range(1, workload.steps + 1):
            state, loss = take(state, step, to_jax(workload.draws(step)))
            losses.append(loss)
        arrays = lambda tree: {name: np.asarray(a) for name, a in tree.items()}
        return {"losses": {"loss": np.array(losses, np.float32)}, "gradients": arrays(state[1]), "average": arrays(state[3])}

    state, step = begin(), 0

    def call():
        nonlocal state, step
        step += 1
        state, loss = take(state, step, draw(step))
        jax.block_until_ready((state, loss))

    return results, call


def forward(workload):
    network, params, inputs = jax.jit(forward_function(workload)), to_jax(workload.parameters()), to_jax(workload.inputs())
    call = lambda: network(params, *inputs).block_until_ready()
    return lambda: {"output": {"y": np.asarray(call())}}, call


def backward(workload):
    network, params, (x, c) = forward_function(workload), to_jax(workload.parameters()), to_jax(workload.inputs())
    dy = jnp.asarray(workload.upstream())
    pullback = jax.jit(lambda params, x: jax.vjp(lambda params, x: network(params, x, c), params, x)[1])(params, x)
    back = jax.jit(lambda pullback, dy: pullback(dy))
    call = lambda: jax.block_until_ready(back(pullback, dy))

    def results():
        gradients, dx = call()
        return {"input": {"dx": np.asarray(dx)}, "gradients": {name: np.asarray(g) for name, g in gradients.items()}}

    return results, call


def sampling(workload):
    network, params, x_T = forward_function(workload), to_jax(workload.parameters()), jnp.asarray(workload.prior())
    rows = jnp.asarray(workload.coefficients(), jnp.float32)

    @jax.jit
    def sample(params, x, rows):
        def step(x, row):
            scale, condition, a, b = row
            return a * x + b * network(params, scale * x, jnp.full(len(x), condition)), None

        return jax.lax.scan(step, x, rows)[0]

    call = lambda: sample(params, x_T, rows).block_until_ready()
    return lambda: {"samples": {"x": np.asarray(call())}}, call


def guided_sampling(workload):
    """Both predictions of a step come from one call of the network."""
    network, params, x_T = forward_function(workload), to_jax(workload.parameters()), jnp.asarray(workload.prior())
    rows, labels = jnp.asarray(workload.coefficients(), jnp.float32), jnp.asarray(workload.labels(len(x_T)))
    both = jnp.concatenate((labels, jnp.full_like(labels, workload.network.classes - 1)))

    @jax.jit
    def sample(params, x, rows):
        def step(state, row):
            (x, x0_before), (scale, condition, a, b, slope, c, d) = state, row
            y = network(params, jnp.concatenate((scale * x, scale * x)), jnp.full(len(both), condition), both)
            conditional, unconditional = jnp.split(y, 2)
            x0 = a * x + b * (workload.guidance * conditional + (1 - workload.guidance) * unconditional)
            return (c * x + d * (x0 + slope * (x0 - x0_before)), x0), None

        return jax.lax.scan(step, (x, jnp.zeros_like(x)), rows)[0][0]

    call = lambda: sample(params, x_T, rows).block_until_ready()
    return lambda: {"samples": {"x": np.asarray(call())}}, call


def restoration(workload):
    network, params, x_T = forward_function(workload), to_jax(workload.parameters()), jnp.asarray(workload.prior())
    rows, y = jnp.asarray(workload.coefficients(), jnp.float32), jnp.asarray(workload.measurement)
    f, given, kind = workload.factor, jnp.asarray(np.stack(workload.noises())), type(workload).__name__

    def A(x):
        b, h, w, c = x.shape
        return x.reshape(b, h // f, f, w // f, f, c).mean(axis=(2, 4))

    def A_plus(y):
        return y.repeat(f, axis=1).repeat(f, axis=2)

    @jax.jit
    def sample(params, x, y, rows, noises):
        def posterior_mean(x, scale, condition, a, b):
            return a * x + b * network(params, scale * x, jnp.full(len(x), condition))

        def mean_and_pullback(x, *level):
            mean, pullback = jax.vjp(lambda x: posterior_mean(x, *level), x)
            return mean, lambda v: pullback(v)[0]

        step = partial(STEPS[kind], {"PiGDM": mean_and_pullback, "DDRM": posterior_mean}[kind], A, A_plus)
        return jax.lax.scan(lambda x, inputs: (step(x, inputs[0], y, inputs[1]), None), x, (noises, rows))[0]

    draw = jax.jit(lambda: jax.random.normal(jax.random.key(0), given.shape))
    call = lambda: sample(params, x_T, y, rows, draw()).block_until_ready()
    return lambda: {"samples": {"x": np.asarray(sample(params, x_T, y, rows, given))}}, call


def particle_steps(workload):
    """With its own noise the loop over the steps is compiled, too; with given noise XLA would run that loop on one thread."""
    x_T, rows = particles.coordinates(workload.prior(), jnp.asarray), particles.tables(workload, jnp.asarray)

    @jax.jit
    def step(x, noise, row):
        return particles.step(jnp, x, noise, *row)

    @jax.jit
    def run(x, rows):
        def own_step(n, x):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(0), n), len(x))
            return step(x, [jax.random.normal(key, part.shape) for key, part in zip(keys, x)], [part[n] for part in rows])

        return jax.lax.fori_loop(0, workload.steps, own_step, x)

    stacked = [jnp.stack(parts) for parts in zip(*rows)]
    noises = [] if workload.own else [particles.coordinates(noise, jnp.asarray) for noise in workload.noises()]

    def call():
        if workload.own:
            return jax.block_until_ready(run(x_T, stacked))
        x = x_T
        for n, row in enumerate(rows):
            x = step(x, noises[n % len(noises)], row)
        return jax.block_until_ready(x)

    return lambda: particles.results(workload, call()), call


def fokker_planck(workload):
    jax.config.update("jax_enable_x64", True)
    inputs = workload.inputs()
    p, drift, diffusion = map(jnp.asarray, inputs[:3])
    dx, dt = inputs[3:]

    @jax.jit
    def step(p, drift, diffusion):
        """The step of reference/ops/fokker_planck.py, with zero flux through the outer faces."""
        B = jnp.gradient(diffusion, dx) - drift
        w = jnp.abs(B) * dx / diffusion
        both = diffusion / dx**2 * jnp.where(w == 0, 1, w / jnp.expm1(jnp.where(w == 0, 1, w)))
        to_left, to_right = ((dt / 2 * (both + jnp.maximum(sign * B, 0) / dx)).at[jnp.array((0, -1))].set(0) for sign in (1, -1))
        flux = to_left[1:-1] * p[1:] - to_right[1:-1] * p[:-1]
        right = p + jnp.diff(flux, prepend=0, append=0)
        solved = jax.lax.linalg.tridiagonal_solve(-to_right[:-1], 1 + to_right[1:] + to_left[:-1], -to_left[1:], right[:, None])
        return solved[:, 0]

    def results():
        q = p
        for _ in range(workload.steps):
            q = step(q, drift, diffusion)
        return {"density": {"p": np.asarray(q)}}

    def call():
        nonlocal p
        p = step(p, drift, diffusion).block_until_ready()

    return results, call


def op(workload):
    args, (dy, *_) = workload.arguments()
    arrays, options = ([a for a in args if a is not None and isinstance(a, np.ndarray) == kind] for kind in (True, False))
    arrays, dy = to_jax((arrays, dy))

    @jax.jit
    def both(arrays, dy):
        """y, the first of the op's results, and the gradients."""
        results = lambda *arrays: getattr(jax_ops, workload.op)(*arrays, *options)
        y, pullback = jax.vjp(lambda *arrays: jax.tree.leaves(results(*arrays))[0], *arrays)
        return y, pullback(dy)

    call = lambda: jax.block_until_ready(both(arrays, dy))

    def results():
        y, gradients = call()
        names = result_names(f"{workload.op}_backward")
        return {"forward": {"y": np.asarray(y)}, "backward": dict(zip(names, map(np.asarray, gradients)))}

    return results, call


def matmul(workload):
    x, w, b = to_jax(workload.inputs())
    linear = jax.jit(jax_ops.linear)
    call = lambda: linear(x, w, b).block_until_ready()
    return lambda: {"matmul": {"y": np.asarray(call())}}, call
