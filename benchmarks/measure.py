"""Measuring: implementations are validated first, then timed in turns.

Each implementation does a workload in a process of its own (worker.py), so that its memory, threads and crashes affect no other.  Its
results are compared with the reference first, by the rule for networks (reference/conformance/tolerances.py): they may differ by 16
times the reference's own float32 rounding.  An implementation that disagrees is not timed.

The others take turns, A, B, C, A, B, C .., so that a change of the machine's speed affects all of them alike.  A process is stopped
by a signal between its turns: idle thread pools spin for a while and would slow down the next process on the same processors.
A turn of short calls begins with unrecorded calls, because the caches hold the data of another process.
"""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import accelerated
from benchmarks.counts import counts
from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS
from reference import ops as reference_ops
from reference.conformance.tolerances import FEW_ENTRIES, Mismatch, network_mismatches, worst

REFERENCE = "reference.ops"
TIMEOUT = 900  # seconds for one answer of a worker
TURN_SECONDS = 0.2  # length of a turn, if a call is shorter
RECORDS_PER_TURN = 20  # a record is the mean of as many calls as fit into its share of a turn
STANDARD_ERRORS = 6  # allowed difference of the moments of particles: one false alarm in 10^8
MAX_SPREAD = 0.1  # (upper - lower quartile) / median above which the median is unreliable
MAX_OTHER_LOAD = 0.1  # share of the processors' time that other processes may take without a warning
LIBRARIES = ("numpy", "scipy", "numba", "mpi4py", "mpich", "torch", "diffusers", "jax", "jaxlib")


class Failure(Exception):
    """The reason why an implementation can't be measured."""


class Expected(NamedTuple):
    """The reference's results in float32 and float64, operations and bytes of a call by op, and the seconds of a call on the reference."""

    single: dict  # float32
    exact: dict  # float64
    operations: dict
    bytes: dict
    seconds: float


def expected_results(workload):
    subset, (_, operations, moved, seconds) = workload.subset(), counts(workload)
    single, exact = (subset.results(reference_ops, dtype) for dtype in (np.float32, np.float64))
    return Expected(single, exact, operations, moved, seconds)


def disagreement(results, single, exact):
    """The worst error of an implementation's results, in units of its tolerance.  Failure for missing results or other shapes."""
    if "moments" in results:
        return worst(_moment_errors(results["moments"], exact["particles"]["x"]))
    found = []
    for group, arrays in exact.items():
        given = results.get(group, {})
        if missing := [name for name in arrays if name not in given]:
            raise Failure(f"it returns no {group} of {missing[0]}")
        cut = {name: given[name][: len(array)] for name, array in arrays.items()}
        for name, array in arrays.items():
            if cut[name].shape != array.shape:
                raise Failure(f"{group} of {name} has shape {cut[name].shape} instead of {array.shape}")
        found += network_mismatches(group, *map(_join_small_arrays, (cut, single[group], arrays)))
    return worst(found)


def _join_small_arrays(arrays):
    """Join the arrays of few entries into one: each has too few for a scale of its own, and the others have another scale."""
    few = [name for name, array in arrays.items() if array.size < FEW_ENTRIES]
    joined = {"the small arrays": np.concatenate([np.ravel(arrays[name]) for name in few])} if len(few) > 1 else {}
    return {name: array for name, array in arrays.items() if not joined or name not in few} | joined


def _moment_errors(moments, x):
    """Errors of the moments of many particles, compared with the reference's few, x[n,d]; the few set the sampling error."""
    centred = x - x.mean(axis=0)
    samples = {"mean": x, "covariance": centred[:, :, None] * centred[:, None]}
    for name, of_each in samples.items():
        exact, bound = of_each.mean(axis=0), STANDARD_ERRORS * of_each.std(axis=0) / len(x) ** 0.5
        over = np.abs(moments[name] - exact) / bound
        index = tuple(map(int, np.unravel_index(np.argmax(over), over.shape)))
        yield Mismatch(float(over[index]), "particles", name, "standard errors", index, moments[name][index], exact[index])


