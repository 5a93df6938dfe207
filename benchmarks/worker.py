"""A process in which one implementation does one workload.

    python -m benchmarks.worker IMPLEMENTATION WORKLOAD SIZE THREADS TIMEOUT RESULTS

It prepares the work, writes its results to the file RESULTS, for measure.py to compare with the reference, and answers with the seconds
and the memory that this took.  Then it reads lines like {"calls": 10, "repeats": 5} from its standard input and answers each with the
seconds of these calls.  Answers are lines of JSON on its standard output; other output goes to standard error.  An answer that takes
more than TIMEOUT seconds ends the process.
"""

import faulthandler
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path


def main(arguments, answers):
    implementation, name, size, threads, limit, path = arguments
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        for line in answers(implementation, name, size, int(threads), float(limit), path):
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps(line), file=answer)
    except Exception as error:  # of any library
        print(json.dumps({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}), file=answer)
        raise


def answers(implementation, name, size, threads, limit, path):
    """Yield the answers: the one on preparing first."""
    faulthandler.dump_traceback_later(limit, exit=True)
    if hasattr(os, "sched_setaffinity"):  # for libraries that use as many threads as there are processors
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    begin = time.perf_counter()
    prepare = load_implementation(implementation, threads)
    import numpy as np

    from benchmarks.workloads import WORKLOADS

    workload, seconds_of_import, memory_of_import = WORKLOADS[size][name], time.perf_counter() - begin, resident_and_peak_bytes()[0]
    begin = time.perf_counter()
    results, call = prepare(workload)
    found = results()
    first = time.perf_counter() - begin
    np.savez(path, **{f"{group}/{word}": array for group, arrays in found.items() for word, array in arrays.items()})
    del results, found
    reset_peak_memory()
    call(), call()
    peak = resident_and_peak_bytes()[1]
    yield {"import": seconds_of_import, "first": first, "memory": None if peak is None else peak - memory_of_import}
    for line in sys.stdin:
        faulthandler.dump_traceback_later(limit, exit=True)
        yield time_calls(call, **json.loads(line))


def load_implementation(implementation, threads):
    """Import an implementation and set its threads.  Returns workload -> (results, call), two functions without arguments."""
    from benchmarks.peers import PEERS

    if implementation in PEERS:
        peer = PEERS[implementation]
        module = importlib.import_module(f"benchmarks.peers.{peer.module}")
        module.set_threads(threads)
        return lambda workload: module.prepare(workload, **peer.options)
    import accelerated
    from reference.runs.devices import hook

    port = accelerated.with_reference_ops(accelerated.load_port(implementation))
    hook(port, "set_threads")(threads)
    return lambda workload: (lambda: workload.results(port, workload.dtype.type), synchronized(workload.call(port), port))


def synchronized(call, port):
    """``call``, followed by a synchronisation where the port works on a device."""
    from reference.runs.devices import has_hook, hook

    return (lambda: (call(), hook(port, "synchronize")())) if has_hook(port, "synchronize") else call


def time_in_turns(functions, turns, clock=time.perf_counter):
    """name -> seconds of each call by ``clock``; the functions are called in turns, and the first turn is not recorded."""
    taken: dict = {name: [] for name in functions}
    for turn in range(turns + 1):
        for name, function in functions.items():
            begin = clock()
            function()
            if turn:
                taken[name].append(clock() - begin)
    return taken


def time_calls(call, calls=1, repeats=1, warm=0):
    """After ``warm`` calls, ``repeats`` times the mean seconds of ``calls`` calls; and the processor seconds of all of them."""
    processor = time.process_time()
    for _ in range(warm):
        call()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append((time.perf_counter() - begin) / calls)
    return {"seconds": seconds, "processor": time.process_time() - processor}


def resident_and_peak_bytes():
    """Bytes resident now, and the largest number since ``reset_peak_memory``; (None, None) where the system has no /proc."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    except OSError:
        return None, None
    return tuple(1024 * int(lines[word].split()[0]) for word in ("VmRSS", "VmHWM"))


def reset_peak_memory():
    """Restart the peak at the memory in use, so that freed memory of preparation and compilation is not counted."""
    import ctypes

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError, TypeError):  # another system: the peak includes preparation
        pass


if __name__ == "__main__":
    main(sys.argv[1:], answers)
