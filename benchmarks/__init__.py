"""How fast a port of the ops is, beside PyTorch, JAX and SciPy doing the same work: ``python -m benchmarks``.

    workloads.py      the work, written once on the ops of a port, and its inputs
    peers/            the same work in other libraries
    counts.py         the operations of a workload by the contract's counts
    worker.py         a process in which one implementation does one workload
    measure.py        validation, turns, statistics
    __main__.py       which of them, the table and the JSON file

An implementation that disagrees with the reference is not timed.
"""
