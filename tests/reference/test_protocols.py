"""The classes of the reference have the methods of their protocols, with the same arguments."""

import inspect
from dataclasses import fields, is_dataclass

import pytest

from reference.ddpm.indi import InDI
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.classifier import Classifier
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.protocols import AnyNetwork, Model, Network, NoiseSchedule
from reference.diffusion.schedules import Schedule, VarianceExplodingSchedule
from reference.networks import MLP, Autoencoder, ConvNet, UNet
from reference.sde.sde import VE, VP, Brownian, OrnsteinUhlenbeck, SubVP
from reference.smld.smld import ScoreModel
from reference.vae.vae import VAE

PAIRS = [
    *((Network, kind) for kind in (MLP, UNet)),
    *((AnyNetwork, kind) for kind in (Autoencoder, ConvNet)),
    *((NoiseSchedule, kind) for kind in (Schedule, VarianceExplodingSchedule, VP, SubVP, VE, OrnsteinUhlenbeck, Brownian)),
    *((Model, kind) for kind in (Denoiser, LearnedVariance, ScoreModel, VAE, InDI, Classifier)),
]


def members(protocol):
    return {name: member for base in protocol.__mro__ for name, member in vars(base).items() if not name.startswith("_")}


def parameters(function):
    """The names of the arguments that can be given by position."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in kinds]


def missing(protocol, kind):
    """The members of a protocol that a class lacks, or has with other arguments."""
    own = {*dir(kind), *((field.name for field in fields(kind)) if is_dataclass(kind) else ())}
    lacking = {name for name in members(protocol) if name not in own}
    for name, member in members(protocol).items():
        if inspect.isfunction(member) and name in own:
            # the random numbers of a model's loss have names of their own
            expected = parameters(member)[:2] if name == "loss" else parameters(member)
            lacking |= {name} if parameters(getattr(kind, name))[: len(expected)] != expected else set()
    return lacking


@pytest.mark.parametrize("protocol, kind", PAIRS, ids=lambda kind: kind.__name__)
def test_class_has_the_members_of_its_protocol(protocol, kind):
    assert missing(protocol, kind) == set()


def test_missing_members_are_found():
    assert missing(Network, Autoencoder) == {"forward", "backward", "outputs"}
    assert {"init", "shapes"} <= missing(Network, Schedule)
