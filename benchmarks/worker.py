"""A process in which one implementation does one workload.

    python -m benchmarks.worker IMPLEMENTATION WORKLOAD SIZE THREADS LIMIT RESULTS

It prepares the work, writes what it computes to RESULTS for the other side to hold against the reference, and answers with what that
took.  Then it waits for lines like {"calls": 10, "repeats": 5} on its standard input and answers each with the seconds of that many
calls, as often as asked.  All answers are lines of JSON on its standard output; whatever else is printed goes to standard error.  An
answer that takes more than LIMIT seconds ends the process.
"""

import faulthandler
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path


def main(arguments):
    implementation, name, size, threads, limit, path = arguments
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        for line in work(implementation, name, size, int(threads), float(limit), path):
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps(line), file=answer)
    except Exception as error:  # of any library
        print(json.dumps({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}), file=answer)


def work(implementation, name, size, threads, limit, path):
    faulthandler.dump_traceback_later(limit, exit=True)
    if hasattr(os, "sched_setaffinity"):  # for those that take as many threads as there are processors
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    begin = time.perf_counter()
    prepare = imported(implementation, threads)
    import numpy as np

    from benchmarks.workloads import WORKLOADS

    workload, seconds_of_import, memory_of_import = WORKLOADS[size][name], time.perf_counter() - begin, memory()[0]
    begin = time.perf_counter()
    results, call = prepare(workload)
    found = results()
    first = time.perf_counter() - begin
    np.savez(path, **{f"{group}/{word}": array for group, arrays in found.items() for word, array in arrays.items()})
    del results, found
    forget_peak()
    call(), call()
    peak = memory()[1]
    yield {"import": seconds_of_import, "first": first, "memory": None if peak is None else peak - memory_of_import}
    for line in sys.stdin:
        faulthandler.dump_traceback_later(limit, exit=True)
        yield timed(call, **json.loads(line))


def imported(implementation, threads):
    """What makes (results, call), two functions without arguments, of a workload; its libraries are imported and told the threads."""
    from benchmarks.peers import PEERS

    if implementation in PEERS:
        peer = PEERS[implementation]
        module = importlib.import_module(f"benchmarks.peers.{peer.module}")
        module.set_threads(threads)
        return lambda workload: module.prepare(workload, **peer.options)
    import accelerated

    port = accelerated.with_reference_ops(accelerated.load_port(implementation))
    if hasattr(port, "set_threads"):
        port.set_threads(threads)
    return lambda workload: (lambda: workload.results(port, workload.dtype.type), finished(workload.call(port), port))


def finished(call, port):
    """The call, and where a port works on a device, a wait for it."""
    wait = getattr(port, "synchronize", None)
    return call if wait is None else lambda: (call(), wait())


def timed(call, calls=1, repeats=1, warm=0):
    """Seconds a call, the mean of ``calls``, ``repeats`` times, and the processor's seconds in all, after ``warm`` calls."""
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


def memory():
    """Bytes resident now, and the most since ``forget_peak``; None, None where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    except OSError:
        return None, None
    return tuple(1024 * int(lines[word].split()[0]) for word in ("VmRSS", "VmHWM"))


def forget_peak():
    """What preparation and compilation needed and gave back is no part of the work's memory."""
    import ctypes

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError, TypeError):  # another system: the peak is that of all there was
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
