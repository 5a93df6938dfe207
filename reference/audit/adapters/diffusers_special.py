"""Drivers of the schedulers of diffusers that have rules of their own."""

import numpy as np

from reference.audit.adapters import diffusers_settings as settings
from reference.audit.adapters.diffusers_brownian import CosineMultistep, Seeded
from reference.audit.adapters.diffusers_drivers import Driver, given_noise, torch
from reference.audit.adapters.diffusers_families import (
    Flow,
    Multistep,
    MultistepFlow,
    Scaled,
    Sigma,
)


class UnCLIP(Driver):
    """Its step takes the previous time, None for the clean one."""

    def step(self, prediction, t, x, noise, t_prev):  # type: ignore[override]
        self.previous = int(t_prev) if t_prev >= 0 else None
        return super().step(prediction, t, x, noise)

    def place(self, t):
        self.scheduler.timesteps = torch.tensor([int(t)])
        return self.scheduler, 0

    def call_step(self, scheduler, output, index, x, **more):
        return super().call_step(scheduler, output, index, x, prev_timestep=self.previous, **more)

    def advance(self, scheduler, output, index, x, more):
        after = scheduler.timesteps[index + 1 :]
        self.previous = int(after[0]) if len(after) else None
        return super().advance(scheduler, output, index, x, more)

    def predict_x0(self, prediction, t, x):
        self.previous = None
        scheduler, index = self.place(t)
        return self.call_step(scheduler, prediction, index, x).pred_original_sample


class TwoSteps(Driver):
    """CogVideoX's DPM-Solver: each step gets the previous estimate of x_0, and its time."""

    has_step = False

    def sample(self, denoise, x, steps, seed):
        self.old = None
        return super().sample(denoise, x, steps, seed)

    def advance(self, scheduler, output, index, x, more):
        times = scheduler.timesteps
        back = times[index - 1] if index else None
        x, self.old = scheduler.step(output, self.old, times[index], back, x, **more)[:2]
        return x


class Wuerstchen(Driver):
    """Real times 1 .. 0; a step takes one time for each sample."""

    def levels(self):
        def marginal(t):
            alpha_bar = self.scheduler._alpha_cumprod(torch.tensor([float(t)]), "cpu")
            alpha_bar = float(alpha_bar.double())
            return alpha_bar**0.5, (1 - alpha_bar) ** 0.5

        return {"marginal": marginal, "times": np.arange(1001) / 1000}

    def new(self, n=None, **more):
        scheduler = super().new(n, **more)
        if n is None:
            scheduler.set_timesteps(1000)
        return scheduler

    def claims(self):
        return super().claims() | {"time": "real"}

    def times(self, scheduler):
        return scheduler.timesteps[:-1]

    def calls(self, scheduler):
        return len(scheduler.timesteps) - 1

    def native(self, t):
        return super().native(t).to(torch.float32)

    def call_step(self, scheduler, output, index, x, **more):
        return scheduler.step(output, scheduler.timesteps[index].expand(len(x)), x, **more)


class PNDM(Driver):
    """Runge-Kutta steps first, unless ``skip_prk_steps``; then linear multistep ones."""

    has_step = False

    def times(self, scheduler):
        return scheduler._timesteps[::-1].copy()


