"""The peers at the tiny size, each in a process of its own: they compute what the reference does."""

import pytest

from benchmarks.measure import Worker, disagreement, expected
from benchmarks.peers import PEERS, serves
from benchmarks.workloads import WORKLOADS

SOME = ("mlp-step", "unet8-forward")  # of what takes a minute to compile
CASES = [
    (peer, name)
    for peer in PEERS
    for name, workload in WORKLOADS["tiny"].items()
    if serves(peer, workload) and (peer != "pytorch-compiled" or name in SOME)
]


@pytest.mark.parametrize("peer, name", CASES)
def test_a_peer_agrees_with_the_reference(peer, name, tmp_path):
    if missing := PEERS[peer].missing():
        pytest.skip(f"{' and '.join(missing)} not installed: pip install -e '.[peers]'")
    single, exact, *_ = expected(WORKLOADS["tiny"][name])
    with Worker(peer, name, "tiny", 1, tmp_path) as worker:
        worker.answer()
        error = disagreement(worker.results(), single, exact)
        assert error.ratio <= 1, str(error)
        assert len(worker.ask(calls=2, repeats=3)["seconds"]) == 3


def test_a_memory_format_is_a_matter_of_images():
    served = {name for name, workload in WORKLOADS["full"].items() if serves("pytorch-channels-last", workload)}
    assert served == {name for name in WORKLOADS["full"] if name.startswith("unet")}
