"""Processes that are threads of this one, connected by a communicator with the functions of MPI that the project calls."""

import pickle
import queue
import threading
from collections import defaultdict
from types import SimpleNamespace

from reference.runs.processes import Processes

LIMIT = 20  # seconds; a process that waits longer has lost its partners


class Group:
    def __init__(self, count):
        self.barrier, self.values = threading.Barrier(count, timeout=LIMIT), [b""] * count
        self.sent, self.met, self.ended = defaultdict(queue.Queue), set(), []


class Communicator:
    """Of the process ``rank`` of ``size``."""

    def __init__(self, group, rank, size):
        self.group, self.rank, self.size = group, rank, size

    def allgather(self, value):
        self.group.values[self.rank] = pickle.dumps(value)
        self.group.barrier.wait()
        found = list(map(pickle.loads, self.group.values))
        self.group.barrier.wait()
        return found

    def Barrier(self):
        self.group.barrier.wait()

    def gather(self, value):
        found = self.allgather(value)
        return None if self.rank else found

    def bcast(self, value):
        return self.allgather(value if self.rank == 0 else None)[0]

    def Sendrecv(self, array, dest, recvbuf, source):
        self.group.sent[self.rank, dest].put(array.copy())
        recvbuf[...] = self.group.sent[source, self.rank].get(timeout=LIMIT)

    def Ibarrier(self):
        self.group.met.add(self.rank)
        return SimpleNamespace(Test=lambda: len(self.group.met) == self.size)

    def Abort(self, code):
        """End all processes; a waiting process ends by an exception."""
        self.group.ended.append((self.rank, code))
        self.group.barrier.abort()
        raise SystemExit(code)


def together(count, function, errors=None):
    """[function(team)] of each of ``count`` processes, by rank.  Raises what the lowest rank raised that did not only lose its partners."""
    group, results, raised = Group(count), [None] * count, {}

    def work(rank):
        own = Communicator(group, rank, count)
        try:
            results[rank] = function(Processes(own, own, errors))
        except BaseException as error:
            raised[rank] = error
            group.barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = (threading.BrokenBarrierError, queue.Empty)
    for error in sorted(map(raised.get, sorted(raised)), key=lambda error: isinstance(error, lost)):
        raise error
    return results
