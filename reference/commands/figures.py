"""``figures NAME...|all``: draw the tutorial's computed figures, a file each."""

import json
from pathlib import Path

from reference import animation, plotting
from reference.runs.files import output_folder, write_atomically
from reference.tutorial.figures import ANIMATIONS, FIGURES

NAMES = (*FIGURES, *ANIMATIONS)


def add_options(parser):
    parser.add_argument(
        "names",
        nargs="+",
        choices=("all", *NAMES),
        metavar="NAME",
        help=f"all, or some of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder of the figures (no default)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer particles and coarser maps (default: the full figures)",
    )


def execute(arguments, ops):
    names = _chosen(arguments.names)
    paths = {name: _path(arguments.out, name) for name in names}
    for name, path in paths.items():
        _check_overwrite(path, _settings(name, arguments.quick))
    output_folder(arguments.out)
    for number, (name, path) in enumerate(paths.items(), 1):
        write_atomically(path, _drawn(name, arguments.quick, ops))
        print(f"wrote {path}   {number} of {len(paths)}", flush=True)
    return 0


def _chosen(names):
    """Each name once, in the order of the tutorial."""
    return [name for name in NAMES if "all" in names or name in names]


def _path(folder, name):
    return Path(folder) / (f"{name}.gif" if name in ANIMATIONS else f"figure-{name}.png")


def _settings(name, quick):
    return {"tutorial figure": name, "quick": quick}


def _check_overwrite(path, settings):
    """ValueError if the file exists, unless the same command made it."""
    if not path.exists() and not path.is_symlink():
        return
    try:
        if json.loads(plotting.read_description(path)) == settings:
            return
    except (OSError, KeyError, ValueError):  # not drawn by this command
        pass
    other = "was not made by the same command: name another --out, or remove it first"
    raise ValueError(f"{path} exists already, and {other}")


def _drawn(name, quick, ops):
    """The bytes of a figure's file."""
    description = json.dumps(_settings(name, quick))
    if name in ANIMATIONS:
        figure, updates = ANIMATIONS[name](quick, ops)
        return animation.gif_bytes(figure, updates, description)
    return plotting.png_bytes(FIGURES[name](quick, ops), description)
