"""``test-vectors``: inputs, results and tolerances of every op as files, for ports without Python.

README.md in the folder describes the files: it is the head of conformance/test_vectors.py.
"""

from reference.conformance import test_vectors
from reference.runs.files import new_folder, write_together


def add_options(parser):
    parser.add_argument("--out", required=True, metavar="FOLDER", help="a new folder (no default)")


def execute(arguments, ops):
    folder = new_folder(arguments.out)
    made = test_vectors.make_vectors()
    files = {
        "README.md": f"{test_vectors.__doc__}".encode(),
        "vectors.safetensors": made.data(),
        "vectors.json": made.text(),
    }
    counts = {
        "vectors.safetensors": f"{len(made.tensors)} tensors",
        "vectors.json": f"{len(made.cases)} cases",
    }
    write_together(folder, files)
    for name, content in files.items():
        size = f": {counts[name]}, {len(content) / 1e6:.1f} MB" if name in counts else ""
        print(f"wrote {folder / name}{size}")
    return 0