class Worker:
    """The process of one implementation for one workload; it is stopped while it has no question to answer.  Failure if it fails.

    ``program``: the words that start it, or a launcher of several processes, whose first answer has their ``pids``.
    """

    def __init__(self, implementation, name, size, threads, folder, program=(sys.executable, "-m", "benchmarks.worker")):
        self.results_path, self.log = Path(folder) / f"{name}.npz", tempfile.TemporaryFile("w+")
        words = implementation, name, size, str(threads), str(TIMEOUT), str(self.results_path)
        self.process: Any = subprocess.Popen(
            [*program, *words],
            env=thread_environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
        )
        self.pids = [self.process.pid]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self._signal("SIGKILL")
        self.process.kill()
        self.process.communicate()
        self.log.close()

    def ask(self, **question):
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
        except BrokenPipeError:
            pass  # it has ended; ``answer`` reports the reason
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            lines = self.log.read().strip().splitlines() or [""]
            code, late = self.process.wait(), any(line.startswith("Timeout (") for line in lines)
            raise Failure(f"no answer within {TIMEOUT} s" if late else f"it ended with code {code}: {lines[-1][:300]}")
        answer = json.loads(line)
        self.pids = answer.pop("pids", self.pids)
        self._signal("SIGSTOP")
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def results(self):
        """{group: {name: array}} from the file that the process wrote."""
        found: dict = {}
        with np.load(self.results_path) as file:
            for key in file:
                group, _, name = key.partition("/")
                found.setdefault(group, {})[name] = file[key]
        self.results_path.unlink()
        return found

    def _signal(self, name):
        for pid in self.pids if hasattr(signal, name) else ():  # on other systems idle thread pools stop by themselves
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, getattr(signal, name))


def available_processors():
    """The processors that this process may use, in order."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def thread_environment(threads):
    """Environment variables that set the number of threads of every library; the wait policy of idle threads is not changed."""
    words = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return os.environ | {word: str(threads) for word in words}


def measure_workload(name, size, implementations, threads, seconds, min_turns, log):
    """The results of one workload, ready for JSON.  ``seconds``: of timing for each implementation; ``log``: a Progress."""
    workload = WORKLOADS[size][name]
    single, exact, operations, moved, reference_seconds = expected_results(workload)
    workers: dict = {}
    entries: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for implementation in implementations:
                log.start(f"{name}, {implementation}")
                entry = entries[implementation] = {}
                if implementation == REFERENCE and reference_seconds > seconds:
                    entry |= {"estimate": reference_seconds, "not_timed": f"a call takes about {reference_seconds:.0f} s"}
                elif lacks := missing_ops(implementation, operations):
                    entry |= {"lacks": lacks, "not_timed": f"it lacks {', '.join(lacks)}"}
                else:
                    validate(implementation, Worker(implementation, name, size, threads, folder), workers, entry, single, exact)
                log(f"{name}: {implementation}: {validation_line(entry)}")
            log.start(f"{name}, in turns", len(implementations))
            take_turns(workers, entries, seconds, min_turns)
        finally:
            for worker in workers.values():
                worker.__exit__()
    for entry in entries.values():
        if "turns" in entry:
            entry |= statistics(entry["turns"])
    found = {"workload": asdict(workload), "operations": operations, "bytes": moved}
    return found | {"implementations": entries, "warnings": timing_warnings(entries)}


def missing_ops(implementation, called):
    """The ops that a workload calls and a port lacks; none for a peer."""
    return (
        []
        if implementation in PEERS
        else [name for name in accelerated.missing_ops(accelerated.load_port(implementation)) if name in called]
    )


def failed_ports(entries):
    """The ports among a workload's implementations that disagree with the reference or fail; peers are not listed."""
    return [i for i, entry in entries.items() if i not in PEERS and "not_timed" in entry and not entry.keys() & {"estimate", "lacks"}]


def validate(implementation, worker, workers, entry, single, exact):
    """Let a worker prepare and compute, and compare its results with the reference; a worker that disagrees or fails leaves ``workers``."""
    workers[implementation] = worker
    try:
        entry |= worker.answer()
        error = disagreement(worker.results(), single, exact)
        entry |= {"valid": bool(error.ratio <= 1), "error_over_tolerance": error.ratio, "turns": []}
        if not entry["valid"]:
            del entry["turns"]
            raise Failure(f"it disagrees with the reference: {error}")
    except Failure as failure:
        entry["not_timed"] = str(failure)
        workers.pop(implementation).__exit__()


