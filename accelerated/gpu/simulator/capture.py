"""A replacement of CUDA graphs: the function is called again, and its results are copied to the static outputs."""

from accelerated.gpu.simulator import arrays


def simulated_graph(function, static_inputs):
    """(launch, static outputs) as graphs.py's; None where the function copies from or to the host."""
    arrays.capturing = True
    try:
        static_outputs = function(*static_inputs)
    except RuntimeError:
        return None
    finally:
        arrays.capturing = False

    def launch():
        for static, new in zip(_arrays(static_outputs), _arrays(function(*static_inputs))):
            static[...] = new

    return launch, static_outputs


def _arrays(results):
    for result in results if isinstance(results, tuple) else (results,):
        yield from result.values() if isinstance(result, dict) else (result,)
