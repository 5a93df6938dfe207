"""``figures NAME...|all``: the tutorial's computed figures, each in a file of its own."""

import json
from pathlib import Path

from reference import plotting
from reference.runs.files import output_folder, write_atomically
from reference.tutorial.figures import ANIMATIONS, FIGURES

NAMES = (*FIGURES, *ANIMATIONS)


def add_options(parser):
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help=f"all, or some of {', '.join(NAMES)}"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="made if need be")
    parser.add_argument("--quick", action="store_true", help="fewer particles, coarser maps")


def execute(arguments, ops):
    names = _chosen(arguments.names)
    paths = {name: _path(arguments.out, name) for name in names}
    for name, path in paths.items():
        _refuse_to_lose(path, _settings(name, arguments.quick))
    output_folder(arguments.out)
    for number, (name, path) in enumerate(paths.items(), 1):
        write_atomically(path, _drawn(name, arguments.quick))
        print(f"wrote {path}   {number} of {len(paths)}", flush=True)
    return 0


def _chosen(names):
    """Each name once, in the order of the tutorial.  ValueError for one that is not known."""
    for name in names:
        if name != "all" and name not in NAMES:
            raise ValueError(f"NAME must be all or one of {', '.join(NAMES)}, got {name!r}")
    return [name for name in NAMES if "all" in names or name in names]


def _path(folder, name):
    return Path(folder) / (f"{name}.gif" if name in ANIMATIONS else f"figure-{name}.png")


def _settings(name, quick):
    return {"tutorial figure": name, "quick": quick}


def _refuse_to_lose(path, settings):
    """ValueError where a file is in the way, but for one that the same command made: nothing is
    lost by drawing that again.
    """
    if not path.exists() and not path.is_symlink():
        return
    try:
        if json.loads(plotting.description_of(path)) == settings:
            return
    except (OSError, KeyError, ValueError):  # not a picture of ours
        pass
    raise ValueError(
        f"{path} exists already, and was not made by the same command: name another --out, or remove it first"
    )


def _drawn(name, quick):
    """The bytes of a figure's file."""
    description = json.dumps(_settings(name, quick))
    if name in ANIMATIONS:
        figure, updates = ANIMATIONS[name](quick)
        return plotting.gif_bytes(figure, updates, description)
    return plotting.png_bytes(FIGURES[name](quick), description)
