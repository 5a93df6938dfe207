"""Work that is done again and again, recorded once: a launch takes ten microseconds of the host, a graph of hundreds little more.

A network's step on small images launches six hundred times what takes the device a few microseconds each: it would wait for Python nine
tenths of its time.  A function's first call is an ordinary one, the second is recorded, and from then on a CUDA graph replays its launches
in the memory that they had, which nobody else gets.  What a function takes from the host would be replayed as it was, and what it tells the
host would be said once: a function that does either is called each time, as if nobody had asked.
"""

from contextlib import suppress

import numpy as np

from accelerated.gpu.device import SIMULATED, is_device, xp


def replayed(function):
    """``function``, of the kind that reference/diffusion/devices.py describes: once for each form of arguments recorded, and then replayed."""
    seen: dict = {}

    def call(*args):
        form = tuple([(arg.shape, arg.dtype) if is_device(arg) else id(arg) for arg in args])
        objects, replay = seen.get(form, (None, None))
        if objects is None:
            if not any(isinstance(arg, np.ndarray) for arg in args):
                seen[form] = [arg for arg in args if not is_device(arg)], None  # held, or their numbers could be those of others
            return function(*args)
        if replay is None:
            replay = record(function, args) or function
            seen[form] = objects, replay
        return replay(*args)

    return call


def record(function, args):
    """What a call with such arguments launches, as a function of them; None if it takes a look at the host."""
    places = [arg.copy() if is_device(arg) else arg for arg in args]
    recorded = (_simulated if SIMULATED else _graph)(function, places)
    if recorded is None:
        return None
    launch, results = recorded

    def replay(*args):
        for place, arg in zip(places, args):
            if is_device(arg):
                place[...] = arg
        launch()
        return tuple(map(_copy, results)) if isinstance(results, tuple) else _copy(results)

    return replay


def _copy(result):
    return result.copy() if is_device(result) else result


def _graph(function, places):
    """(its launch, the results, which it writes to); None if there is none."""
    pool, stream = xp.cuda.MemoryPool(), xp.cuda.Stream(non_blocking=True)
    with xp.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        try:
            results = function(*places)
        except BaseException as error:
            with suppress(RuntimeError):
                stream.end_capture()
            if isinstance(error, RuntimeError):  # CuPy refuses transfers to and from the host meanwhile
                return None
            raise
        graph = stream.end_capture()

    def launch(memory=pool):  # which nobody else gets as long as there is the graph
        graph.launch(xp.cuda.get_current_stream())

    return launch, results


def _simulated(function, places):
    """As ``_graph``: without a graph the function is called."""
    xp.recording = True  # meanwhile it refuses what takes from the host, or tells it
    try:
        results = function(*places)
    except RuntimeError:
        return None
    finally:
        xp.recording = False

    def launch():
        for result, again in zip(_arrays(results), _arrays(function(*places))):
            result[...] = again

    return launch, results


def _arrays(results):
    for result in results if isinstance(results, tuple) else (results,):
        yield from result.values() if isinstance(result, dict) else (result,)
