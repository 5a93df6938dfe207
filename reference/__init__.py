"""Diffusion models in NumPy, every backward pass derived by hand.  reference/README.md has the
reading order.

The names that training and sampling need can be imported from here:

    load_dataset                     data: digits, fashion-mnist, mixtures ..., or a file
    UNet, MLP                        networks
    linear, cosine                   noise schedules
    Denoiser                         a network, a schedule and the kind of prediction
    Settings, init_state, train      training, step by step
    prior, ancestral, ddim           noise to start from; the samplers of DDPM and DDIM
    final_sample                     the samples after the last step
    Mixture                          Gaussian mixtures, in closed form
    sample_sheet, png_bytes          a picture of samples; its bytes

They are looked up at first use: ``import reference`` loads NumPy alone.
"""

import importlib

__version__ = "0.1.0"

_MODULES = {
    "load_dataset": "data.datasets",
    "UNet": "networks.unet",
    "MLP": "networks.mlp",
    "linear": "diffusion.schedules",
    "cosine": "diffusion.schedules",
    "Denoiser": "diffusion.denoiser",
    "Settings": "diffusion.training",
    "init_state": "diffusion.training",
    "train": "diffusion.training",
    "prior": "samplers.ancestral",
    "ancestral": "samplers.ancestral",
    "ddim": "samplers.ddim",
    "final_sample": "samplers",
    "Mixture": "diffusion.mixtures",
    "sample_sheet": "plotting",
    "png_bytes": "plotting",
}
__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'reference' has no attribute {name!r}")
    return getattr(importlib.import_module(f"reference.{_MODULES[name]}"), name)


def __dir__():
    return [*globals(), *_MODULES]
