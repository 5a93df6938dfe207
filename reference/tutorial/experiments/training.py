"""The training schedule of the experiments."""

from reference import ops as reference_ops
from reference.diffusion.training import Settings, init_state
from reference.runs.devices import train


def trained(model, data, steps, batch=256, ops=reference_ops):
    """The averaged weights after ``steps`` steps on data [n,...].  The learning rate falls after
    half of the steps, and again after three quarters.
    """
    state = init_state(model.network, 0)
    for until, lr in ((steps // 2, 2e-3), (3 * steps // 4, 5e-4), (steps, 1e-4)):
        for _ in train(model, data, None, Settings(batch, lr, 0.998), state, until, ops):
            pass
    return state.ema