class IPNDM(Driver):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2) at real times, and a network of v."""

    has_step = False

    def levels(self):
        angle = np.pi / 2
        return {
            "marginal": lambda t: (float(np.cos(angle * t)), float(np.sin(angle * t))),
            "times": np.arange(1001) / 1000,
        }

    def claims(self):
        return super().claims() | {"time": "real", "prediction": "v"}


class Consistency(Driver):
    """LCM and TCD: the times are those of the distillation."""

    has_sample = False

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        steps = self.run["steps"].get("original_inference_steps")
        self.steps = steps or self.config.original_inference_steps
        self.timesteps(self.steps)
        self.known = [int(t) for t in self.scheduler.timesteps]

    def grid(self):
        return None

    def levels(self):
        tables = super().levels()
        alpha_bar = tables["alpha_bar"].double().numpy()

        def marginal(t):
            value = alpha_bar[int(t)] if t >= 0 else 1.0
            return float(value**0.5), float((1 - value) ** 0.5)

        return tables | {"marginal": marginal, "times": np.array([-1, *self.known[::-1]])}

    def claims(self):
        return super().claims() | {"time": "0-based"}


class Consistent(Sigma):
    """Consistency models: x_0 is the sample at sigma_min, to which their function leads."""

    has_sample = False

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        self.has_step = True

    def pieces(self):
        found = super().pieces()
        found.pop("predict_x0", None)
        return found

    def raw(self, scheduler, x0, x, sigma):
        least = self.config.sigma_min
        skip, out = scheduler.get_scalings_for_boundary_condition(torch.as_tensor(sigma))
        at_least = x0 + least * (x - x0) / sigma
        return (at_least - skip * x) / out

    def notes(self):
        rows = Driver.notes(self)
        rows.append(("network's time", "250 log(sigma)", "t", "sigma_to_t"))
        rows.append(("x_0", "the sample at sigma_min", "the sample at sigma = 0", "documented"))
        return rows


class TrigFlow(Driver):
    """SCM: angles, and everything in units of sigma_data."""

    has_sample = False

    def set_steps(self, scheduler, n):
        own = {} if n == 2 else {"intermediate_timesteps": None}
        scheduler.set_timesteps(n, **(own | self.run["steps"]))

    def levels(self):
        return {
            "marginal": lambda t: (float(np.cos(t)), float(np.sin(t))),
            "times": 1.5708 * np.arange(1001) / 1000,
        }

    def claims(self):
        return super().claims() | {"time": "real", "prediction": "v"}

    def times(self, scheduler):
        return scheduler.timesteps[:-1]

    def step(self, prediction, t, x, noise):
        scale = self.config.sigma_data
        return super().step(prediction * scale, t, x * scale, noise) / scale

    def predict_x0(self, prediction, t, x):
        self.scheduler.timesteps = torch.tensor([float(t), 0.0])
        self.scheduler.num_inference_steps, self.n = 1, None
        self._reset(self.scheduler, 0)
        with given_noise(self.kind, torch.zeros_like(x)):
            return self.call_step(self.scheduler, prediction, 0, x).pred_original_sample


class ScoreSdeVe(Driver):
    """Predictor and corrector of the variance-exploding SDE; the network gets sigma.

    The corrector's step size is a ratio of norms, averaged over the batch, of which the audit knows
    no closed form: ``sample`` without the corrector alone.
    """

    has_step = False

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        self.has_sample = self.config.correct_steps == 0

    def levels(self):
        sigmas = self.trained.discrete_sigmas.double().numpy()
        return {"marginal": lambda t: (1.0, float(t)), "times": np.array([0.0, *sigmas])}

    def pieces(self):
        found = super().pieces()
        found.pop("add_noise")  # it takes images alone
        return found

    def claims(self):
        return super().claims() | {"time": "sigma", "prediction": "score"}

    def set_steps(self, scheduler, n):
        scheduler.set_timesteps(n)
        scheduler.set_sigmas(n)

    def times(self, scheduler):
        return scheduler.sigmas

    def sample(self, denoise, x, steps, seed):
        scheduler = self.new(steps)
        generator = torch.Generator().manual_seed(seed)
        x = x / scheduler.sigmas[0] * scheduler.init_noise_sigma
        for sigma, t in zip(scheduler.sigmas, scheduler.timesteps):
            for _ in range(scheduler.config.correct_steps):
                x = scheduler.step_correct(denoise(x, sigma), x, generator=generator).prev_sample
            result = scheduler.step_pred(denoise(x, sigma), t, x, generator=generator)
            x, mean = result.prev_sample, result.prev_sample_mean
        return mean


class MiniMax(Flow):
    """The network predicts x_0 - eps at 1 - sigma; the audit's time is sigma."""

    prediction = "reversed velocity"

    def __init__(self, name, kind, run):
        Driver.__init__(self, name, kind, run)
        self.T = 1.0

    def new(self, n=None, **more):
        scheduler = super().new(n, **more)
        if n is None:
            scheduler.set_timesteps(1001)
        return scheduler

    def levels(self):
        return {"marginal": lambda t: (1.0 - t, float(t)), "times": np.arange(1001) / 1000}

    def set_steps(self, scheduler, n):
        scheduler.set_timesteps(n + 1, **self.run["steps"])

    def times(self, scheduler):
        return scheduler.sigmas[:-1]

    def native(self, t):
        return 1 - Driver.native(self, t).to(torch.float32)

    def add_noise(self, x0, noise, t):
        return self.trained.scale_noise(x0, self.native(t), noise)

    def network(self, scheduler, denoise, given, index):
        return denoise(given, scheduler.sigmas[index])

    def notes(self):
        rows = super().notes()
        rows.append(("network's time", "1 - sigma", "sigma", "its code"))
        rows.append(("n steps", "n sigmas, n - 1 evaluations", "n evaluations", "documented"))
        return rows


class LTX(Flow):
    """Its grid is that of FlowMatchEulerDiscreteScheduler."""

    def new(self, n=None, **more):
        scheduler = super().new(n, **more)
        if n is None:
            scheduler.set_timesteps(1000)
        return scheduler

    def sampler(self):
        return "sde" if self.config.eta else "ode"

    def predicts_x0(self):
        return False


class Helios(Flow):
    """With one stage, UniPC on the levels of a flow."""

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        self.has_step = False

    def levels(self):
        return super().levels() | {"times": np.arange(1001.0)}


DRIVERS = {
    "UnCLIPScheduler": UnCLIP,
    "CogVideoXDPMScheduler": TwoSteps,
    "DDPMWuerstchenScheduler": Wuerstchen,
    "PNDMScheduler": PNDM,
    "IPNDMScheduler": IPNDM,
    "LCMScheduler": Consistency,
    "TCDScheduler": Consistency,
    "CMStochasticIterativeScheduler": Consistent,
    "SCMScheduler": TrigFlow,
    "ScoreSdeVeScheduler": ScoreSdeVe,
    "MiniMaxH3Scheduler": MiniMax,
    "LTXEulerAncestralRFScheduler": LTX,
    "DPMSolverSDEScheduler": Seeded,
    "CosineDPMSolverMultistepScheduler": CosineMultistep,
    "HeliosScheduler": Helios,
}


def driver_of(name, kind, run, scheduler):
    """The ``Driver`` of a class.  ``run``: {"init", "steps", "step": options of these calls}."""
    if name in DRIVERS:
        return DRIVERS[name](name, kind, run)
    if getattr(scheduler.config, "use_flow_sigmas", False):
        return MultistepFlow(name, kind, run)
    if name in settings.MULTISTEP:
        return Multistep(name, kind, run)
    if hasattr(scheduler, "precondition_outputs"):
        return Sigma(name, kind, run)
    if name.startswith("FlowM"):
        return Flow(name, kind, run)
    if hasattr(scheduler, "sigmas"):
        return Scaled(name, kind, run)
    return Driver(name, kind, run)
