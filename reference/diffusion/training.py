"""Training, as a generator that yields its state after every step: logging, plotting, saving and
stopping are the caller's.

Every random number is a function of (seed, position in the batch, step): there is no generator
whose state could be lost, and training that is stopped and resumed goes on with the same bits.

A batch of several shards.  The loss of a batch is the mean over its samples, so its gradient is the
mean of the gradients g_0 .. g_{K-1} of K shards of equal size.  Floating-point sums depend on their
order, so the order is fixed: that of a binary tree, here of 4 shards,

    ((g_0 + g_1) + (g_2 + g_3)) / 4,

K is a power of two, and the division exact.  W processes, a power of two, W <= K, compute K / W
neighbouring shards each.  The sum of these is a subtree, and the processes add their sums in the
upper levels of the tree (``Team.sum``).  So the bits depend on K, and not on W.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.diffusion.guidance import drop_labels
from reference.networks.blocks import takes_labels
from reference.ops.checks import is_whole
from reference.ops.random import Purpose


@dataclass(frozen=True)
class Settings:
    """``warmup``: the learning rate rises linearly over that many steps, while Adam's second moment
    is still a guess.  ``label_dropout``: a network with classes trains on this share of the samples
    without their label (guidance.py).  ``stage``: after that many steps Adam, the average and the
    learning rate begin anew, and within them the learning rate falls linearly to 0, as in
    progressive distillation; 0: all steps are one stage, and the learning rate does not fall.
    ``shards``: the batch is cut into that many parts of equal size, a power of two; the bits of the
    result depend on their number.
    """

    batch: int = 64
    lr: float = 1e-3
    ema: float = 0.9995
    seed: int = 0
    warmup: int = 50
    label_dropout: float = 0.0
    stage: int = 0
    shards: int = 1

    def __post_init__(self):
        least_values = {"batch": 1, "seed": 0, "warmup": 0, "stage": 0, "shards": 1}
        for name, least in least_values.items():
            value = getattr(self, name)
            if not is_whole(value) or value < least:
                raise ValueError(f"{name} must be a whole number from {least} on, got {value}")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be a positive number, got {self.lr}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must lie in [0, 1), got {self.ema}")
        if not 0 <= self.label_dropout < 1:
            raise ValueError(f"label_dropout must lie in [0, 1), got {self.label_dropout}")
        if not self.seed < 2**64:
            raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {self.seed}")
        if self.shards & (self.shards - 1):
            raise ValueError(f"shards must be 1, 2, 4, 8 .., got {self.shards}")
        if self.batch % self.shards:
            raise ValueError(
                f"shards must divide the batch into equal parts, got {self.shards} shards for"
                f" batch {self.batch}"
            )

    def step_of_stage(self, step):
        """The number of a training step within its stage, both from 1 on."""
        return (step - 1) % self.stage + 1 if self.stage else step

    def rate(self, step):
        """The learning rate of the step with this number in its stage."""
        warm = min(1.0, step / max(self.warmup, 1))
        return self.lr * warm * (1 - (step - 1) / self.stage if self.stage else 1.0)


class FlatParameters(dict):
    """Arrays by name that are views of one array, ``flat``, so that the optimizer updates all
    parameters in one call.  The constructor copies the arrays.  An assignment writes to ``flat``.
    """

    def __init__(self, tensors):
        self.flat = np.concatenate([tensor.ravel() for tensor in tensors.values()])
        parts = np.split(self.flat, np.cumsum([tensor.size for tensor in tensors.values()])[:-1])
        super().__init__(
            {
                name: part.reshape(tensor.shape)
                for (name, tensor), part in zip(tensors.items(), parts)
            }
        )

    def __setitem__(self, name, value):
        self[name][...] = value

    def __deepcopy__(self, memo):
        return FlatParameters(self)


STATE_ARRAYS = ("params", "ema", "m", "v")


@dataclass
class State:
    """All that training carries from step to step, plus the last step's loss and gradient norm.

    The constructor copies the arrays of ``STATE_ARRAYS`` into ``FlatParameters``.
    """

    params: Any
    ema: Any
    m: Any
    v: Any
    step: int = 0
    loss: Any = float("nan")
    gradient_norm: Any = float("nan")

    def __post_init__(self):
        for name in STATE_ARRAYS:
            setattr(self, name, FlatParameters(getattr(self, name)))


def init_state(network, seed, dtype=np.float32):
    """The state before the first step."""
    params = network.init(seed, dtype)
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    return State(params, params, zeros, zeros)


def ema_decay(decay, step):
    """The decay at ``step`` (from 1): ``decay``, but at first so small that the average is of about
    the last tenth of the steps.

    At step 1 it is 0: the average holds nothing of the untrained parameters, ever, and needs no
    correction for a bias.
    """
    return min(decay, (step - 1) / (step + 9))


@dataclass(frozen=True)
class Team:
    """Process ``rank`` of ``count`` that train together; by default one alone.  ``sum``: an array
    -> the sum of the arrays of all processes, by a binary tree in the order of the ranks.
    """

    rank: int = 0
    count: int = 1
    sum: Callable = lambda array: array


ALONE = Team()


def draw_batch(model, data, settings, step, ops=reference_ops, shard=0):
    """What a shard of step ``step`` trains on: indices [b] into the data, uniform, and what
    ``model.sample_training_noise`` draws, by the places of its samples in the whole batch.
    """
    size = settings.batch // settings.shards
    sample = np.arange(shard * size, (shard + 1) * size, like=data)
    u = ops.uniform(settings.seed, sample, step, Purpose.DATA_ORDER, (), np.float64)
    indices = np.floor(u * len(data)).astype(np.int64)
    return indices, *model.sample_training_noise(
        settings.seed, sample, step, data.shape[1:], data.dtype, ops
    )


def check_finite(loss, norm, step):
    """FloatingPointError unless the loss and the gradient norm of a step are finite."""
    loss, norm = float(loss), float(norm)
    if not np.isfinite(loss + norm):
        raise FloatingPointError(
            f"the loss is not finite at step {step}: loss {loss}, gradient norm {norm};"
            " a smaller lr may help"
        )


def loss_and_gradient(model, params, x0, draws, labels, ops=reference_ops):
    """(loss, gradient [p] in the order of the parameters) on x0[b,...] with the ``draws`` of
    ``model.sample_training_noise``.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # ``check_finite`` reports them
        loss, _, gradients = model.loss(params, x0, *draws, labels=labels, ops=ops)
        return loss, np.concatenate([gradients[name].ravel() for name in params])


