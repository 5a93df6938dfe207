"""Networks are frozen dataclasses.  The fields are the architecture; the parameters are a separate
dictionary of arrays by name.

    params = network.init(seed)
    y, saved = network.forward(params, x, c, ops, labels)
    dx, gradients = network.backward(params, dy, saved, ops)
    y, _ = network.forward(params, x, c, ops, labels, keep=False)    # less memory, no backward

x is [b,...]; c[b] is the network time, a real number in [0, 1000] that stands for the noise level
of a sample.  ``ops`` is a port.  An ``Autoencoder`` has ``encode`` and ``decode`` in place of
``forward``, each with its backward.  A ``ConvNet`` returns the logits of classes, and takes c only
if it is conditional on the noise level.
"""

from reference.networks.autoencoder import Autoencoder
from reference.networks.convnet import ConvNet
from reference.networks.mlp import MLP
from reference.networks.unet import UNet

NETWORKS = {"mlp": MLP, "unet": UNet, "autoencoder": Autoencoder, "convnet": ConvNet}
