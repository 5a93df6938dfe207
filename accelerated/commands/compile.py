"""``compile``: compile the kernels of a port ahead of use, on all processors."""

from reference.runs.devices import has_hook, hook


def add_options(parser):
    pass


def execute(arguments, ops):
    if not has_hook(ops, "compile_all"):
        raise ValueError(f"{ops.__name__} has nothing to compile ahead of use: it has no function compile_all")
    hook(ops, "compile_all")()
    print("every kernel is compiled for float32")
    return 0
