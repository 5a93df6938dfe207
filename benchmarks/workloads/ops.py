"""Single ops, and the matrix product that measures the machine."""

from dataclasses import dataclass

import numpy as np

from benchmarks.workloads.work import SEED, Workload, normal_array
from reference import ops as reference_ops
from reference.conformance import op_inputs
from reference.conformance.call import backward_arguments, call_op, result_names
from reference.conformance.tolerances import FEW_ENTRIES
from reference.ops.random import Purpose
from reference.runs.devices import to_device


@dataclass(frozen=True)
class Op(Workload):
    """One op, forward and backward with a random upstream gradient.  ``sizes``: arguments of its function in conformance/op_inputs.py.

    Gradients of few entries, sums over all samples and pixels, are no results: the rule for networks would use the scale of the others.
    """

    op: str
    sizes: tuple

    def arguments(self, dtype=np.float32):
        """(arguments of the forward, arguments of the backward)."""
        args = getattr(op_inputs, self.op)(op_inputs.RandomArrays(SEED, 1.0, 0.0, dtype), *self.sizes)
        y = call_op(self.op, getattr(reference_ops, self.op), args)[0]
        return args, backward_arguments(self.op, args, op_inputs.RandomArrays(SEED + 1, 1.0, 0.0, dtype)(*y.shape))

    def results(self, ops, dtype=np.float32):
        (args, back), name = self.arguments(dtype), f"{self.op}_backward"
        y = call_op(self.op, getattr(ops, self.op), args)[0]
        gradients = dict(zip(result_names(name), call_op(name, getattr(ops, name), back)))
        large = {word: array for word, array in gradients.items() if array is not None and array.size >= FEW_ENTRIES}
        return {"forward": {"y": y}, "backward": large}

    def call(self, ops):
        args, back = ([to_device(a, ops) if isinstance(a, np.ndarray) else a for a in group] for group in self.arguments())
        return lambda: (getattr(ops, self.op)(*args), getattr(ops, f"{self.op}_backward")(*back))


@dataclass(frozen=True)
class MatMul(Workload):
    """The product of two square matrices, plus a bias.  Its fastest implementation gives the machine's matrix-product rate."""

    n: int

    def inputs(self, dtype=np.float32):
        """x [n,n], w [n,n], b [n]."""
        x, w = (normal_array(Purpose.DATA, step, self.n, (self.n,), dtype) for step in range(2))
        return x, w, np.ones(self.n, dtype)

    def results(self, ops, dtype=np.float32):
        return {"matmul": {"y": ops.linear(*self.inputs(dtype))}}

    def call(self, ops):
        inputs = [to_device(array, ops) for array in self.inputs()]
        return lambda: ops.linear(*inputs)
