"""The speed of ports, compared with PyTorch, JAX and SciPy doing the same work: ``python -m benchmarks``.  README.md has the results.

Measuring:

    workloads/        the work to be timed, written once on the ops of a port, with its inputs
    peers/            the same work in PyTorch, JAX and SciPy
    worker.py         a process in which one implementation does one workload
    measure.py        validation, timing in turns, statistics
    counts.py         operations and bytes of a workload, by the contract's counts
    device.py         each op of the GPU port, timed on the device

Programs, each a subcommand but the first:

    __main__.py       all workloads: a table and a JSON file of results
    report.py         tables and plots of a results file
    compare.py        changes between two results files
    profile.py        the time of one workload, op by op
    roofline.py       the least time of each op on a device, and the kernel launches of the GPU port
    scaling.py        time and memory over the size of the work, and
    processes.py      .. a training step divided among processes
    train_to_loss.py  whole training runs to a target loss
    studies.py        fused ops, Winograd's accuracy in one op and in training, and
    sampling_cost.py  .. the cost of 50,000 images
    kernels.py        registers, shared memory and spills of the GPU port's kernels

table.py and progress.py print.  An implementation that disagrees with the reference is not timed.
"""
