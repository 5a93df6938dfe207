"""The U-Net against diffusers' UNet2DModel, loaded from an exported folder: outputs and all gradients.

In float64 its time embedding is replaced: that library computes the angles in float32 whatever the model's dtype.
"""

from dataclasses import replace

import numpy as np
import pytest

from reference import ops
from reference.networks import UNet
from reference.runs import diffusers_format
from reference.runs.files import write_together
from tests.oracle_tolerances import PEER_EMBEDDING32, PEER_NETWORK, assert_close
from tests.reference.test_diffusers_weights import LISTINGS, listing, random_parameters

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
theirs = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install -e '.[peers]'")

C = (0.5, 333.3, 1000.0)
# DDPM's, but narrower: one head at the second of four levels, and the last row of the classes' table for no class
PUBLISHED = UNet(
    size=(16, 24),
    in_channels=3,
    channels=(8, 16, 16, 16),
    layers=2,
    groups=4,
    head_width=None,
    classes=5,
    attention=(1,),
    norm_eps=1e-6,
    freq_shift=1,
    downsample_padding=0,
)
CLASSES = UNet(size=(8, 12), in_channels=3, channels=(8, 16), layers=2, groups=4, head_width=4, classes=5, outputs=2)
NETWORKS = {
    UNet(): "8x8",
    UNet(size=(32, 32), channels=(32, 64, 64)): "32x32",
    CLASSES: "classes",
    UNet(size=(3, 5), channels=(8,), groups=2, head_width=8): "one level",
    PUBLISHED: "published",
    replace(PUBLISHED, head_width=4, attention=(0, 2, -1), norm_eps=1e-3, freq_shift=0): "attention at three levels, heads of four",
    replace(PUBLISHED, attention=(), downsample_padding=1): "no attention but the middle's",
}
every_network = pytest.mark.parametrize("network", NETWORKS, ids=NETWORKS.get)


class Angles(torch.nn.Module):
    """Their time embedding, its options included, in double precision."""

    def __init__(self, single):
        super().__init__()
        self.half, self.flip, self.shift = single.num_channels // 2, single.flip_sin_to_cos, single.downscale_freq_shift

    def forward(self, c):
        exponents = torch.arange(self.half, dtype=torch.float64) / (self.half - self.shift)
        angles = c[:, None] * 10000.0**-exponents
        parts = (torch.sin(angles), torch.cos(angles))
        return torch.cat(parts[::-1] if self.flip else parts, dim=1)


def to_torch(images):
    return torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def to_numpy(images):
    return images.detach().numpy().transpose(0, 2, 3, 1)


@pytest.fixture(scope="module", params=NETWORKS, ids=NETWORKS.get)
def exported(request, tmp_path_factory):
    """(network, params, the folder that they were saved in)."""
    network, folder = request.param, tmp_path_factory.mktemp("exported")
    params = random_parameters(network)
    write_together(folder, diffusers_format.model_files(network, params))
    return network, params, folder


def test_from_pretrained_finds_all_that_it_expects_and_nothing_else(exported):
    network, _, folder = exported
    model, found = theirs.UNet2DModel.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values()), found
    expected = LISTINGS.get(network, listing(diffusers_format.diffusers_shapes(network)))
    assert listing({name: tuple(array.shape) for name, array in model.state_dict().items()}) == expected


def test_what_they_save_is_loaded_bit_for_bit(exported, tmp_path):
    network, params, folder = exported
    theirs.UNet2DModel.from_pretrained(folder).save_pretrained(tmp_path)
    loaded, arrays = diffusers_format.load_model(tmp_path)
    assert loaded == network
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, params[name])


def test_the_config_has_every_field_of_theirs():
    known = {name for name in theirs.UNet2DModel().config if not name.startswith("_")}
    assert known == {name for name in diffusers_format.config_of(UNet()) if not name.startswith("_")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outputs_and_all_gradients_are_theirs(exported, dtype):
    network, params, folder = exported
    rng = np.random.default_rng(1)
    x, c = rng.standard_normal((len(C), *network.sample_shape)).astype(dtype), np.array(C, dtype)
    labels = np.array([1, 0, 4]) if network.classes else None
    params = {name: array.astype(dtype) for name, array in params.items()}
    y, saved = network.forward(params, x, c, labels=labels)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx, gradients = network.backward(params, dy, saved)

    model = theirs.UNet2DModel.from_pretrained(folder)
    if dtype == np.float64:
        model = model.double()
        model.time_proj = Angles(model.time_proj)
    their_x = to_torch(x).requires_grad_()
    their_y = model(their_x, torch.tensor(c), class_labels=None if labels is None else torch.tensor(labels)).sample
    their_y.backward(to_torch(dy))

    _, ours = diffusers_format.to_diffusers(network, gradients)
    expected = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    assert ours.keys() == expected.keys()
    size = np.sqrt(np.mean(np.concatenate([array.ravel() for array in expected.values()]).astype(np.float64) ** 2))
    same("y", y, to_numpy(their_y))
    same("dx", dx, to_numpy(their_x.grad))
    for name, gradient in ours.items():
        # an attention key's bias changes no softmax: its gradient is 0, and rounding is all that there is to see
        same(name, gradient, expected[name], size * gradient.size**0.5 if name.endswith("to_k.bias") else None)


def same(name, ours, theirs, size=None):
    size = np.linalg.norm(theirs) if size is None else size
    error = np.linalg.norm(ours - theirs) / size
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert size > 0 and error <= PEER_NETWORK[ours.dtype], f"{name}: relative error {error:.3g}"


@pytest.mark.parametrize("width", [2, 8, 32])
def test_the_time_embedding_is_theirs(width):
    c = np.array([0.0, 1.0, 2.5, 77.0, 500.0, 999.0, 1000.0], np.float32)
    embedding = theirs.models.embeddings.Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert_close(ops.timestep_embedding(c, width), embedding(torch.tensor(c)).numpy(), PEER_EMBEDDING32, 1.0)
    double = Angles(embedding)(torch.tensor(c.astype(np.float64))).numpy()
    assert_close(double, embedding(torch.tensor(c)).numpy(), PEER_EMBEDDING32, 1.0)
