"""How implementations are measured, so that the numbers can be trusted.

Each does a workload in a process of its own (worker.py): its memory, its threads and its crashes are its own.  What it computes is held
against the reference first, by the rule for networks (reference/conformance/tolerances.py), which is that of any other port: an implementation whose
arithmetic differs may round in other places, 16 times as much as the reference does, and no more.  One that disagrees is not timed.

Then all take turns, A, B, C, A, B, C .., so that a change of the machine's speed hits all alike.  Between its turns a process is stopped
by a signal: pools of threads spin for a while when their work is done, and would disturb whoever comes next on the same processors.
A turn of short calls begins with some that are not recorded, since the caches hold another's data.
"""

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
LIMIT = 900  # seconds that an answer may take
TURN = 0.2  # seconds that a turn lasts, if a call is shorter
RECORDS = 20  # that a turn is divided into: a record is the mean of as many calls as fit
STANDARD_ERRORS = 6  # by which moments of particles may differ: a false alarm in 10^8
WIDE = 0.1  # a spread, quartile to quartile over the median, that says the median may be off
BUSY = 0.1  # of the processors' time taken by others: say so
LIBRARIES = ("numpy", "scipy", "numba", "torch", "diffusers", "jax", "jaxlib")


class Failure(Exception):
    """An implementation can't be measured: why."""


class Expected(NamedTuple):
    """What the reference says, in both precisions, the operations and bytes of a call by op, and the seconds that the reference needs."""

    single: dict
    exact: dict
    operations: dict
    bytes: dict
    seconds: float


def expected(workload):
    part, (_, operations, moved, seconds) = workload.part(), counts(workload)
    single, exact = (part.results(reference_ops, dtype) for dtype in (np.float32, np.float64))
    return Expected(single, exact, operations, moved, seconds)


def disagreement(results, single, exact):
    """The worst error of an implementation's results, in units of its budget."""
    if "moments" in results:
        return worst(_errors_of_moments(results["moments"], exact["particles"]["x"]))
    found = []
    for group, arrays in exact.items():
        given = results.get(group, {})
        if missing := [name for name in arrays if name not in given]:
            raise Failure(f"it gives no {group} of {missing[0]}")
        cut = {name: given[name][: len(array)] for name, array in arrays.items()}
        for name, array in arrays.items():
            if cut[name].shape != array.shape:
                raise Failure(f"{group} of {name} has shape {cut[name].shape} instead of {array.shape}")
        found += network_mismatches(group, *map(_few_joined, (cut, single[group], arrays)))
    return worst(found)


def _few_joined(arrays):
    """Tensors of few entries as one: the scale of all weights is none for a bias, whose gradient sums up images, and its own is chance."""
    few = [name for name, array in arrays.items() if array.size < FEW_ENTRIES]
    joined = {"the small tensors": np.concatenate([np.ravel(arrays[name]) for name in few])} if len(few) > 1 else {}
    return {name: array for name, array in arrays.items() if not joined or name not in few} | joined


def _errors_of_moments(moments, x):
    """Of many particles, against those of the reference's few [n,d]: only the few are uncertain."""
    centred = x - x.mean(axis=0)
    samples = {"mean": x, "covariance": centred[:, :, None] * centred[:, None]}
    for name, of_each in samples.items():
        exact, bound = of_each.mean(axis=0), STANDARD_ERRORS * of_each.std(axis=0) / len(x) ** 0.5
        over = np.abs(moments[name] - exact) / bound
        place = tuple(map(int, np.unravel_index(np.argmax(over), over.shape)))
        yield Mismatch(float(over[place]), "particles", name, "standard errors", place, moments[name][place], exact[place])


class Worker:
    """The process of one implementation for one workload; stopped unless it is asked something.  Failure if it fails."""

    def __init__(self, implementation, name, size, threads, folder):
        self.results_path, self.log = Path(folder) / f"{name}.npz", tempfile.TemporaryFile("w+")
        words = implementation, name, size, str(threads), str(LIMIT), str(self.results_path)
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *words],
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.log.close()

    def ask(self, **what):
        self._signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps(what) + "\n")
        except BrokenPipeError:
            pass  # it has ended: said below
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            said = self.log.read().strip().splitlines() or [""]
            code, late = self.process.wait(), any(word.startswith("Timeout (") for word in said)
            raise Failure(f"no answer within {LIMIT} s" if late else f"it ended with code {code}: {said[-1][:300]}")
        self._signal("SIGSTOP")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def results(self):
        """{group: {name: array}}, as it wrote them."""
        found: dict = {}
        with np.load(self.results_path) as file:
            for key in file:
                group, _, name = key.partition("/")
                found.setdefault(group, {})[name] = file[key]
        self.results_path.unlink()
        return found

    def _signal(self, name):
        if hasattr(signal, name):  # else pools are left to go to sleep by themselves
            self.process.send_signal(getattr(signal, name))


