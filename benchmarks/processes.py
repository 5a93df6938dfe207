"""``python -m benchmarks scaling --processes``: a training step of one batch, divided among processes, by our ports and by PyTorch.

A port trains in 1, 2, 4 .. processes, which MPI connects, each with a part of the batch's shards; and in one process without shards, which
shows what shards cost.  PyTorch trains by DistributedDataParallel with gloo (peers/torch_processes.py).  Each process has one thread and a
processor of its own.

Before it is timed, every case must agree with the reference, and a port's parameters must have the same bits for every number of processes.
Parts of a step of a port, the mean over its processes: ``gradient``, of its shards and their sum; ``wait``, at a barrier, for the slowest
process; ``exchange``, of the sums; ``update``, of the parameters.  PyTorch exchanges while it computes the gradient.

As a program this module is one process of a port, as worker.py is of one that works alone: mpiexec -n COUNT python -m benchmarks.processes
"""

import faulthandler
import json
import os
import shutil
import sys
import tempfile
import time
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from math import log2, prod
from typing import NamedTuple

import numpy as np

from benchmarks import measure, worker
from benchmarks.peers import PEERS
from benchmarks.progress import Progress
from benchmarks.report import PALETTE
from benchmarks.workloads import WORKLOADS
from reference import plotting
from reference.runs.launch import SHARDS

PYTORCH = "pytorch"
PARTS = ("gradient", "wait", "exchange", "update")
EFFORT = {"full": (10.0, 5), "tiny": (0.1, 2)}  # seconds of timing for each case, and the least number of turns


class Case(NamedTuple):
    implementation: str
    shards: int
    processes: int

    def __str__(self):
        return f"{self.implementation}, shards: {self.shards}, processes: {self.processes}"

    @property
    def program(self):
        """The words that start the processes."""
        if self.implementation == PYTORCH:
            launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
            return [*launcher, "-m", "benchmarks.peers.torch_processes"]
        return ["mpiexec", "-n", str(self.processes), sys.executable, "-m", "benchmarks.processes"]


def check(implementations):
    """ValueError for implementations that can't work in several processes here."""
    from reference.runs.processes import INSTALL

    if other := [name for name in implementations if name in PEERS and name != PYTORCH]:
        raise ValueError(f"--processes measures ports and {PYTORCH}, got {other[0]}")
    if find_spec("mpi4py") is None:
        raise ValueError(f"--processes needs the package mpi4py: {INSTALL}")
    if shutil.which("mpiexec") is None:
        raise ValueError(f"--processes needs the program mpiexec: {INSTALL}")


def cases(implementations, processors):
    """Without shards in one process, then with them in 1, 2, 4 .. processes, as many as there are processors for."""
    counts = [2**n for n in range(int(log2(min(processors, SHARDS))) + 1)]
    for name in implementations:
        if name not in PEERS:
            yield Case(name, 1, 1)
        yield from (Case(name, 1 if name in PEERS else SHARDS, count) for count in counts)


def measure_cases(implementations, size):
    """The part of the report: the work, and an entry for each case."""
    group, (seconds, min_turns) = f"processes-{size}", EFFORT[size]
    work = WORKLOADS[group]["shards-1"]
    single, exact, *_ = measure.expected_results(work)
    entries: dict = {}
    workers: dict = {}
    digests: dict = {}
    chosen = list(cases(implementations, len(measure.available_processors())))
    with tempfile.TemporaryDirectory() as folder, Progress(len(chosen)) as log:
        try:
            for case in chosen:
                name, entry = str(case), entries.setdefault(str(case), case._asdict())
                log.start(name)
                started = measure.Worker(case.implementation, f"shards-{case.shards}", group, 1, folder, case.program)
                measure.validate(name, started, workers, entry, single, exact)
                if name in workers:
                    measure.drop_on_failure(workers, entries, name, lambda _, entry=entry: check_bits(entry, digests))
                log(f"{name}: {measure.validation_line(entry)}")
            log.start("in turns", len(chosen))
            measure.take_turns(workers, entries, seconds, min_turns)
        finally:
            for started in workers.values():
                started.__exit__()
    for entry in entries.values():
        if "turns" in entry:
            entry |= measure.statistics(entry["turns"])
        if "parts" in entry:
            steps = np.concatenate(entry["parts"], axis=1)  # [process, step, part]
            entry["medians_of_parts"] = dict(zip(PARTS, np.median(steps.mean(axis=0), axis=0).tolist()))
    parameters = sum(map(prod, work.network.shapes().values()))
    return {
        "work": {"batch": work.batch, "size": work.network.size, "parameters": parameters},
        "cases": entries,
        "warnings": measure.timing_warnings(entries),
    }


def check_bits(entry, digests):
    """Failure unless a case's parameters have the bits of the first case of this implementation with as many shards."""
    kind = entry["implementation"], entry["shards"]
    if entry["digest"] != digests.setdefault(kind, entry["digest"]):
        raise measure.Failure("its parameters have other bits than those of one process")


def failed(report):
    """The cases of ports that disagree or fail."""
    return [name for name, entry in report["cases"].items() if entry["implementation"] not in PEERS and "not_timed" in entry]


def timed(report):
    return {name: entry for name, entry in report["cases"].items() if "median" in entry}


def of_one_process(report, entry, shards):
    """The seconds of a step of the same implementation with so many shards in one process; nan if they have not been measured."""
    name = Case(entry["implementation"], shards, 1)
    return report["cases"].get(str(name), {}).get("median", np.nan)


