"""What processes of one machine share: its processors and devices, and one answer to Ctrl-C."""

import threading
from types import SimpleNamespace

import pytest

from accelerated import __main__ as program
from reference import ops
from reference.commands import interrupts
from reference.commands.train import differences
from reference.runs import processes
from tests.fake_mpi import together


@pytest.mark.parametrize(
    "nodes, allowed, expected",
    [
        ("aaaa", [range(8)] * 4, [2, 2, 2, 2]),
        ("aa", [range(4), range(4, 8)], [4, 4]),
        ("aab", [range(8), range(8), range(2)], [4, 4, 2]),
        ("aaa", [range(2)] * 3, [1, 1, 1]),
    ],
    ids=["unbound", "bound", "two machines", "too many"],
)
def test_the_processes_of_a_machine_divide_the_processors_on_which_they_may_run(monkeypatch, nodes, allowed, expected):
    own = threading.local()
    monkeypatch.setattr(processes.platform, "node", lambda: nodes[own.rank])
    monkeypatch.setattr(processes, "_processors", lambda: set(allowed[own.rank]))

    def found(team):
        own.rank = team.rank
        return team.processors()

    assert together(len(nodes), found) == expected


@pytest.mark.parametrize("threads, expected", [(8, 3), (2, 2)])
def test_a_process_takes_its_part_of_the_processors_and_a_device_of_its_own(monkeypatch, threads, expected):
    chosen = {}
    port = SimpleNamespace(
        threads=lambda: threads,
        set_threads=lambda n: chosen.update(threads=n),
        choose_device=lambda rank: chosen.update(device=rank),
    )
    team = SimpleNamespace(count=4, local=(1, 2), processors=lambda: 3)
    monkeypatch.setattr(program, "processes", lambda: team)
    program.share_machine(port)
    assert chosen == {"device": 1, "threads": expected}
    chosen.clear()
    team.count = 1
    program.share_machine(port)
    assert chosen == {}


def test_another_number_of_threads_is_reported_unless_the_port_has_threads_of_its_own():
    was, now = {"threads": "1", "numba": "1"}, {"threads": "2", "numba": "2"}
    assert differences(was, now, "and is", ops) == "threads was 1 and is 2, numba was 1 and is 2"
    assert differences(was, now, "and is", SimpleNamespace(threads=lambda: 2)) == "numba was 1 and is 2"


@pytest.mark.parametrize("started, line", [(None, True), ((0, 2), True), ((1, 2), False)])
def test_an_interrupt_before_the_processes_are_connected_is_answered_once(monkeypatch, started, line):
    written = []
    monkeypatch.setattr(interrupts, "launched", lambda: started)
    monkeypatch.setattr(interrupts, "os", SimpleNamespace(write=lambda _, text: written.append(text), _exit=written.append))
    interrupts._end("the program", 2, None)
    assert written == ([b"the program: interrupted\n"] if line else []) + [130]
