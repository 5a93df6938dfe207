"""Models for many calls on the device: CUDA graphs of their network and loss, and schedules with their table on the device."""

from dataclasses import fields, replace

from accelerated.gpu import device
from accelerated.gpu.graphs import replayed
from reference.diffusion.schedules import Schedule


class CapturedNetwork:
    """A network; calls of ``forward`` that no backward pass follows replay a graph.  Everything else is the network's own."""

    def __init__(self, network):
        self.network = network
        self.captured = replayed(lambda params, x, c, ops, labels: network.forward(params, x, c, ops, labels, keep=False)[0])

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, params, x, c, ops, labels=None, keep=True):
        if keep:
            return self.network.forward(params, x, c, ops, labels)
        return self.captured(params, x, c, ops, labels), None


def schedule_on_device(schedule, to_device):
    """A copy of a ``Schedule`` that also takes times in an array of the device, without a check of their range: that would wait."""
    table = to_device(schedule.log_alpha_bar)

    class OnDevice(type(schedule)):
        def _log(self, t):
            return table[t] if isinstance(t, type(table)) else super()._log(t)

    return OnDevice(schedule.log_alpha_bar, schedule.name)


def with_schedule_on_device(model, to_device):
    """The model with ``schedule_on_device``, if it has a ``Schedule``."""
    if not any(field.name == "schedule" for field in fields(model)) or not isinstance(model.schedule, Schedule):
        return model
    return replace(model, schedule=schedule_on_device(model.schedule, to_device))


def prepare(model):
    """A copy of the model whose schedule takes times on the device, and whose network and loss replay graphs (graphs.py)."""
    model = with_schedule_on_device(model, device.to_device)
    eager = model.loss  # with the network itself: its graphs can't be recorded into that of the loss
    if hasattr(model.network, "forward"):
        model = replace(model, network=CapturedNetwork(model.network))
    captured = replayed(lambda params, x0, labels, ops, *noise: eager(params, x0, *noise, labels=labels, ops=ops))

    class Captured(type(model)):
        def loss(self, params, x0, *noise, labels=None, ops=None):
            return captured(params, x0, labels, ops, *noise)

    parts = {field.name: getattr(model, field.name) for field in fields(model) if field.init}
    return Captured(**parts)
