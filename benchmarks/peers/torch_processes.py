"""A process of DistributedDataParallel with gloo, started by torch.distributed.run: the step of in_pytorch.py on its part of a batch."""

import os
import sys
from functools import partial

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from benchmarks import processes, worker
from benchmarks.peers import in_pytorch


class Team:
    """The methods of ``reference.runs.processes.Processes`` that ``processes.answers`` calls."""

    def __init__(self):
        distributed.init_process_group("gloo")
        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()

    def gather(self, value):
        found = [None] * self.count if self.rank == 0 else None
        distributed.gather_object(value, found)
        return found

    def shared(self, function):
        held = [function() if self.rank == 0 else None]
        distributed.broadcast_object_list(held)
        return held[0]


def prepare(team, implementation, workload):
    """See ``processes.answers``.  The processes have the same parameters, without a digest: it would depend on their number."""
    in_pytorch.set_threads(1)
    torch.manual_seed(team.rank)
    parallel = partial(DistributedDataParallel, broadcast_buffers=False, gradient_as_bucket_view=True)
    layout = in_pytorch.Layout(torch.contiguous_format)
    of_part, call = in_pytorch.training(workload, layout, lambda function: function, parallel, team.rank, team.count)

    def results():
        found = of_part()
        losses = torch.tensor(found["losses"]["loss"])
        distributed.all_reduce(losses)
        return found | {"losses": {"loss": (losses / team.count).numpy()}}

    return results, call, None, []


if __name__ == "__main__":
    team = Team()
    if team.rank:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    worker.main(sys.argv[1:], partial(processes.answers, team, prepare))
    distributed.destroy_process_group()