def batch_loss_and_gradient(model, data, labels, settings, state, ops=reference_ops, team=ALONE):
    """(loss, gradient [p]) of the step after ``state.step``, of which this process computes its
    shards.
    """
    step = state.step + 1

    def of_shard(shard):
        """The gradient and, as a last entry, the loss of a shard."""
        indices, *draws = draw_batch(model, data, settings, step, ops, shard)
        chosen = None
        if takes_labels(model.network):
            first = shard * len(indices)
            chosen = drop_labels(labels[indices], model.network, settings, step, ops, first)
        loss, gradient = loss_and_gradient(model, state.params, data[indices], draws, chosen, ops)
        loss = np.asarray(loss, gradient.dtype, like=gradient)
        return np.concatenate([gradient, loss.reshape(1)])

    own = settings.shards // team.count
    total = tree_sum(of_shard, team.rank * own, (team.rank + 1) * own)
    mean = team.sum(total) / settings.shards
    return mean[-1], mean[:-1]


def tree_sum(term, first, end):
    """term(first) + .. + term(end - 1), the halves added first, for 1, 2, 4 .. terms.  It holds as
    many sums as the tree has levels.
    """
    if end - first == 1:
        return term(first)
    middle = (first + end) // 2
    return tree_sum(term, first, middle) + tree_sum(term, middle, end)


def update(settings, state, loss, gradient, ops=reference_ops, check=check_finite):
    """The step after ``state.step``, in place, by the gradient [p] of its loss.

    ``check(loss, norm, step)`` is called before the state changes.
    """
    step = state.step + 1
    with np.errstate(over="ignore", invalid="ignore"):
        norm = ops.global_norm([gradient])
    check(loss, norm, step)
    number = settings.step_of_stage(step)
    if number == 1:
        state.m.flat[...], state.v.flat[...] = 0, 0
    lr = settings.rate(number)
    ops.adam_step_(state.params.flat, gradient, state.m.flat, state.v.flat, number, lr)
    ops.ema_step_(state.ema.flat, state.params.flat, ema_decay(settings.ema, number))
    state.step, state.loss, state.gradient_norm = step, loss, norm


def train(
    model,
    data,
    labels,
    settings,
    state,
    steps,
    ops=reference_ops,
    check=check_finite,
    team=ALONE,
):
    """Steps ``state.step + 1`` to ``steps`` on data [n,...], each by ``update``, yielding ``state``
    after each.  ``labels`` [n], or tokens [n,m] of captions, are used if the network takes them.
    """
    while state.step < steps:
        loss, gradient = batch_loss_and_gradient(model, data, labels, settings, state, ops, team)
        update(settings, state, loss, gradient, ops, check)
        yield state
