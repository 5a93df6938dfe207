"""``compile``: a port's kernels now, on all processors, instead of each when it is needed first."""


def add_options(parser):
    pass


def execute(arguments, ops):
    if not hasattr(ops, "compile_all"):
        raise ValueError(f"{ops.__name__} has nothing that could be compiled ahead")
    ops.compile_all()
    print("every kernel is compiled, for networks in float32")
    return 0
