"""``export RUN``: the weights alone, for use elsewhere."""

import json

import numpy as np

from reference.files import output_path, write_atomically
from reference.run import open_run


def add_options(parser):
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument("--out", required=True, metavar="FILE", help="FILE.safetensors")
    parser.add_argument("--weights", default="averaged", choices=("averaged", "last"), help="(default averaged)")


def execute(arguments, ops):
    from safetensors.numpy import save

    run = open_run(arguments.run)
    path = output_path(arguments.out, (".safetensors",))
    weights = run.state.ema if arguments.weights == "averaged" else run.state.params
    facts = {"config": run.config, "step": run.state.step, "weights": arguments.weights}
    write_atomically(path, save({name: np.ascontiguousarray(array) for name, array in weights.items()}, {"run": json.dumps(facts)}))
    print(f"wrote {path}: {len(weights)} arrays, {sum(array.size for array in weights.values()):,} numbers, layout HWIO")
    return 0
