"""# Test vectors

Inputs and outputs of every op, at small sizes and a few large ones, and of a training step of two
small networks, for a port in another language.

`vectors.json` has one case a line, between a line that ends in `[` and one that begins with `]`:

    {"op": "linear", "case": "linear.float32.1", "dtype": "float32",
     "arguments": {"x": {"tensor": "linear.float32.1.arguments.x"}, "w": {...}, "b": null},
     "results": {"y": {"tensor": "linear.float32.1.results.y", "largest entry": [1.1e-05, 1.3e-05],
     "rms": 7.1e-06}}}

`vectors.safetensors` has the tensors by name: eight bytes with the length of a JSON header,
little-endian; the header, which maps each name to its dtype, its shape and the offsets of its first
byte and of the byte behind its last; then the data, little-endian, with the last axis running
fastest.

An argument is

- `{"tensor": NAME}`, an array, in the case's dtype, of integers or of bytes 0 (false) and 1 (true);
  a list of these is a list of arrays;
- a number, or true or false; a whole number from 2^53 on is in quotes, because JavaScript would
  round it;
- null: the argument is left out;
- `{"seed": .., "sample": {"tensor": NAME}, "step": .., "purpose": ..}` in place of noise: the array
  that `normal` draws with these arguments;
- in `shape` a list of numbers, and in `dtype` a name.

A result has the case's dtype and the shape of its tensor, or is null. The tensor holds the exact
result in float64; for an op of the rule `copy` or `bits` it has the case's dtype. A result must
pass all of the checks that it has:

- `largest entry`: the largest allowed error of an entry. One number for all entries, or a number a
  sample: for all entries with the same first index;
- `rms`: the largest allowed root of the mean square error over the tensor.

An op whose name ends in `_` works in place: its results are some of its arguments, as it leaves
them. `ops` at the head of `vectors.json` has every op's arguments and results in their order, with
their axes, and its rule. `reference/ops/` defines each op in a comment above its code.

`training_step_mlp` and `training_step_unet` are training steps of the networks in
`reference/networks/`, with the sizes in `network`. x = signal x0 + noise_scale noise, with one
coefficient a sample. The network predicts the noise from input_scale x and its time input c. The
loss is the mean square error of the prediction, and `per_sample` that of each sample. The further
results are the gradients and their norm, and the weights, average and moments after the step of
Adam and of the average (`ema`, by `decay`). t and noise are the draws of seed 0 at that step for
samples 0 to 3.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

import reference
from reference import ops
from reference.conformance.call import argument_names, bind_arguments, cast, result_names
from reference.conformance.contract import CONTRACT, OPS
from reference.conformance.op_inputs import RandomArrays, fixed_inputs, random_parameters
from reference.conformance.tolerances import network_tolerances, tolerances
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.forward_process import forward
from reference.diffusion.schedules import linear
from reference.diffusion.training import (
    Settings,
    State,
    ema_decay,
    loss_and_gradient,
    update,
)
from reference.networks import MLP, UNet
from reference.ops import Key
from reference.runs.checkpoint import PARTS

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
NETWORKS = {
    "training_step_mlp": MLP(size=(2,), width=5, depth=2, embedding=4),
    "training_step_unet": UNet(size=(4, 4), channels=(4, 8), groups=2, head_width=4),
}
BATCH, STEP = 4, 10


class OpVectors:
    """Cases, as JSON takes them, and tensors by name."""

    def __init__(self):
        self.cases: list[dict] = []
        self.tensors: dict[str, np.ndarray] = {}

    def add(self, op, dtype, arguments, checks, names):
        """Add one case: arguments by name, the ``names`` of all results, and ``checks``, the
        tolerances of the results that are not None.
        """
        number = sum(case["op"] == op and case["dtype"] == str(dtype) for case in self.cases)
        case = f"{op}.{dtype}.{number}"
        results: dict[str, Any] = dict.fromkeys(names)
        for word, _, exact, bound, overall in checks:
            result = results[word] = results[word] or self._encoded(exact, f"{case}.results.{word}")
            result |= (
                {"rms": float(bound)} if overall else {"largest entry": np.ravel(bound).tolist()}
            )
        encoded = {
            word: self._encoded(argument, f"{case}.arguments.{word}")
            for word, argument in arguments.items()
        }
        self.cases.append(
            {"op": op, "case": case, "dtype": str(dtype), "arguments": encoded, "results": results}
        )

    def _encoded(self, value, name):
        match value:
            case np.ndarray() | np.generic():
                self.tensors[name] = np.array(value, order="C")
                return {"tensor": name}
            case Key():
                return {
                    field: self._encoded(part, f"{name}.{field}")
                    for field, part in value._asdict().items()
                }
            case list() | tuple():
                return [
                    self._encoded(part, f"{name}.{position}") for position, part in enumerate(value)
                ]
            case np.dtype():
                return str(value)
            case int() if value >= 2**53:
                return str(int(value))
        return value

    def text(self):
        """The bytes of vectors.json."""
        row = lambda op: {
            "signature": op.signature,
            "rule": op.rule,
            "arguments": argument_names(op.name),
            "results": result_names(op.name),
        }
        line = lambda value: json.dumps(value, allow_nan=False)
        ops = line({op.name: row(op) for op in CONTRACT})
        head = f'{{"version": {line(reference.__version__)},\n"ops": {ops},\n"cases": [\n'
        return (head + ",\n".join(map(line, self.cases)) + "\n]}\n").encode()

    def data(self):
        """The bytes of vectors.safetensors."""
        from safetensors.numpy import save

        return save(self.tensors)


def make_vectors():
    """The vectors of every row of the contract and of the training steps."""
    made = OpVectors()
    for name in OPS:
        add_op(made, name)
    for name in NETWORKS:
        add_training_step(made, name)
    return made


def add_op(made, name):
    for dtype in DTYPES if name != "philox_bits" else [np.dtype(np.uint32)]:
        for single in fixed_inputs(name):
            arguments = cast(single, dtype)
            checks = tolerances(name, arguments, zero_mean=True)
            made.add(
                name, dtype, dict(zip(argument_names(name), arguments)), checks, result_names(name)
            )


def add_training_step(made, name):
    network = NETWORKS[name]
    exact, single = _network_results(network, np.float64), _network_results(network, np.float32)
    for dtype in DTYPES:
        checks = [
            check
            for part in exact
            for check in network_tolerances(single[part], exact[part], dtype)
        ]
        made.add(
            name,
            dtype,
            _network_inputs(network, dtype),
            checks,
            [word for tensors in exact.values() for word in tensors],
        )


def _problem(network, dtype):
    """A model, settings, a state, and a batch with its draws: the same numbers in any dtype.

    The state has no zeros, which would hide mistakes.
    """
    numbers = RandomArrays(0, 1.0, 0.0, dtype)
    model = Denoiser(network, linear(1000), data_variance=0.5)
    settings = Settings(batch=BATCH, warmup=0)
    draw = lambda one: {word: one(*shape) for word, shape in network.shapes().items()}
    params = {word: numbers.cast(p) for word, p in random_parameters(network).items()}
    state = State(
        params,
        draw(numbers.unit),
        draw(numbers.unit),
        draw(lambda *shape: numbers.between(0.5, 2, *shape)),
        STEP - 1,
    )
    t, noise = model.sample_training_noise(
        settings.seed, np.arange(BATCH), STEP, network.sample_shape, np.dtype(np.float32)
    )
    return model, settings, state, numbers(BATCH, *network.sample_shape), t, noise.astype(dtype)


def _named(state):
    """The tensors of a state by their part and their name in it, as in a checkpoint."""
    return {
        part: {f"{part}/{word}": p for word, p in getattr(state, field).items()}
        for part, field in PARTS.items()
    }


def _network_inputs(network, dtype):
    model, settings, state, x0, t, noise = _problem(network, dtype)
    schedule = model.schedule
    scale = model.input_scale(schedule.signal_power(t), schedule.noise_power(t))
    row = {
        "signal": schedule.signal(t),
        "noise_scale": schedule.noise_scale(t),
        "c": schedule.network_time(t),
        "input_scale": scale,
    }
    found = {"network": asdict(network), "x0": x0, "t": t, "noise": noise} | {
        word: values.astype(dtype) for word, values in row.items()
    }
    adam = bind_arguments("adam_step_", (None, None, None, None, STEP, settings.lr), {})
    found |= dict(zip(argument_names("adam_step_")[4:], adam[4:])) | {
        "decay": ema_decay(settings.ema, STEP)
    }
    for part in _named(state).values():
        found |= part
    return found


def _network_results(network, dtype):
    """Tensors by name, in groups with a common scale."""
    model, settings, state, x0, t, noise = _problem(network, dtype)
    x = forward(model.schedule, x0, t, noise)
    prediction, _ = model.predict(state.params, x, t)
    loss, per_sample, gradients = model.loss(state.params, x0, t, noise)
    update(settings, state, *loss_and_gradient(model, state.params, x0, (t, noise), None))
    return {
        "images": {"x": x, "prediction": prediction},
        "loss": {"loss": loss, "per_sample": per_sample},
        "gradients": {f"gradients/{word}": g for word, g in gradients.items()},
        "norm": {"gradient_norm": ops.global_norm(list(gradients.values()))},
    } | _named(state)
