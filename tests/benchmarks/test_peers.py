"""The peers at the tiny size, each in a process of its own, agree with the reference."""

import pytest

from benchmarks.measure import Worker, disagreement, expected_results
from benchmarks.peers import PEERS, supports
from benchmarks.workloads import WORKLOADS

COMPILED = ("mlp-step", "unet8-forward")  # workloads for torch.compile, which takes a minute for each
CASES = [
    (peer, name)
    for peer in PEERS
    for name, workload in WORKLOADS["tiny"].items()
    if supports(peer, workload) and (peer != "pytorch-compiled" or name in COMPILED)
]


@pytest.mark.parametrize("peer, name", CASES)
def test_a_peer_agrees_with_the_reference(peer, name, tmp_path):
    if missing := PEERS[peer].missing_requirements():
        pytest.skip(f"{' and '.join(missing)} not installed: pip install -e '.[peers]'")
    single, exact, *_ = expected_results(WORKLOADS["tiny"][name])
    with Worker(peer, name, "tiny", 1, tmp_path) as worker:
        worker.answer()
        error = disagreement(worker.results(), single, exact)
        assert error.ratio <= 1, str(error)
        assert len(worker.ask(calls=2, repeats=3)["seconds"]) == 3


def test_channels_last_is_for_images_only():
    served = {name for name, workload in WORKLOADS["full"].items() if supports("pytorch-channels-last", workload)}
    assert served == {name for name in WORKLOADS["full"] if name.startswith("unet")}
