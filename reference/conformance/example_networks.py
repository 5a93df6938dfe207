"""Small networks of every kind, and functions that compute all results of a network."""

from dataclasses import replace

import numpy as np

from reference import ops
from reference.conformance.op_inputs import random_parameters
from reference.networks import MLP, Autoencoder, ConvNet, UNet

C = np.array([3.0, 700.0])
POINTS = MLP(size=(2,), width=5, depth=2, embedding=4)
IMAGES = MLP(size=(2, 3, 1), width=4, depth=1, embedding=2)
DEEP = MLP(size=(2,), width=4, depth=4, embedding=4)
LABELLED = MLP(size=(2,), width=4, depth=2, embedding=4, classes=3)
MLPS = [POINTS, IMAGES, DEEP, LABELLED]
SMALL = UNet(size=(4, 4), channels=(8, 16), groups=4, classes=3)
PLAIN = UNet(size=(4, 4), channels=(8, 16), groups=4)
TWO_LAYERS = UNet(size=(2, 4), in_channels=2, channels=(4, 8), layers=2, groups=2, head_width=4)
THREE_LEVELS = UNet(size=(8, 4), channels=(4, 6, 8), groups=2, head_width=4, classes=2)
ONE_LEVEL = UNet(size=(3, 5), channels=(8,), groups=2, head_width=4)
# as the models that the authors of DDPM published, but for a large eps that tests notice
PUBLISHED = UNet(
    size=(8, 4),
    channels=(4, 6, 8),
    groups=2,
    head_width=None,
    attention=(1,),
    norm_eps=0.01,
    freq_shift=1,
    downsample_padding=0,
)
CAPTIONED = UNet(
    size=(4, 4),
    channels=(4, 8),
    groups=2,
    head_width=4,
    vocabulary=5,
    caption_length=3,
    text_width=6,
)
MEAN_CAPTIONED = replace(CAPTIONED, cross_attention=())
TOKENS = np.array([[3, 1, 0], [2, 4, 3]])
UNETS = [PLAIN, TWO_LAYERS, THREE_LEVELS, ONE_LEVEL, PUBLISHED, CAPTIONED, MEAN_CAPTIONED]
HALVES = Autoencoder(size=(2, 3, 1), latent=2, width=5, depth=1)
CONVNET = ConvNet(classes=3, size=(8, 16), in_channels=2, channels=(4, 6), groups=2, width=5)
NOISY_CONVNET = ConvNet(
    classes=2, size=(8, 8), channels=(8, 12), groups=2, width=5, noise_conditional=True
)
CONVNETS = [CONVNET, NOISY_CONVNET]
# channels that fill a vector, for which a port may have special kernels
SIXTEENS = UNet(size=(8, 8), channels=(16, 32))
LABELS = {
    POINTS: "points",
    IMAGES: "images",
    DEEP: "deep",
    LABELLED: "labelled points",
    SMALL: "classes",
    PLAIN: "plain",
    TWO_LAYERS: "two layers",
    THREE_LEVELS: "three levels",
    ONE_LEVEL: "one level",
    PUBLISHED: "published",
    CAPTIONED: "captioned",
    MEAN_CAPTIONED: "captioned without cross-attention",
    SIXTEENS: "sixteens",
    HALVES: "autoencoder",
    CONVNET: "convnet",
    NOISY_CONVNET: "noisy convnet",
}


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def inputs(network, batch=2):
    """x, c and labels for a batch of at most two, None for those that the network does not take."""
    takes_labels = network.classes and not isinstance(network, ConvNet)
    labels = np.array([1, 0])[:batch] if takes_labels else None
    labels = TOKENS[:batch] if getattr(network, "vocabulary", 0) else labels
    c = C[:batch] if getattr(network, "noise_conditional", True) else None
    return numbers(1, batch, *network.sample_shape), c, labels


def run(network, port=ops, wrap=lambda value: value):
    """All results of a network, forward and backward, in one dictionary."""
    if isinstance(network, Autoencoder):
        return run_autoencoder(network, port, wrap)
    x, c, labels = map(wrap, inputs(network))
    params = wrap(random_parameters(network))
    y, saved = network.forward(params, x, c, port, labels)
    dy, v = wrap(numbers(4, *y.shape)), wrap(numbers(5, *x.shape))
    dx, gradients = network.backward(params, dy, saved, port)
    results = {"y": y, "dx": dx} | gradients
    if isinstance(network, MLP):
        y_dot, saved_jvp = network.jvp(params, v, saved, port)
        dx, dv, gradients = network.jvp_backward(params, dy, saved, saved_jvp, port)
        results |= {"y_dot": y_dot, "jvp.dx": dx, "jvp.dv": dv}
        results |= {f"jvp.{name}": g for name, g in gradients.items()}
    return results


def run_autoencoder(network, port, wrap):
    params, x = wrap(random_parameters(network)), wrap(numbers(1, 2, *network.size))
    z = wrap(numbers(2, 2, network.latent))
    gradients: dict = {}
    mean, log_var, saved = network.encode(params, x, port)
    upstream = wrap(numbers(3, *z.shape)), wrap(numbers(4, *z.shape))
    dx = network.encode_backward(params, *upstream, saved, gradients, port)
    y, saved = network.decode(params, z, port)
    dz = network.decode_backward(params, wrap(numbers(5, *x.shape)), saved, gradients, port)
    return {"mean": mean, "log_var": log_var, "dx": dx, "y": y, "dz": dz} | gradients
