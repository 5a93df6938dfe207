"""Processes that work together, as threads with a communicator of the tests, and one process alone."""

import contextlib
import io
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops
from reference.commands import cli, train
from reference.diffusion import training
from reference.runs import launch, processes
from reference.runs.launch import LAUNCHERS, launched
from reference.runs.processes import PROCESS, Processes
from reference.runs.run import open_run
from tests.command_runs import TINY, files, run
from tests.fake_mpi import together

ENTRIES = np.random.default_rng(0).standard_normal((16, 100)).astype(np.float32) * np.logspace(-3, 3, 100, dtype=np.float32)


def error_of(function, *arguments):
    """The message of the ValueError of a call; None without one."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)


def pairwise(terms):
    while len(terms) > 1:
        terms = [one + other for one, other in zip(terms[::2], terms[1::2])]
    return terms[0]


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_a_sum_adds_neighbours_first_and_is_the_same_in_all_processes(count):
    before = ENTRIES.copy()
    expected = pairwise(list(ENTRIES[:count]))
    for total in together(count, lambda team: team.sum(ENTRIES[team.rank])):
        assert total.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(ENTRIES, before)


@pytest.mark.parametrize("count", [1, 3])
def test_a_flag_of_any_process_is_true_for_all(count):
    assert together(count, lambda team: team.any(team.rank == count - 1)) == [True] * count
    assert together(count, lambda team: team.any(False)) == [False] * count


def test_rank_0_gathers_the_values_in_the_order_of_ranks():
    assert together(3, lambda team: team.gather(f"of {team.rank}")) == [["of 0", "of 1", "of 2"], None, None]


def test_rank_0_alone_calls_a_function_and_can_share_its_result():
    called = []
    work = lambda: called.append(threading.get_ident()) or "result"
    assert together(3, lambda team: team.first(work)) == ["result", None, None] and len(called) == 1
    assert together(3, lambda team: team.shared(work)) == ["result"] * 3 and len(called) == 2


@pytest.mark.parametrize("method", ["first", "shared"])
def test_an_error_of_rank_0_is_raised_in_all_processes(method):
    def fail():
        raise ValueError("of rank 0")

    message = lambda team: error_of(getattr(team, method), fail)
    assert together(3, message) == ["of rank 0"] * 3 and message(PROCESS) == "of rank 0"


def test_unequal_values_are_an_error_in_all_processes():
    def message(team):
        team.check_equal("this", "equal")
        return error_of(team.check_equal, "this", team.rank // 2)

    assert together(4, message) == ["this must be the same in all processes: 0 in rank 0, 1 in rank 2"] * 4


class Elsewhere:
    """Rank 1 on a machine that lacks the files of rank 0: it finds other paths."""

    def __init__(self, own):
        self.own = own

    def __getattr__(self, name):
        return getattr(self.own, name)

    def bcast(self, value):
        found = self.own.bcast(value)
        return found / "elsewhere" if self.rank == 1 and isinstance(found, Path) else found


def test_a_folder_that_is_not_shared_is_an_error_in_all_processes_and_leaves_no_file(tmp_path):
    def message(team):
        team.check_shared(tmp_path / "new" / "run")
        return error_of(Processes(Elsewhere(team.comm)).check_shared, tmp_path / "new" / "run")

    for found in together(2, message):
        assert f"{tmp_path / 'new' / 'run'} is not shared: " in str(found)
    assert not list(tmp_path.iterdir())


def test_one_process_alone_agrees_with_itself(tmp_path, capsys):
    assert (PROCESS.rank, PROCESS.count, PROCESS.local) == (0, 1, (0, 1))
    assert PROCESS.sum(ENTRIES) is ENTRIES
    assert PROCESS.any(True) is True and PROCESS.any(False) is False
    assert PROCESS.gather(3) == [3] and PROCESS.first(lambda: 4) == 4 and PROCESS.shared(lambda: 5) == 5
    PROCESS.check_equal("this", 1)
    PROCESS.check_shared(tmp_path / "new")
    assert not list(tmp_path.iterdir())
    assert PROCESS.complain("a line", 2) == 2 and capsys.readouterr().err == "a line\n"


# errors


@pytest.fixture
def complaints(monkeypatch):
    """A function (count, complain) -> (results, printed text, processes that ended the job)."""
    monkeypatch.setattr(processes, "SECONDS_TO_AGREE", 0.5)
    monkeypatch.setattr(processes, "_silence", lambda: None)
    return _complaints


def _complaints(count, complain):
    errors, ended = io.StringIO(), []

    def work(team):
        try:
            return complain(team)
        except SystemExit:
            ended.append(team.rank)

    return together(count, work, errors), errors.getvalue(), ended


def test_an_error_of_all_processes_is_printed_once(complaints):
    assert complaints(3, lambda team: team.complain("a line", 2)) == ([2] * 3, "a line\n", [])


def test_an_error_of_one_process_ends_them_all_and_names_its_rank(complaints):
    alone = lambda team: team.complain("a line", 2) if team.rank == 1 else None
    assert complaints(3, alone) == ([None] * 3, "rank 1: a line\n", [1])


def test_an_exception_of_one_process_ends_them_all_and_names_its_rank(complaints):
    alone = lambda team: team.fail(ValueError, ValueError("of the program"), None) if team.rank == 2 else None
    assert complaints(3, alone) == ([None] * 3, "rank 2: ValueError: of the program\n\n", [2])


def test_an_exception_of_all_processes_is_printed_once(complaints):
    _, printed, ended = complaints(3, lambda team: team.fail(ValueError, ValueError("of the program"), None))
    assert printed == "rank 0: ValueError: of the program\n\n" and ended == [0]


# the start


@pytest.fixture
def environment(monkeypatch):
    for name in {name for names in LAUNCHERS for name in names}:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("rank, count", LAUNCHERS)
def test_the_variables_of_a_launcher_tell_rank_and_number(environment, rank, count):
    assert launched.__wrapped__() is None
    environment.setenv(rank, "3")
    environment.setenv(count, "8")
    assert launched.__wrapped__() == (3, 8)


def test_blas_has_one_thread_in_a_process_of_mpiexec_unless_told_otherwise(environment):
    environment.delenv("OPENBLAS_NUM_THREADS", raising=False)
    environment.setattr(launch, "launched", lambda: None)
    launch.use_one_blas_thread()
    assert "OPENBLAS_NUM_THREADS" not in launch.os.environ
    environment.setattr(launch, "launched", lambda: (0, 2))
    for given in (None, "3"):
        if given:
            environment.setenv("OPENBLAS_NUM_THREADS", given)
        launch.use_one_blas_thread()
        assert launch.os.environ["OPENBLAS_NUM_THREADS"] == (given or "1")


def test_without_mpiexec_there_is_one_process_and_mpi_is_not_imported():
    assert launched() is None and processes.processes().comm is None and "mpi4py" not in sys.modules


def test_mpiexec_without_mpi4py_is_refused_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(processes, "launched", lambda: (0, 2))
    monkeypatch.setattr(cli, "processes", processes.processes.__wrapped__)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert run("train", "ddpm", "--out", "never") == 2
    assert capsys.readouterr().err == f"python -m reference: mpiexec needs the package mpi4py: {processes.INSTALL}\n"


# training together

WORDS = ("train", "ddpm", "--data", "mixture1d", *TINY, "--shards", 4, "--save-every", 2)


def train_together(monkeypatch, folder, count, stopped=None, fault=lambda team, state: None):
    """What ``continue_training`` returns in each process for the run in ``folder``.  ``stopped``: the process that gets a signal."""
    own = threading.local()

    @contextlib.contextmanager
    def stop_on_signal():
        yield SimpleNamespace(asked=own.team.rank == stopped)

    def work(team):
        own.team = team
        started = open_run(folder, need_checkpoint=False)
        return train.continue_training(started, started.data, 2, ops)

    def training_states(started, data, ops):
        for state in states(started, data, ops):
            fault(own.team, state)
            yield state

    states = train.training_states
    monkeypatch.setattr(train, "processes", lambda: own.team)
    monkeypatch.setattr(train, "stop_on_signal", stop_on_signal)
    monkeypatch.setattr(train, "training_states", training_states)
    return together(count, work)


def outcome(*arguments, **keywords):
    """``train_together``, or its exception."""
    try:
        return train_together(*arguments, **keywords)
    except Exception as error:
        return error


@pytest.fixture
def begun(tmp_path):
    """A run of four shards after two of five steps, and the files of the same run after all steps."""
    assert run(*WORDS, "--steps", 5, "--out", tmp_path / "whole") == 0
    assert run(*WORDS, "--steps", 2, "--out", tmp_path / "run") == 0
    config = tmp_path / "run" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"steps": 5}, indent=2) + "\n")
    return tmp_path / "run", list(files(tmp_path / "whole").values())


@pytest.mark.parametrize("count", [2, 4])
def test_processes_continue_a_run_with_the_same_files(begun, count, monkeypatch):
    """Each shard of a step is computed once, by one of them."""
    folder, whole = begun
    computed, draw = [], training.draw_batch
    monkeypatch.setattr(training, "draw_batch", lambda *given: computed.append((given[3], given[5])) or draw(*given))
    assert outcome(monkeypatch, folder, count) == [0] * count
    assert list(files(folder).values()) == whole
    assert sorted(computed) == [(step, shard) for step in (3, 4, 5) for shard in range(4)]


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_signal_to_one_process_stops_all_after_the_same_step(begun, stopped, monkeypatch):
    folder, _ = begun
    assert outcome(monkeypatch, folder, 2, stopped) == [130, 130]
    assert open_run(folder).state.step == 3


def test_a_process_that_drifts_ends_the_training_before_a_checkpoint(begun, monkeypatch):
    folder, _ = begun
    monkeypatch.setattr(train, "CHECKED", 2)

    def drift(team, state):
        if team.rank == 1 and state.step == 4:
            state.params.flat[3] = np.nextafter(state.params.flat[3], np.float32(9))

    found = str(outcome(monkeypatch, folder, 2, fault=drift))
    assert "the hash of the parameters at step 4 must be the same in all processes: " in found
    assert open_run(folder).state.step == 2


def test_processes_that_can_not_divide_the_shards_are_refused(begun, monkeypatch):
    folder, _ = begun
    monkeypatch.setattr(train, "processes", lambda: SimpleNamespace(count=8))
    assert "can't be divided among 8 processes" in str(error_of(train.check_shards, open_run(folder)))