def markdown(report):
    """Lines: a table with a row a case, what was not timed, where the exchange dominates, warnings."""
    machine, work = report["machine"], report["work"]
    images = f"{work['batch']} images of {'x'.join(map(str, work['size']))}"
    lines = [
        f"{machine['processor']}, one thread a process, {machine['time'][:10]}. A step: {images}, {work['parameters']} parameters.",
        "",
    ]
    columns = ("", "shards", "processes", "ms [quartiles]", "images a second", "x one process", "efficiency", *PARTS)
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    ms = lambda seconds: f"{1e3 * seconds:.4g}"
    for entry in timed(report).values():
        median, count = entry["median"], entry["processes"]
        cells = [entry["implementation"], entry["shards"], count, f"{ms(median)} [{', '.join(map(ms, entry['quartiles']))}]"]
        cells += [f"{work['batch'] / median:.1f}", f"{of_one_process(report, entry, 1) / median:.2f}"]
        cells += [f"{of_one_process(report, entry, entry['shards']) / (count * median):.0%}"]
        cells += map(ms, entry["medians_of_parts"].values()) if "parts" in entry else [""] * len(PARTS)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", *[f"- {name} is not timed: {entry['not_timed']}" for name, entry in report["cases"].items() if "not_timed" in entry]]
    return [*lines, *[f"- {line}" for line in exchange_lines(report)], *[f"- warning: {line}" for line in report["warnings"]]]


def exchange_lines(report):
    """Sentences: the number of images for each process at which the exchange takes as long as the gradient."""
    size, lines = 4 * (report["work"]["parameters"] + 1), []  # bytes of the gradient and the loss
    for name, entry in timed(report).items():
        if "parts" not in entry or entry["processes"] == 1:
            continue
        parts, rounds = entry["medians_of_parts"], log2(entry["processes"])
        image = parts["gradient"] * entry["processes"] / report["work"]["batch"]
        exchange = parts["exchange"] / rounds
        lines.append(
            f"{name}: a round of the exchange takes {1e3 * exchange:.3g} ms ({size / exchange / 1e6:.0f} MB/s), the gradient of an image"
            f" {1e3 * image:.3g} ms. The exchange takes longer than the gradient if each of W processes has fewer than"
            f" {exchange / image:.2g} log2(W) images. At {size / image / 1e6:.0f} MB/s a round takes as long as the gradient of an image."
        )
    return lines


def plot(report):
    """A bar for each case: its parts, or for PyTorch the step; the lines are the step's quartiles."""
    found = timed(report)
    title = f"A training step divided among processes: {report['machine']['processor']}, one thread a process"
    figure, ((axes,),) = plotting.subplots(1, 1, 9, 1.5 + 0.4 * len(found), title)
    for place, entry in enumerate(found.values()):
        left = 0.0
        for part, color in zip((*PARTS, "step"), PALETTE):
            width = 1e3 * entry.get("medians_of_parts", {"step": entry["median"]}).get(part, 0)
            axes.barh(place, width, left=left, color=color)
            left += width
        low, high = (1e3 * value for value in entry["quartiles"])
        axes.plot((low, high), (place, place), color=plotting.BLACK)
    for part, color in zip((*PARTS, "step, not divided"), PALETTE):
        axes.barh(0, 0, color=color, label=part)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("time of a step (ms)")
    axes.legend(fontsize=7)
    return plotting.png_bytes(figure)


def answers(team, prepare, implementation, name, size, threads, limit, path):
    """As ``worker.answers``, by all processes of a team: rank 0 reads the questions, and its answers count.

    ``team``: a ``reference.runs.processes.Processes`` or another with these methods; ``prepare(team, implementation, workload)`` ->
    (results, call, digest, parts): ``parts`` is the list to which ``call`` appends the seconds of its parts.
    """
    faulthandler.dump_traceback_later(limit, exit=True)
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, processors[team.rank * threads % len(processors) :][:threads])
    begin = time.perf_counter()
    results, call, digest, parts = prepare(team, implementation, WORKLOADS[size][name])
    found = results()
    first = time.perf_counter() - begin
    if team.rank == 0:
        np.savez(path, **{f"{group}/{word}": array for group, arrays in found.items() for word, array in arrays.items()})
    yield {"first": first, "digest": digest, "pids": team.gather(os.getpid())}
    while line := team.shared(sys.stdin.readline):
        faulthandler.dump_traceback_later(limit, exit=True)
        parts.clear()
        question = json.loads(line)
        answer = worker.time_calls(call, **question)
        answer["processor"] = sum(team.gather(answer["processor"]) or ())
        yield answer | ({"parts": team.gather(parts[question.get("warm", 0) :])} if parts else {})


def prepare(team, implementation, workload):
    """A port: see ``answers``."""
    import accelerated
    from reference.commands.train import check_equal_parameters
    from reference.diffusion.training import Team
    from reference.runs.devices import hook

    port, clock, parts, marks = accelerated.with_reference_ops(accelerated.load_port(implementation)), time.perf_counter, [], []
    hook(port, "set_threads")(1)

    def timed_sum(array):
        marks.append(clock())
        team.comm.Barrier()
        marks.append(clock())
        total = team.sum(array)
        marks.append(clock())
        return total

    *_, state = workload.states(port, np.float32, workload.steps, team)
    check_equal_parameters(state, team, port)
    digest = sha256(state.params.flat).hexdigest()
    states = workload.states(port, np.float32, float("inf"), Team(team.rank, team.count, timed_sum))

    step = worker.synchronized(lambda: next(states), port)

    def call():
        marks[:] = [clock()]
        step()
        parts.append(np.diff([*marks, clock()]).tolist())

    return lambda: workload.results(port, np.float32, team), call, digest, parts


if __name__ == "__main__":
    from reference.runs.processes import processes

    worker.main(sys.argv[1:], partial(answers, processes(), prepare))
