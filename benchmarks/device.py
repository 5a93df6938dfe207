"""``python -m benchmarks --port gpu``: every op of the GPU port on the device, validated, then timed beside what the device could do.

The calls are those of the workloads, for each op the one that moves most.  Arguments lie on the device; events on its stream say how long
a call takes there.  Some calls are recorded and replayed together: the host, which takes longer to launch most of them, is seen only where
an op needs it.  The roofline is that of the device's name if it is known, with rates measured here otherwise, by a product of matrices and
a copy.

In the simulator all of this runs at tiny sizes, to show that it does; its times mean nothing.
"""

import time
from dataclasses import replace

import numpy as np

from accelerated import gpu
from accelerated.gpu.device import SIMULATED, to_device, xp
from accelerated.gpu.graphs import CapturedCalls
from benchmarks import measure, roofline
from benchmarks.counts import moved, operations
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.work import place_noise
from reference import ops as reference_ops
from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments, call_op, describe
from reference.conformance.contract import OPS
from reference.conformance.tolerances import mismatches, worst
from reference.ops.random import Key

SECONDS = 0.2  # of calls that are timed, for each op
TOGETHER = 1 if SIMULATED else 20  # calls
SEEN = ("mlp-step", "unet8-step", "unet32-step", "particles-given", "fokker-planck-fine")  # workloads whose calls are taken


def report(size, say=print):
    """{device, copy_bandwidth, ops, size of the workloads, ...}, ready for JSON.  ValueError where there is no device."""
    if reason := gpu.missing():
        raise ValueError(f"accelerated.gpu can't work here: {reason}")
    size = "tiny" if SIMULATED else size
    device = known_device() or measured_device(256 if SIMULATED else 8192)
    say(f"{device.name}: {device.bandwidth / 1e9:.4g} GB/s, {device.float32 / 1e12:.3g} TFLOP/s in float32")
    say(f"{'op':26} {'us':>10} {'us, roofline':>13} {'share':>6}   arguments")
    ops = {}
    for name, arguments in calls(size).items():
        ops[name] = entry = time_op(name, arguments, device)
        times = ""
        if "median" in entry:
            times = f"{1e6 * entry['median']:10.2f} {1e6 * entry['roofline']:13.2f} {entry['roofline'] / entry['median']:6.0%}"
        say(f"{name:26} {times or entry['not_run']}   {describe(name, arguments)}")
    return {"device": device.name, "copy_bandwidth": device.bandwidth, "simulated": SIMULATED, "size": size, "ops": ops}


class Largest:
    """A port that computes as the reference does and keeps, of each op, the arguments of the call that moves most."""

    def __init__(self):
        self.calls: dict = {}

    def __getattr__(self, name):
        function = getattr(reference_ops, name)
        if name not in OPS:
            return function

        def called(*args, **kwargs):
            arguments = bind_arguments(name, args, kwargs)
            kept = tuple(np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments)
            results = function(*args, **kwargs)
            moving = moved(name, arguments, results)
            if moving > self.calls.get(name, (-1,))[0]:
                self.calls[name] = moving, kept
            return results

        return called


def calls(size):
    """Of every op that the workloads call, the arguments of the largest call."""
    port = Largest()
    for name in SEEN:
        workload = WORKLOADS[size][name]
        workload.part().results(port, workload.dtype.type)
    return {name: arguments for name, (_, arguments) in port.calls.items()}


def time_op(name, arguments, device):
    """{median, quartiles, roofline} in seconds, or why it is not timed: what disagrees with the reference is not."""
    function = getattr(gpu, name)
    error = worst(mismatches(name, call_op(name, function, arguments), arguments))
    if error is not None and error.ratio > 1:
        return {"valid": False, "error_over_budget": error.ratio, "not_run": f"it disagrees with the reference: {error}"}
    there = [_there(argument) for argument in arguments]
    call = lambda: function(*there)
    call()

    def several():
        for _ in range(TOGETHER):
            call()
        return ()

    work = CapturedCalls(several, ())
    work.capture()
    work()
    count = 1 if SIMULATED else max(1, int(SECONDS / 20 / max(seconds_of(work, 1), 1e-9)))
    seconds = [seconds_of(work, count) / count / TOGETHER for _ in range(1 if SIMULATED else 20)]
    results = () if name in IN_PLACE_ARGUMENTS else call_op(name, getattr(reference_ops, name), arguments)
    least = max(device.seconds(operations(name, arguments, results), moved(name, arguments, results), _dtype(arguments)))
    return measure.statistics([seconds]) | {"valid": True, "roofline": least}


def _dtype(arguments):
    floats = [a.dtype for a in arguments if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return floats[0] if floats else np.dtype(np.float32)


def _there(argument):
    if isinstance(argument, Key):
        return place_noise(argument, gpu)
    if isinstance(argument, list):
        return [_there(one) for one in argument]
    return to_device(argument) if isinstance(argument, np.ndarray) else argument


def seconds_of(call, count):
    """Of so many calls, on the device's own clock."""
    if SIMULATED:
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - begin
    first, last = xp.cuda.Event(), xp.cuda.Event()
    first.record()
    for _ in range(count):
        call()
    last.record()
    last.synchronize()
    return xp.cuda.get_elapsed_time(first, last) / 1e3


def known_device():
    """That of the roofline's table which bears this one's name; None if none does."""
    if SIMULATED:
        return None
    name = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    words = {"h100": "H100", "h200": "H200", "a100": "A100", "v100": "V100", "t4": "T4", "l4": "L4", "b200": "B200"}
    words |= {f"rtx{n}": f"RTX {n}" for n in (3090, 4090, 5090)}
    found = [roofline.DEVICES[key] for key, word in words.items() if word in name.split() or word in name]
    return replace(found[0], name=f"{name}, as its data sheet says") if found else None


def measured_device(n):
    """Rates of the device at hand."""
    rates = {}
    for dtype in (np.float32, np.float64):
        x = to_device(np.ones((n, n), dtype))
        rates[np.dtype(dtype).name] = 2 * n**3 / min(seconds_of(lambda x=x: xp.matmul(x, x), 3) / 3 for _ in range(5))
    a = to_device(np.ones(n * n))
    bandwidth = 2 * a.nbytes / min(seconds_of(lambda: a.copy(), 3) / 3 for _ in range(5))
    return roofline.Device("the device at hand, measured", bandwidth, **rates)
