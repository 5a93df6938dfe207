"""The same work in other libraries.  A module here has ``set_threads(n)`` and ``prepare(workload, **options) -> (results, call)``.

``results()`` are those of ``workload.results``, by its names, from the very functions that ``call`` runs, with the draws that the workload
states; in ``call`` each library draws by its own generator.  Every one is written as its users would who want it fast.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec

import accelerated

GPU = accelerated.BUILTIN_PORTS["gpu"]
DEVICE = "CUDA device"
NETWORKS = ("Training", "Forward", "Backward", "Sampling")


@dataclass(frozen=True)
class Peer:
    module: str
    needs: tuple[str, ...]  # packages
    works: tuple[str, ...]  # classes of workloads that it is a peer in
    options: dict = field(default_factory=dict)
    compiles: bool = False
    cuda: bool = False  # works on a CUDA device

    def missing(self):
        """What is not there, by name."""
        lacking = [name for name in self.needs if find_spec(name) is None]
        return lacking if lacking or not self.cuda or not accelerated.unavailable_reason(accelerated.load_port(GPU)) else [DEVICE]


TORCH, BY_JAX = ("torch", "diffusers"), ("Product", "Op", *NETWORKS, "Particles", "FokkerPlanck")
PEERS = {
    "pytorch": Peer("in_pytorch", TORCH, ("Product", "Op", *NETWORKS)),
    "pytorch-channels-last": Peer("in_pytorch", TORCH, NETWORKS, {"channels_last": True}),
    "pytorch-compiled": Peer("in_pytorch", TORCH, (*NETWORKS, "Op", "Particles"), {"compiled": True}, compiles=True),
    "jax": Peer("in_jax", ("jax",), BY_JAX, compiles=True),
    "scipy": Peer("in_scipy", ("scipy",), ("FokkerPlanck",)),
    "scipy-bands-kept": Peer("in_scipy", ("scipy",), ("FokkerPlanck",), {"bands_kept": True}),
    "pytorch-cuda": Peer("in_pytorch", TORCH, ("Product", "Op", *NETWORKS), {"device": "cuda"}, cuda=True),
    "pytorch-cuda-compiled": Peer(
        "in_pytorch", TORCH, (*NETWORKS, "Op", "Particles"), {"device": "cuda", "compiled": True}, compiles=True, cuda=True
    ),
    "jax-cuda": Peer("in_jax", ("jax",), BY_JAX, {"platform": "cuda"}, compiles=True, cuda=True),
}


def serves(implementation, workload):
    """Whether it does such work: a port does any, and a memory format is a matter of images."""
    if implementation not in PEERS:
        return True
    peer = PEERS[implementation]
    served = type(workload).__name__ in peer.works
    return served and not ("channels_last" in peer.options and len(workload.network.sample_shape) == 1)


def on_cuda(implementation):
    """Does it work on a CUDA device?"""
    return PEERS[implementation].cuda if implementation in PEERS else implementation == GPU


def left_out(implementation, quick=False):
    """Why an implementation, a port or a peer, is not measured here; None if it is."""
    if implementation not in PEERS:
        reason = accelerated.unavailable_reason(accelerated.load_port(implementation))
        return reason and f"left out, {reason}"
    if missing := PEERS[implementation].missing():
        install = "" if missing == [DEVICE] else ": pip install -e '.[peers]'"
        return f"left out, there is no {' and no '.join(missing)}{install}"
    return "not run (quick)" if quick and PEERS[implementation].compiles else None
