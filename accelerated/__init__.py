"""The functions of ``reference.ops``, computed fast: ``accelerated.cpu`` in Numba."""
