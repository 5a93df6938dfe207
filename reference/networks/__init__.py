"""Networks are frozen dataclasses: the fields are the architecture, and the parameters a dictionary
of arrays beside it.

    params = network.init(seed)
    y, saved = network.forward(params, x, c, ops, labels)
    dx, gradients = network.backward(params, dy, saved, ops)
    y, _ = network.forward(params, x, c, ops, labels, keep=False)    # no backward follows: memory is given back on the way

x is [b,...], c a real number in [0, 1000] for each sample, the time that its noise level stands
for.  ``ops`` is a port.  An ``Autoencoder`` has ``encode`` and ``decode`` in place of ``forward``,
each with its backward.
"""

from reference.networks.autoencoder import Autoencoder
from reference.networks.mlp import MLP
from reference.networks.unet import UNet

NETWORKS = {"mlp": MLP, "unet": UNet, "autoencoder": Autoencoder}
