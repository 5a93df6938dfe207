"""Ops alone, and the product of matrices by which the machine is measured."""

from dataclasses import dataclass

import numpy as np

from benchmarks.workloads.work import SEED, Work, numbers
from reference import cases
from reference import ops as reference_ops
from reference.budgets import FEW
from reference.calls import backward_arguments, outputs, result_names
from reference.ops.random import Purpose
from reference.placement import place


@dataclass(frozen=True)
class Op(Work):
    """One op, forward and backward at a random gradient; ``sizes`` as reference/cases.py takes them.

    Gradients of few entries, sums over all samples and pixels, are no results: the rule for networks measures them by the others.
    """

    op: str
    sizes: tuple

    def arguments(self, dtype=np.float32):
        """Of the forward, and of the backward."""
        args = getattr(cases, self.op)(cases.Numbers(SEED, 1.0, 0.0, dtype), *self.sizes)
        y = outputs(self.op, getattr(reference_ops, self.op), args)[0]
        return args, backward_arguments(self.op, args, cases.Numbers(SEED + 1, 1.0, 0.0, dtype)(*y.shape))

    def results(self, ops, dtype=np.float32):
        (args, back), name = self.arguments(dtype), f"{self.op}_backward"
        y = outputs(self.op, getattr(ops, self.op), args)[0]
        gradients = dict(zip(result_names(name), outputs(name, getattr(ops, name), back)))
        large = {word: array for word, array in gradients.items() if array is not None and array.size >= FEW}
        return {"forward": {"y": y}, "backward": large}

    def call(self, ops):
        args, back = ([place(a, ops) if isinstance(a, np.ndarray) else a for a in group] for group in self.arguments())
        return lambda: (getattr(ops, self.op)(*args), getattr(ops, f"{self.op}_backward")(*back))


@dataclass(frozen=True)
class Product(Work):
    """Two square matrices and a bias: the fastest implementation of it is the machine's matrix-product rate."""

    n: int

    def inputs(self, dtype=np.float32):
        """x [n,n], w [n,n], b [n]."""
        x, w = (numbers(Purpose.DATA, step, self.n, (self.n,), dtype) for step in range(2))
        return x, w, np.ones(self.n, dtype)

    def results(self, ops, dtype=np.float32):
        return {"product": {"y": ops.linear(*self.inputs(dtype))}}

    def call(self, ops):
        inputs = [place(array, ops) for array in self.inputs()]
        return lambda: ops.linear(*inputs)
