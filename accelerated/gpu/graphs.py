"""CUDA graphs: the launches of a function, captured once and replayed.

A launch takes ten microseconds of Python.  A training step on small images makes six hundred launches of kernels that take the device a few
microseconds each, so it would wait for Python nine tenths of the time.  One launch of a graph repeats all of them.

A graph repeats launches at fixed addresses.  Each ``CapturedCalls`` therefore has, in the words of CUDA and PyTorch,

    static_inputs    arrays that the graph reads; each call copies the arrays among its arguments there before the launch
    graph            the launches, with a memory pool of their own
    static_outputs   arrays that the graph writes to; each call returns copies of them, but the arrays of a dictionary themselves

``replayed`` makes one for each signature of the arguments.  It goes through these states:

    NEW        the first call runs the function: kernels are compiled and tables filled, which a capture must not do
    CALLED     the second call captures the graph
    CAPTURED   this and every later call replays the graph
    EAGER      capture met a copy from or to the host: this and every later call runs the function

A graph would freeze what the function read from the host, and would not repeat what it did there: hence EAGER.

Memory grows with each new signature, by the static inputs and the pool, and is freed with the function that ``replayed`` returned.
"""

from contextlib import suppress
from enum import Enum

import numpy as np

from accelerated.gpu.device import SIMULATED, is_device_array, xp

if SIMULATED:
    from accelerated.gpu.simulator.capture import simulated_graph


def replayed(function):
    """A function of arrays of the device and other objects.  From the second call of each signature on it replays a CUDA graph.

    ``function`` must depend on nothing but its arguments.  Arrays that an object holds may be written to, but not exchanged.
    """
    graphs: dict = {}

    def call(*args):
        signature = _signature(args)
        calls = graphs.get(signature)
        if calls is None:
            if any(isinstance(arg, np.ndarray) for arg in args):
                return function(*args)  # arrays of the host can't be static inputs
            graphs[signature] = calls = CapturedCalls(function, args)
        return calls(*args)

    return call


def _signature(args):
    """Shape and dtype of each array of the device, and the identity of each other argument.

    ``id`` is unique among living objects.  ``CapturedCalls`` holds the objects of its signature, so that no later object gets their ids.
    """
    return tuple([(arg.shape, arg.dtype) if is_device_array(arg) else id(arg) for arg in args])


class State(Enum):
    NEW, CALLED, CAPTURED, EAGER = range(4)


class CapturedCalls:
    """The calls of a function with arguments of one signature; the states are those at the head of this file."""

    def __init__(self, function, args):
        self.function, self.state = function, State.NEW
        self.objects = [arg for arg in args if not is_device_array(arg)]  # held for ``_signature``
        self.graph = self.static_inputs = self.static_outputs = None

    def __call__(self, *args):
        if self.state is State.CALLED:
            self.capture(*args)
        if self.state is State.CAPTURED:
            return self.replay(*args)
        if self.state is State.NEW:
            self.state = State.CALLED
        return self.function(*args)

    def capture(self, *args):
        """CALLED -> CAPTURED, or EAGER.  No kernel of the function runs meanwhile."""
        static_inputs = [arg.copy() if is_device_array(arg) else arg for arg in args]
        captured = (simulated_graph if SIMULATED else cuda_graph)(self.function, static_inputs)
        if captured is None:
            self.state = State.EAGER
        else:
            self.state, self.static_inputs = State.CAPTURED, static_inputs
            self.graph, self.static_outputs = captured

    def replay(self, *args):
        """Copies of the static outputs for these arguments; dictionaries are returned without a copy, and the next call overwrites them."""
        for static, arg in zip(self.static_inputs, args):
            if is_device_array(arg):
                static[...] = arg
        self.graph()
        outputs = self.static_outputs
        return tuple(map(_copy, outputs)) if isinstance(outputs, tuple) else _copy(outputs)


def _copy(output):
    return output.copy() if is_device_array(output) else output


def cuda_graph(function, static_inputs):
    """(the function that launches the graph, its static outputs); None where ``function`` copies from or to the host."""
    pool, stream = xp.cuda.MemoryPool(), xp.cuda.Stream(non_blocking=True)
    with xp.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        try:
            static_outputs = function(*static_inputs)
        except BaseException as error:
            with suppress(RuntimeError):
                stream.end_capture()
            if isinstance(error, RuntimeError):  # CuPy refuses copies from and to the host during capture
                return None
            raise
        graph = stream.end_capture()

    def launch(pool=pool):  # the default value holds the pool, whose memory stays the graph's
        graph.launch(xp.cuda.get_current_stream())

    return launch, static_outputs
