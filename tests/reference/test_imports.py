"""Allowed imports: mathematical modules import only NumPy and SciPy, and the reference imports no port."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reference

ROOT = Path(reference.__file__).parent
# Each room may import itself and the rooms before it.
ROOMS = "ops networks diffusion vae ddpm smld samplers restoration distillation sde fokker_planck".split()
MATHEMATICS = tuple(ROOMS)
ROOMS += "data runs conformance audit plotting animation tutorial commands".split()
DEVICE_WORDS = re.compile(r"getattr\((ops|port)\b|\b(to_device|to_host|captured|replayed|prepare)\b")
ALLOWED = {*sys.stdlib_module_names, "numpy", "scipy", "reference"}


def modules(*places):
    found = [
        path
        for place in places
        for path in ([ROOT / f"{place}.py"] if (ROOT / f"{place}.py").exists() else sorted((ROOT / place).rglob("*.py")))
    ]
    assert found
    return found


def imported(path):
    """The top-level names of all modules imported anywhere in a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("reference" if node.level else node.module.partition(".")[0])
    return names


def rooms_imported(path):
    """The rooms of the reference that a file imports, at any line."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "reference":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("reference."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("reference.")}
    return rooms & {*ROOMS}


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(*MATHEMATICS), ids=relative)
def test_mathematical_modules_import_only_numpy_and_scipy(path):
    assert imported(path) <= ALLOWED


def test_every_file_of_the_reference_stands_in_a_room():
    assert {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} == {
        *ROOMS,
        "__init__",
        "__main__",
    }


@pytest.mark.parametrize("path", modules(*ROOMS), ids=relative)
def test_a_room_imports_only_rooms_before_it(path):
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert rooms_imported(path) <= {*ROOMS[: ROOMS.index(own) + 1]}


@pytest.mark.parametrize("path", modules(*MATHEMATICS), ids=relative)
def test_mathematical_modules_know_nothing_of_devices(path):
    assert not DEVICE_WORDS.search(path.read_text())


@pytest.mark.parametrize("path", modules("."), ids=relative)
def test_reference_imports_no_port_and_no_test(path):
    assert not imported(path) & {"accelerated", "tests", "hypothesis", "pytest"}


def test_imports_are_found_anywhere_in_a_file(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import numpy as np, json\nfrom scipy.stats import norm\nfrom . import ops\ndef f():\n    import matplotlib.pyplot\n")
    assert imported(path) == {"numpy", "json", "scipy", "reference", "matplotlib"}


def test_importing_the_reference_loads_no_heavy_module():
    heavy = ("matplotlib", "scipy.stats", "scipy.optimize", "sklearn", "numba", "safetensors", "tqdm", "accelerated")
    program = f"import reference, reference.ops, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


def test_the_parser_of_all_commands_loads_no_check_of_the_audit():
    build = "from reference.commands.cli import Program, build_parser; build_parser(Program())"
    program = f"import sys; {build}; print([name for name in ('scipy.stats', 'reference.audit.checks') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


def test_every_name_exported_by_reference_resolves_and_is_documented():
    assert {name: getattr(reference, name).__name__ for name in reference.__all__} == {name: name for name in reference.__all__}
    assert {*reference.__all__} <= {*dir(reference)}
    for name in reference.__all__:
        assert re.search(rf"\b{name}\b", reference.__doc__), name
    with pytest.raises(AttributeError, match="no attribute 'sampler'"):
        _ = reference.sampler