def validation_line(entry):
    if "not_timed" in entry:
        return f"not timed: {entry['not_timed']}"
    return f"agrees, error {entry['error_over_tolerance']:.2f} of the tolerance; first results after {entry['first']:.1f} s"


def take_turns(workers, entries, seconds, min_turns):
    """Warm up, calibrate, then time the workers in turns until the time is over."""
    sizes = {}
    for implementation in list(workers):
        sizes[implementation] = drop_on_failure(workers, entries, implementation, lambda w: calibrate(w, min(1.0, seconds / 2)))
    begin, turns = time.perf_counter(), 0
    while workers and (turns < min_turns or time.perf_counter() - begin < seconds * len(workers)):
        turns += 1
        for implementation in list(workers):
            drop_on_failure(workers, entries, implementation, lambda w, i=implementation: _turn(w, sizes[i], entries[i]))


def drop_on_failure(workers, entries, implementation, action):
    """``action(worker)``; a worker that fails loses its times and leaves ``workers``, and the others go on."""
    try:
        return action(workers[implementation])
    except Failure as failure:
        entries[implementation]["not_timed"] = str(failure)
        entries[implementation].pop("turns", None)
        workers.pop(implementation).__exit__()


def calibrate(worker, seconds):
    """The size of a turn for this worker, after it has run for so many seconds."""
    begin = time.perf_counter()
    taken: list = []
    while not taken or time.perf_counter() - begin < seconds:
        taken += worker.ask(repeats=max(1, min(10, int(0.1 / taken[-1]))) if taken else 1)["seconds"]
    return turn_size(float(np.median(taken[len(taken) // 2 :])))


def turn_size(call):
    """{calls in a record, records, unrecorded calls before them} for a call of so many seconds."""
    calls = max(1, round(TURN_SECONDS / RECORDS_PER_TURN / call))
    return {
        "calls": calls,
        "repeats": max(1, min(RECORDS_PER_TURN, int(TURN_SECONDS / (calls * call)))),
        "warm": calls if call < TURN_SECONDS / 4 else 0,
    }


def _turn(worker, size, entry):
    busy, begin = machine_cpu_seconds(), time.perf_counter()
    answer = worker.ask(**size)
    elapsed, after = time.perf_counter() - begin, machine_cpu_seconds()
    entry["turns"].append(answer["seconds"])
    if "parts" in answer:
        entry.setdefault("parts", []).append(answer["parts"])
    if busy is not None:
        entry.setdefault("other_processes", []).append([max(0.0, after - busy - answer["processor"]), elapsed * (os.cpu_count() or 1)])


def machine_cpu_seconds():
    """Processor seconds of all processes of this machine up to now; None where the system has no /proc/stat."""
    try:
        user, nice, system, _, _, interrupt, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    except (OSError, ValueError):
        return None
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")


def statistics(turns):
    """Median, quartiles, minimum and spread over all records; ``turns``: lists of seconds per call, one a turn."""
    seconds = np.concatenate(turns)
    low, median, high = np.percentile(seconds, (25, 50, 75))
    spread = (high - low) / median
    return {"median": float(median), "quartiles": [float(low), float(high)], "minimum": float(seconds.min()), "spread": float(spread)}


def timing_warnings(entries):
    """Sentences on unreliable times of one workload: a wide spread, or a busy machine."""
    found = []
    for implementation, entry in entries.items():
        if entry.get("spread", 0) > MAX_SPREAD:
            found.append(f"{implementation}: its quartiles are {entry['spread']:.0%} of the median apart")
        taken, available = np.sum(entry.get("other_processes", [[0.0, 1.0]]), axis=0)
        if taken / available > MAX_OTHER_LOAD:
            found.append(f"{implementation}: other processes took {taken / available:.0%} of the processors during its turns")
    return found


def machine_info(threads):
    """What the times depend on: system, processor, threads, load, versions, commit, date."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return {
        "system": platform.platform(),
        "processor": model,
        "processors": os.cpu_count(),
        "threads": threads,
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": versions,
        "commit": _commit(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _commit():
    """The commit, with a + for uncommitted changes; None outside a repository."""
    git = lambda *words: subprocess.run(
        ["git", "-C", Path(__file__).parent, *words], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
