"""``compile``: compile the kernels of a port ahead of use, on all processors."""


def add_options(parser):
    pass


def execute(arguments, ops):
    if not hasattr(ops, "compile_all"):
        raise ValueError(f"{ops.__name__} has nothing to compile ahead of use: it has no function compile_all")
    ops.compile_all()
    print("every kernel is compiled for float32")
    return 0
