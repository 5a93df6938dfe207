"""Diffusion models in NumPy, every backward pass derived by hand.  reference/README.md has the
reading order.
"""

__version__ = "0.1.0"
