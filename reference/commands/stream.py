"""``sample``'s many samples: drawn batch by batch into a folder, then written as one file."""

import contextlib

from reference.runs import parts
from reference.runs.checkpoint import environment
from reference.runs.sampling import batch_starts, check_finite, check_range, draw_batches


def stream(run, ops, n, path, settings, how, start, team, arrays_of, agreeing):
    """Draw n samples into ``path``, an .npz or .npy file, in bounded memory.  The processes of the
    ``team`` draw batches in turn.  The batches of a stopped command are not drawn again.

    ``arrays_of(x, first)``: the arrays of a batch, by name; ``agreeing(arrays)``: how many of its
    samples agree with their labels.  On rank 0 returns the network's evaluations of a sample, None
    for a sampler without any, and how many samples agree.
    """
    folder, firsts = parts.folder_of(path), batch_starts(run, n)
    with contextlib.ExitStack() as opened:
        team.check_shared(folder)
        made_by = settings | {"port": environment(ops)["port"], "samples a batch": firsts.step}
        missing = team.shared(lambda: parts.begin(folder, made_by, firsts, opened))
        own = missing[team.rank :: team.count]
        for batch in draw_batches(run, ops, n, own, start=start, **how):
            check_finite(batch.x, how)
            parts.write(folder, batch, arrays_of(batch.x, batch.first))
        team.gather(None)  # waits until all batches are drawn
        return team.first(lambda: _finish(path, firsts, n, settings, agreeing)) or (None, None)


def _finish(path, firsts, n, settings, agreeing):
    evaluations = beyond = agreed = 0
    for first in firsts:
        arrays, own, outside = parts.read(parts.folder_of(path), first)
        evaluations, beyond = evaluations + own, beyond + outside
        agreed += agreeing(arrays)
    check_range(beyond, n)
    parts.join(path, firsts, n, settings)
    parts.remove(parts.folder_of(path))
    return evaluations / n or None, agreed