def processors():
    """Those that this process may use, in order."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def environment(threads):
    """What tells every library how many threads it may have; the policy by which they wait is left as it is."""
    words = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return os.environ | {word: str(threads) for word in words}


def measure(name, size, implementations, threads, budget, least_turns, say):
    """Everything about one workload, ready for JSON.  ``budget``: seconds of turns for each implementation; ``say``: a Progress."""
    workload = WORKLOADS[size][name]
    single, exact, operations, moved, of_reference = expected(workload)
    workers: dict = {}
    entries: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for implementation in implementations:
                say.now(f"{name}, {implementation}")
                entry = entries[implementation] = {}
                if implementation == REFERENCE and of_reference > budget:
                    entry |= {"estimate": of_reference, "not_run": f"a call takes about {of_reference:.0f} s"}
                elif lacks := lacking(implementation, operations):
                    entry |= {"lacks": lacks, "not_run": f"it lacks {', '.join(lacks)}"}
                else:
                    _admit(implementation, Worker(implementation, name, size, threads, folder), workers, entry, single, exact)
                say(f"{name}: {implementation}: {_admission(entry)}")
            say.now(f"{name}, in turns", len(implementations))
            _take_turns(workers, entries, budget, least_turns)
        finally:
            for worker in workers.values():
                worker.__exit__()
    for entry in entries.values():
        if "turns" in entry:
            entry |= statistics(entry["turns"])
    return {"workload": asdict(workload), "operations": operations, "bytes": moved, "implementations": entries, "doubts": doubts(entries)}


def lacking(implementation, called):
    """The names of the ops that a workload calls and a port does not have; none for a peer, which is no port."""
    return (
        []
        if implementation in PEERS
        else [name for name in accelerated.missing_ops(accelerated.load_port(implementation)) if name in called]
    )


def failed(entries):
    """The ports among a workload's implementations that disagree with the reference or fail; a peer may do as it likes."""
    return [i for i, entry in entries.items() if i not in PEERS and "not_run" in entry and not entry.keys() & {"estimate", "lacks"}]


def _admit(implementation, worker, workers, entry, single, exact):
    """Have it prepare and compute, and hold that against the reference; it stays among ``workers`` if it may be timed."""
    workers[implementation] = worker
    try:
        entry |= worker.answer()
        error = disagreement(worker.results(), single, exact)
        entry |= {"valid": bool(error.ratio <= 1), "error_over_budget": error.ratio, "turns": []}
        if not entry["valid"]:
            del entry["turns"]
            raise Failure(f"it disagrees with the reference: {error}")
    except Failure as failure:
        entry["not_run"] = str(failure)
        workers.pop(implementation).__exit__()


def _admission(entry):
    if "not_run" in entry:
        return f"not timed: {entry['not_run']}"
    return f"agrees, {entry['error_over_budget']:.2f} of the budget; first results after {entry['first']:.1f} s"


def _take_turns(workers, entries, budget, least_turns):
    """Warm up by time, calibrate, and go round until the time is over."""
    sizes = {}
    for implementation in list(workers):
        sizes[implementation] = _guarded(workers, entries, implementation, lambda w: calibrate(w, min(1.0, budget / 2)))
    begin, turns = time.perf_counter(), 0
    while workers and (turns < least_turns or time.perf_counter() - begin < budget * len(workers)):
        turns += 1
        for implementation in list(workers):
            _guarded(workers, entries, implementation, lambda w, i=implementation: _turn(w, sizes[i], entries[i]))


def _guarded(workers, entries, implementation, action):
    """A worker that fails while it is timed keeps no numbers, and the rest goes on."""
    try:
        return action(workers[implementation])
    except Failure as failure:
        entries[implementation]["not_run"] = str(failure)
        entries[implementation].pop("turns", None)
        workers.pop(implementation).__exit__()


def calibrate(worker, seconds):
    """How a turn of this worker looks, after it has run for some seconds."""
    begin = time.perf_counter()
    taken: list = []
    while not taken or time.perf_counter() - begin < seconds:
        taken += worker.ask(repeats=max(1, min(10, int(0.1 / taken[-1]))) if taken else 1)["seconds"]
    return turn_of(float(np.median(taken[len(taken) // 2 :])))


def turn_of(call):
    """{calls a record, records, calls before them} for a call of so many seconds."""
    calls = max(1, round(TURN / RECORDS / call))
    return {"calls": calls, "repeats": max(1, min(RECORDS, int(TURN / (calls * call)))), "warm": calls if call < TURN / 4 else 0}


def _turn(worker, size, entry):
    busy, begin = busy_seconds(), time.perf_counter()
    answer = worker.ask(**size)
    elapsed, after = time.perf_counter() - begin, busy_seconds()
    entry["turns"].append(answer["seconds"])
    if busy is not None:
        entry.setdefault("others", []).append([max(0.0, after - busy - answer["processor"]), elapsed * (os.cpu_count() or 1)])


def busy_seconds():
    """What all processes of this machine together have had of its processors; None where the system does not say."""
    try:
        user, nice, system, _, _, interrupt, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    except (OSError, ValueError):
        return None
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")


def statistics(turns):
    """Of the seconds a call, a list for each turn."""
    seconds = np.concatenate(turns)
    low, median, high = np.percentile(seconds, (25, 50, 75))
    spread = (high - low) / median
    return {"median": float(median), "quartiles": [float(low), float(high)], "minimum": float(seconds.min()), "spread": float(spread)}


def doubts(entries):
    """Sentences about what makes the numbers of one workload doubtful."""
    found = []
    for implementation, entry in entries.items():
        if entry.get("spread", 0) > WIDE:
            found.append(f"{implementation}: the middle half of its times spans {entry['spread']:.0%} of the median")
        taken, available = np.sum(entry.get("others", [[0.0, 1.0]]), axis=0)
        if taken / available > BUSY:
            found.append(f"{implementation}: others took {taken / available:.0%} of the processors meanwhile")
    return found


def machine(threads):
    """What the numbers depend on."""
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
    """The commit, with a + for changes; None outside of a repository."""
    git = lambda *words: subprocess.run(
        ["git", "-C", Path(__file__).parent, *words], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
