"""A stand-in for a GPU on a machine without one: ``NUMBA_ENABLE_CUDASIM=1``.  On a GPU no file imports this package.

Numba's own simulator runs the kernels, with a Python thread for each CUDA thread.  This package adds

    arrays.py      instead of CuPy: NumPy arrays that behave as CuPy's
    numba_cuda.py  instead of ``numba.cuda``: Numba's simulator, made stricter
    launch.py      instead of a launch by CuPy: a launch by the simulator, counted
    capture.py     instead of a CUDA graph: the function is called again

device.py, kernel.py, graphs.py and product.py choose it by ``if SIMULATED``.

Limits: the simulator may hide a race between threads, and its times do not predict the times on a GPU.
"""
