"""From the TARGET of the command line to the targets that are audited."""

import importlib
from pathlib import Path

from reference import ops as reference_ops
from reference.audit.target import TargetError, load_target

ADAPTERS = {  # prefix -> the module of this folder with ``targets(name, options, limit)``
    "reference": "ours",
    "k_diffusion": "k_diffusion",
    "diffusers": "diffusers",
}
PREFIXES = tuple(f"{prefix}:NAME" for prefix in ADAPTERS)


def find(name, options, limit, ops=reference_ops, data_dir=None, data=None):
    """The targets of a name: one, or several for ``LIBRARY:all``.  TargetError if there is none.

    ``ops``: the port on which a trained run is evaluated.  ``data``: the name of its data, if they
    are not those of its training, ``data_dir`` their folder, if they are mnist or fashion-mnist.
    """
    prefix, colon, own = name.partition(":")
    if data and not _names_run(name):
        raise TargetError(f"--data belongs to a run or a model for diffusers, and not to {name}")
    if colon and prefix in ADAPTERS:
        module = importlib.import_module(f"reference.audit.adapters.{ADAPTERS[prefix]}")
        return module.targets(own, options, limit)
    if options:
        raise TargetError(f"--option belongs to {' or '.join(PREFIXES)}, and not to {name}")
    if _names_run(name):
        from reference.audit.adapters import runs

        return [runs.target(name, limit, ops, data_dir, data)]
    return [load_target(name, limit)]


def _names_run(name):
    """Is it a folder, an exported file or the name of a model of the package?"""
    from reference.runs.exported import package_models

    path = Path(name)
    return path.is_dir() or path.suffix == ".safetensors" or name in package_models()
