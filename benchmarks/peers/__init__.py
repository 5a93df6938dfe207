"""The same work in other libraries.  A module here has ``set_threads(n)`` and ``prepare(workload, **options) -> (results, call)``.

``call()`` does the work once.  ``results()`` returns the results of the same functions under the names of ``workload.results``.  It uses
the random numbers of the workload; ``call`` uses the library's own generator.  Each peer is written for speed, in its library's usual way.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec

import accelerated

GPU = accelerated.BUILTIN_PORTS["gpu"]
DEVICE = "CUDA device"
IMPL_HELP = "implementations to time: peers, or ports as modules or files (default: {})"
NETWORK_WORKLOADS = ("Training", "Forward", "Backward", "Sampling", "GuidedSampling", "PiGDM", "DDRM")


@dataclass(frozen=True)
class Peer:
    module: str
    packages: tuple[str, ...]  # required
    workloads: tuple[str, ...]  # classes of workloads that it can do
    options: dict = field(default_factory=dict)
    compiles: bool = False
    cuda: bool = False  # on a CUDA device

    def missing_requirements(self):
        """The names of missing packages; of the CUDA device, if only that is missing."""
        lacking = [name for name in self.packages if find_spec(name) is None]
        return lacking if lacking or not self.cuda or not accelerated.unavailable_reason(accelerated.load_port(GPU)) else [DEVICE]


TORCH_PACKAGES, JAX_WORKLOADS = ("torch", "diffusers"), ("MatMul", "Op", *NETWORK_WORKLOADS, "Particles", "FokkerPlanck")
PEERS = {
    "pytorch": Peer("in_pytorch", TORCH_PACKAGES, ("MatMul", "Op", *NETWORK_WORKLOADS)),
    "pytorch-channels-last": Peer("in_pytorch", TORCH_PACKAGES, NETWORK_WORKLOADS, {"channels_last": True}),
    "pytorch-compiled": Peer("in_pytorch", TORCH_PACKAGES, (*NETWORK_WORKLOADS, "Op", "Particles"), {"compiled": True}, compiles=True),
    "jax": Peer("in_jax", ("jax",), JAX_WORKLOADS, compiles=True),
    "scipy": Peer("in_scipy", ("scipy",), ("FokkerPlanck",)),
    "scipy-bands-kept": Peer("in_scipy", ("scipy",), ("FokkerPlanck",), {"bands_kept": True}),
    "pytorch-cuda": Peer("in_pytorch", TORCH_PACKAGES, ("MatMul", "Op", *NETWORK_WORKLOADS), {"device": "cuda"}, cuda=True),
    "pytorch-cuda-compiled": Peer(
        "in_pytorch",
        TORCH_PACKAGES,
        (*NETWORK_WORKLOADS, "Op", "Particles"),
        {"device": "cuda", "compiled": True},
        compiles=True,
        cuda=True,
    ),
    "jax-cuda": Peer("in_jax", ("jax",), JAX_WORKLOADS, {"platform": "cuda"}, compiles=True, cuda=True),
}


def supports(implementation, workload):
    """Whether an implementation can do a workload: ports can do all, and channels-last is for images only."""
    if implementation not in PEERS:
        return True
    peer = PEERS[implementation]
    served = type(workload).__name__ in peer.workloads
    return served and not ("channels_last" in peer.options and len(workload.network.sample_shape) == 1)


def runs_on_cuda(implementation):
    """Whether an implementation runs on a CUDA device."""
    return PEERS[implementation].cuda if implementation in PEERS else implementation == GPU


def skip_reason(implementation, quick=False):
    """Why an implementation, a port or a peer, can't be measured here; None if it can."""
    if implementation not in PEERS:
        reason = accelerated.unavailable_reason(accelerated.load_port(implementation))
        return reason and f"skipped, {reason}"
    if missing := PEERS[implementation].missing_requirements():
        install = "" if missing == [DEVICE] else "; pip install -e '.[peers]'"
        return f"skipped, missing: {', '.join(missing)}{install}"
    return "skipped by --quick, it compiles" if quick and PEERS[implementation].compiles else None
