"""The training schedule of the experiments."""

from reference import ops as reference_ops
from reference.diffusion.training import Settings, init_state
from reference.runs.devices import train


def trained(
    model, data, steps, batch=256, ops=reference_ops, labels=None, label_dropout=0.0, seed=0
):
    """The averaged weights after ``steps`` steps on data [n,...], with their labels [n] or tokens
    [n,m] if the network takes them.  The learning rate falls after half of the steps, and again
    after three quarters.
    """
    state = init_state(model.network, seed)
    for until, lr in ((steps // 2, 2e-3), (3 * steps // 4, 5e-4), (steps, 1e-4)):
        settings = Settings(batch, lr, 0.998, seed, label_dropout=label_dropout)
        for _ in train(model, data, labels, settings, state, until, ops):
            pass
    return state.ema
