"""``info``: what a result depends on, beside code and options."""

from importlib.metadata import version

import reference
from reference.checkpoint import environment

LIBRARIES = ("matplotlib", "numba", "safetensors", "scikit-learn", "tqdm")


def add_options(parser):
    pass


def execute(arguments, ops):
    rows = {"reference": reference.__version__} | environment(ops) | {name: version(name) for name in LIBRARIES}
    for name, value in rows.items():
        print(f"{name:12}  {value}")
    return 0
