"""``python -m benchmarks --port gpu``: every op of the GPU port on the device, validated, timed and compared with the roofline.

For each op the call of the workloads that moves the most bytes is timed.  Arguments are on the device, and CUDA events measure the time.
Several calls are captured in one CUDA graph, so that launches by the host, slower than most ops, are not timed, except for ops that need
the host.  The roofline comes from the device's data sheet, or for an unknown device from measured matrix products and copies.

In the simulator all of this runs at tiny sizes, as a test of this file; the times are meaningless.
"""

import time
from dataclasses import replace

import numpy as np

from accelerated import gpu
from accelerated.gpu.device import SIMULATED, to_device, xp
from accelerated.gpu.graphs import CapturedCalls
from benchmarks import measure, roofline
from benchmarks.counts import bytes_moved, operations
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.work import place_noise
from reference import ops as reference_ops
from reference.conformance.call import IN_PLACE_ARGUMENTS, bind_arguments, call_op, describe
from reference.conformance.port import Proxy
from reference.conformance.tolerances import mismatches, worst
from reference.ops.random import Key

SECONDS = 0.2  # of timing for each op
CALLS_PER_GRAPH = 1 if SIMULATED else 20
DEVICE_WORKLOADS = ("mlp-step", "unet8-step", "unet32-step", "particles-given-noise", "fokker-planck-fine")  # their ops are timed


def report(size, log=print):
    """{device, copy_bandwidth, simulated, size, ops}, ready for JSON.  ValueError where there is no device."""
    if reason := gpu.missing():
        raise ValueError(f"--port: accelerated.gpu can't work here: {reason}")
    size = "tiny" if SIMULATED else size
    device = data_sheet_device() or measure_device(256 if SIMULATED else 8192)
    log(f"{device.name}: {device.bandwidth / 1e9:.4g} GB/s, {device.float32 / 1e12:.3g} TFLOP/s in float32")
    log(f"{'op':26} {'us':>10} {'us, roofline':>13} {'share':>6}   arguments")
    ops = {}
    for name, arguments in largest_calls(size).items():
        ops[name] = entry = time_op(name, arguments, device)
        times = ""
        if "median" in entry:
            times = f"{1e6 * entry['median']:10.2f} {1e6 * entry['roofline']:13.2f} {entry['roofline'] / entry['median']:6.0%}"
        log(f"{name:26} {times or entry['not_timed']}   {describe(name, arguments)}")
    return {"device": device.name, "copy_bandwidth": device.bandwidth, "simulated": SIMULATED, "size": size, "ops": ops}


class LargestCalls(Proxy):
    """The reference; ``calls`` keeps (bytes, arguments) of the call that moves the most bytes, for each op."""

    def __init__(self):
        super().__init__(reference_ops, self._keep)
        self.calls: dict = {}

    def _keep(self, name, function, args, kwargs):
        arguments = bind_arguments(name, args, kwargs)
        kept = tuple(np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments)
        results = function(*args, **kwargs)
        moved = bytes_moved(name, arguments, results)
        if moved > self.calls.get(name, (-1,))[0]:
            self.calls[name] = moved, kept
        return results


def largest_calls(size):
    """op -> arguments of its largest call, for every op that the workloads call."""
    port = LargestCalls()
    for name in DEVICE_WORKLOADS:
        workload = WORKLOADS[size][name]
        workload.subset().results(port, workload.dtype.type)
    return {name: arguments for name, (_, arguments) in port.calls.items()}


def time_op(name, arguments, device):
    """{median, quartiles, roofline} in seconds; for an op that disagrees with the reference the error instead."""
    function = getattr(gpu, name)
    error = worst(mismatches(name, call_op(name, function, arguments), arguments))
    if error is not None and error.ratio > 1:
        return {"valid": False, "error_over_tolerance": error.ratio, "not_timed": f"it disagrees with the reference: {error}"}
    on_device = [_to_device(argument) for argument in arguments]
    call = lambda: function(*on_device)
    call()

    def several():
        for _ in range(CALLS_PER_GRAPH):
            call()
        return ()

    replay = CapturedCalls(several, ())
    replay.capture()
    replay()
    count = 1 if SIMULATED else max(1, int(SECONDS / 20 / max(device_seconds(replay, 1), 1e-9)))
    seconds = [device_seconds(replay, count) / count / CALLS_PER_GRAPH for _ in range(1 if SIMULATED else 20)]
    results = () if name in IN_PLACE_ARGUMENTS else call_op(name, getattr(reference_ops, name), arguments)
    least = max(device.seconds(operations(name, arguments, results), bytes_moved(name, arguments, results), _dtype(arguments)))
    return measure.statistics([seconds]) | {"valid": True, "roofline": least}


def _dtype(arguments):
    floats = [a.dtype for a in arguments if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return floats[0] if floats else np.dtype(np.float32)


def _to_device(argument):
    if isinstance(argument, Key):
        return place_noise(argument, gpu)
    if isinstance(argument, list):
        return [_to_device(one) for one in argument]
    return to_device(argument) if isinstance(argument, np.ndarray) else argument


def device_seconds(call, count):
    """Seconds of so many calls, by the device's clock."""
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


def data_sheet_device():
    """The device in roofline.DEVICES with the name of this one, or None."""
    if SIMULATED:
        return None
    name = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    words = {"h100": "H100", "h200": "H200", "a100": "A100", "v100": "V100", "t4": "T4", "l4": "L4", "b200": "B200"}
    words |= {f"rtx{n}": f"RTX {n}" for n in (3090, 4090, 5090)}
    found = [roofline.DEVICES[key] for key, word in words.items() if word in name.split() or word in name]
    return replace(found[0], name=f"{name}, by its data sheet") if found else None


def measure_device(n):
    """The device at hand, by measured rates."""
    rates = {}
    for dtype in (np.float32, np.float64):
        x = to_device(np.ones((n, n), dtype))
        rates[np.dtype(dtype).name] = 2 * n**3 / min(device_seconds(lambda x=x: xp.matmul(x, x), 3) / 3 for _ in range(5))
    a = to_device(np.ones(n * n))
    bandwidth = 2 * a.nbytes / min(device_seconds(lambda: a.copy(), 3) / 3 for _ in range(5))
    return roofline.Device("the device at hand, measured", bandwidth, **rates)
