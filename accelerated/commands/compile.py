"""``compile``: a port's kernels now, on all processors, instead of each when it is needed first."""

from reference.runs.devices import has_hook, hook


def add_options(parser):
    pass


def execute(arguments, ops):
    if not has_hook(ops, "compile_all"):
        raise ValueError(f"{ops.__name__} has nothing that could be compiled ahead")
    hook(ops, "compile_all")()
    print("every kernel is compiled, for networks in float32")
    return 0
