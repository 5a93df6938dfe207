"""How a scheduler of diffusers is used: the loop of its documentation, and its times and levels in
the audit's terms.

``Driver`` is that of schedulers with a table of alpha_bar and whole times.  Those with levels of
their own are in ``diffusers_families``, those with rules of their own in ``diffusers_special``.
"""

import contextlib
import copy
import importlib
import inspect
import sys
from typing import Any

import numpy as np

from reference.audit.adapters import diffusers_settings as settings

torch = importlib.import_module("torch")
PREDICTIONS = {
    "epsilon": "noise",
    "sample": "x0",
    "v_prediction": "v",
    "flow_prediction": "velocity",
}
CLIPPING = {"clip_sample": False, "thresholding": False, "clip_denoised": False}


class Driver:
    """A scheduler with a table of alpha_bar, whole times 0 .. T - 1, and a step of its own."""

    has_step, has_sample = True, True

    def __init__(self, name, kind, run):
        self.name, self.kind, self.run, self.made = name, kind, run, {}
        self.trained = self.new()  # as training uses it: without set_timesteps
        self.scheduler = self.new()
        self.config = self.scheduler.config
        self.n = None
        self.step_takes = inspect.signature(kind.step).parameters if hasattr(kind, "step") else ()

    def new(self, n=None, **more):
        """A new scheduler, with the grid of ``n`` steps."""
        given = self.run["init"] | more
        if str(given) not in self.made:  # some constructors compute a grid of T steps
            self.made[str(given)] = self.kind(**given)
        scheduler = copy.deepcopy(self.made[str(given)])
        if n is not None:
            self.set_steps(scheduler, n)
        return scheduler

    def set_steps(self, scheduler, n):
        scheduler.set_timesteps(n, **self.run["steps"])

    # what the audit sees

    def pieces(self):
        found = {"timesteps": self.timesteps, **self.levels()}
        if hasattr(self.trained, "add_noise"):
            found["add_noise"] = self.add_noise
        if hasattr(self.trained, "get_velocity"):
            found["velocity"] = self.velocity
        if self.has_step:
            found["step"] = self.step
            if self.has_step and self.predicts_x0():
                found["predict_x0"] = self.predict_x0
        if self.has_sample:
            found["sample"] = self.sample
        return found

    def levels(self):
        tables = {"alpha_bar": self.trained.alphas_cumprod}
        if "snr_shift_scale" not in self.config:  # betas are those before the shift
            tables["betas"] = self.trained.betas
        return tables

    def claims(self):
        kind = getattr(self.config, "prediction_type", "epsilon")
        facts = {"prediction": PREDICTIONS.get(kind, kind), "sampler": self.sampler()}
        if spacing := self.grid():
            facts["grid"] = spacing
        if order := settings.order(self.name, self.config, self.run):
            facts["order"] = order
        return facts

    def grid(self):
        """The spacing that is claimed: other sigmas have a grid of their own."""
        others = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
        own = any(getattr(self.config, name, False) for name in others)
        spacing = getattr(self.config, "timestep_spacing", None)
        return spacing if self.has_step and not own else None

    def sampler(self):
        algorithm = str(getattr(self.config, "algorithm_type", ""))
        if self.name == "SASolverScheduler" or algorithm.startswith("sde"):
            return "sde"
        stochastic = self.run["step"].get("eta", 0) or self.run["step"].get("s_churn", 0)
        return "sde" if stochastic or self.name in settings.STOCHASTIC else "ode"

    def notes(self):
        """Rows (name, target, ours, how) of the report that only the documentation tells."""
        rows = []
        start = getattr(self.scheduler, "init_noise_sigma", 1.0)
        rows.append(
            ("start", f"N(0, {float(start):.6g}^2) noise", "the marginal at T", "documented")
        )
        if any(getattr(self.config, name, False) for name in CLIPPING):
            rows.append(
                ("clipping of the class", "on by default, off in sample", "by option", "its config")
            )
        return rows

    # times

    def times(self, scheduler):
        """The n times of the grid, as the audit counts them."""
        return scheduler.timesteps

    def timesteps(self, n):
        self.set_steps(self.scheduler, n)
        self.n = n
        times = self.times(self.scheduler)
        if float(times[-1]) < 0:  # a loop calls the network at each of them
            raise ValueError(f"timesteps has {len(times)} entries, the last is {times[-1]:g}")
        return times

    def place(self, t):
        """(the scheduler with the latest grid, the index of t in it)."""
        place = near(self.times(self.scheduler), t) if self.n else None
        if place is None:
            raise ValueError(f"the grid of {self.n} steps does not have the time {t:g}")
        index = place * getattr(self.scheduler, "order", 1)
        self._reset(self.scheduler, index)
        return self.scheduler, index

    def _reset(self, scheduler, index):
        if hasattr(scheduler, "_step_index"):
            scheduler._step_index = None
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(index)

    # the forward process

    def native(self, t):
        """The scheduler's tensor of times for the audit's t, a number or one for each sample."""
        return torch.as_tensor(np.atleast_1d(np.asarray(t)))

    def add_noise(self, x0, noise, t):
        return self.trained.add_noise(x0, noise, self.native(t))

    def velocity(self, x0, noise, t):
        return self.trained.get_velocity(x0, noise, self.native(t))

    # the reverse process

    def predicts_x0(self):
        output = sys.modules[self.kind.__module__].__dict__
        return any(
            "pred_original_sample" in getattr(value, "__annotations__", {})
            for key, value in output.items()
            if key.endswith("Output") and key.startswith(self.name.removesuffix("Scheduler")[:4])
        )

    def call_step(self, scheduler, output, index, x, **more):
        """``scheduler.step`` at a place of its grid, with the options of the user."""
        return scheduler.step(output, scheduler.timesteps[index], x, **self.run["step"], **more)

    def step(self, prediction, t, x, noise):
        scheduler, index = self.place(t)
        with given_noise(self.kind, noise):
            return self.call_step(scheduler, prediction, index, x).prev_sample

    def predict_x0(self, prediction, t, x):
        if not self.n or near(self.times(self.scheduler), t) is None:
            self.timesteps(len(self.trained.timesteps))
        scheduler, index = self.place(t)
        with given_noise(self.kind, torch.zeros_like(x)):
            return self.call_step(scheduler, prediction, index, x).pred_original_sample

    def sample(self, denoise, x, steps, seed):
        """The documented loop, without clipping unless an option asks for it."""
        off = {k: v for k, v in CLIPPING.items() if k in self.config and k not in self.run["init"]}
        scheduler = self.new(steps, **off)
        self.begin(scheduler)
        more = {}
        if "generator" in self.step_takes:
            more["generator"] = torch.Generator().manual_seed(seed)
        x = self.start(scheduler, x)
        for index, t in enumerate(scheduler.timesteps[: self.calls(scheduler)]):
            given = self.network_input(scheduler, x, t)
            output = self.network(scheduler, denoise, given, index)
            x = self.advance(scheduler, output, index, x, more)
        return x

    def begin(self, scheduler):
        """Before the first step of a sample."""

    def calls(self, scheduler):
        return len(scheduler.timesteps)

    def start(self, scheduler, x):
        return x * scheduler.init_noise_sigma if hasattr(scheduler, "init_noise_sigma") else x

    def network_input(self, scheduler, x, t):
        return scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x

    def network(self, scheduler, denoise, given, index):
        return denoise(given, scheduler.timesteps[index])

    def advance(self, scheduler, output, index, x, more):
        return self.call_step(scheduler, output, index, x, **more).prev_sample


def near(times, t):
    """The place of t, None if it is not there.  Times of levels are rounded to float32."""
    if not len(times):
        return None
    distance = np.abs(np.asarray(times) - t)
    place = int(np.argmin(distance))
    return place if distance[place] <= 1e-4 * max(1.0, abs(t)) else None


@contextlib.contextmanager
def given_noise(kind, noise):
    """The noise that a step of ``kind`` adds is ``noise``."""
    module: Any = sys.modules[kind.__module__]
    before = getattr(module, "randn_tensor", None)
    module.randn_tensor = lambda *_, **__: noise
    try:
        yield
    finally:
        module.randn_tensor = before
