"""Steps of the Fokker-Planck equation on a line."""

from dataclasses import dataclass

import numpy as np

from benchmarks.workloads.work import Workload
from reference.runs.devices import to_device


@dataclass(frozen=True)
class FokkerPlanck(Workload):
    """Steps of the Fokker-Planck equation in a double well, each from the density p after the previous one."""

    cells: int
    steps = 3
    dtype = np.dtype(np.float64)

    def inputs(self, dtype=np.float64):
        """p [n], drift [n+1], diffusion [n+1], dx, dt."""
        faces = np.linspace(-3, 3, self.cells + 1)
        centres, dx = (faces[1:] + faces[:-1]) / 2, 6 / self.cells
        p = np.exp(-((centres - 1) ** 2)) / np.pi**0.5
        return p.astype(dtype), (faces - faces**3).astype(dtype), np.full(self.cells + 1, 0.5, dtype), dx, dx

    def results(self, ops, dtype=np.float64):
        p, *rest = self.inputs(dtype)
        for _ in range(self.steps):
            p = ops.fokker_planck_step(p, *rest)
        return {"density": {"p": p}}

    def call(self, ops):
        p, drift, diffusion, *rest = (to_device(value, ops) if isinstance(value, np.ndarray) else value for value in self.inputs())

        def step():
            nonlocal p
            p = ops.fokker_planck_step(p, drift, diffusion, *rest)

        return step
