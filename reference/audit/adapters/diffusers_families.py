"""Schedulers of diffusers whose levels are ``scheduler.sigmas``.

``Scaled``       x = x_0 + sigma eps, and the network sees x / sqrt(1 + sigma^2), at 0-based times
``Multistep``    x preserves the variance; its levels are ``scheduler.sigmas``
``Sigma``        x = x_0 + sigma eps with a preconditioned network (``precondition_outputs``)
``Flow``         x = (1 - sigma) x_0 + sigma eps at t = 1000 sigma
"""

import numpy as np

from reference.audit.adapters import diffusers_settings as settings
from reference.audit.adapters.diffusers_drivers import Driver, given_noise, torch


class Leveled(Driver):
    """A scheduler whose levels are ``scheduler.sigmas``, in the form x_0 + sigma eps, at times of a
    table that may be fractions.  Between two times of the table, log(sigma) is linear.
    """

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        alpha_bar = self.trained.alphas_cumprod.numpy().astype(np.float64)
        self.table = ((1 - alpha_bar) / alpha_bar) ** 0.5
        self.shift = 0.0  # the largest difference of the network's time from that of its level

    def sigma_of(self, t):
        whole = np.arange(len(self.table))
        return float(np.exp(np.interp(float(t), whole, np.log(self.table))))

    def time_of(self, sigma):
        return float(np.interp(np.log(sigma), np.log(self.table), np.arange(len(self.table))))

    def marginal(self, t):
        if t < 0:
            return 1.0, 0.0
        sigma = self.sigma_of(t)
        return (1 + sigma**2) ** -0.5, sigma * (1 + sigma**2) ** -0.5

    def levels(self):
        return super().levels() | {"marginal": self.marginal}

    def claims(self):
        return super().claims() | {"time": "0-based", "T": len(self.table)}

    def times(self, scheduler):
        """The times of the levels, which the network is given rounded or cut."""
        sigmas = self.evaluation_sigmas(scheduler)
        pairs = list(zip(scheduler.timesteps, sigmas))[:: scheduler.order]
        return np.array([self.time_for(t, sigma) for t, sigma in pairs])

    def time_for(self, t, sigma):
        """The time whose level is sigma, if t is that time rounded or cut; t itself otherwise."""
        exact = self.time_of(max(float(sigma), 1e-12))
        difference = abs(float(t) - exact)
        if difference > 1.001:  # more than a time that is cut to a whole number
            return float(t)
        self.shift = max(self.shift, difference)
        return exact

    def notes(self):
        scheduler = self.new(30)
        sigmas = self.evaluation_sigmas(scheduler)
        for t, sigma in zip(scheduler.timesteps, sigmas):
            self.time_for(t, sigma)
        ours = "levels have whole times"
        text = f"up to {self.shift:.2g} from the time of its level, in 30 steps"
        return [*super().notes(), ("network's time", text, ours, "timesteps and sigmas")]

    def evaluation_sigmas(self, scheduler):
        """The level of x at each evaluation of the network."""
        return scheduler.sigmas[: len(scheduler.timesteps)]

    def begin(self, scheduler):
        sigmas = self.evaluation_sigmas(scheduler)
        self.clock = [self.time_for(t, sigma) for t, sigma in zip(scheduler.timesteps, sigmas)]

    def network(self, scheduler, denoise, given, index):
        return denoise(given, self.clock[index])


class Scaled(Leveled):
    """x = x_0 + sigma eps in ``step``; the audit sees x / sqrt(1 + sigma^2), as networks do."""

    def __init__(self, name, kind, run):
        self.has_step = name in settings.PURE
        super().__init__(name, kind, run)

    def notes(self):
        row = ("x of step", "x_0 + sigma eps", "the network's x", "scale_model_input")
        return [*super().notes(), row]

    def add_noise(self, x0, noise, t):
        scale = [[(1 + self.sigma_of(value) ** 2) ** 0.5] for value in np.atleast_1d(t)]
        native = torch.as_tensor(np.atleast_1d(np.asarray(t, np.float64)))
        x = self.trained.add_noise(x0, noise, native.to(self.trained.timesteps.dtype))
        return (x.double() / torch.tensor(scale)).to(x.dtype)

    def velocity(self, x0, noise, t):
        native = self.native(t).to(self.trained.timesteps.dtype)
        return self.trained.get_velocity(x0, noise, native)

    def _scales(self, index):
        return [float((sigma**2 + 1) ** 0.5) for sigma in self.scheduler.sigmas[index : index + 2]]

    def step(self, prediction, t, x, noise):
        scheduler, index = self.place(t)
        before, after = self._scales(index)
        with given_noise(self.kind, noise):
            return self.call_step(scheduler, prediction, index, x * before).prev_sample / after

    def predict_x0(self, prediction, t, x):
        """By a step from the level of t to 0, for any t."""
        scheduler, sigma = self.new(2), self.sigma_of(t)
        scheduler.timesteps, scheduler.sigmas = torch.tensor([float(t)]), torch.tensor([sigma, 0.0])
        self._reset(scheduler, 0)
        with given_noise(self.kind, torch.zeros_like(x)):
            state = x * (1 + sigma**2) ** 0.5
            return self.call_step(scheduler, prediction, 0, state).pred_original_sample

    def evaluation_sigmas(self, scheduler):
        return settings.evaluation_sigmas(self.name, scheduler)


class Multistep(Leveled):
    """x preserves the variance, and the levels are ``scheduler.sigmas``."""

    has_step = False

    def grid(self):
        return None


class MultistepFlow(Multistep):
    """The same with ``use_flow_sigmas``: x = (1 - sigma) x_0 + sigma eps."""

    def levels(self):
        T = self.config.num_train_timesteps
        return {"marginal": lambda t: (1 - t / T, t / T), "times": np.arange(T + 1.0)}

    def claims(self):
        return super().claims() | {"time": "real"}

    def pieces(self):
        found = super().pieces()
        return {name: found[name] for name in found if name != "add_noise"}

    def sigma_of(self, t):
        return float(t) / self.config.num_train_timesteps

    def time_of(self, sigma):
        return sigma * self.config.num_train_timesteps


class Flow(Driver):
    """x = (1 - sigma) x_0 + sigma eps at t = T sigma."""

    prediction = "velocity"

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        self.has_step = name not in settings.TWO_STAGES
        self.T = self.config.num_train_timesteps
        self.has_sample = name not in settings.CONSISTENCY and not getattr(
            self.config, "stochastic_sampling", False
        )

    def levels(self):
        known = sorted(float(t) for t in self.trained.timesteps)
        return {
            "marginal": lambda t: (1 - t / self.T, t / self.T),
            "times": np.array([0.0, *known]),
        }

    def claims(self):
        return super().claims() | {"time": "real", "prediction": self.prediction}

    def pieces(self):
        found = super().pieces()
        if hasattr(self.trained, "scale_noise"):
            found["add_noise"] = self.add_noise
        return found

    def times(self, scheduler):
        return scheduler.timesteps[:: scheduler.order]

    def add_noise(self, x0, noise, t):
        native = self.native(t).to(torch.float32)
        if self.name in settings.TWO_STAGES:
            if len(native) > 1:
                raise ValueError("scale_noise takes one time")
            self.trained._step_index = None
            native = native[0]
        return self.trained.scale_noise(x0, native, noise)


class Sigma(Driver):
    """x = x_0 + sigma eps, the time of the audit is sigma, and the network is preconditioned.

    The audit's ``denoise`` returns x_0, from which ``network`` computes what a network returns.
    """

    def __init__(self, name, kind, run):
        super().__init__(name, kind, run)
        self.has_step = name in settings.PURE

    def levels(self):
        sigmas = np.unique(self.trained.sigmas.numpy().astype(np.float64))
        return {
            "marginal": lambda t: (1.0, float(t)),
            "times": np.array([0.0, *sigmas[sigmas > 0]]),
        }

    def claims(self):
        return super().claims() | {"time": "sigma", "prediction": "x0"}

    def times(self, scheduler):
        return scheduler.sigmas[: len(scheduler.timesteps)]

    def notes(self):
        rows = super().notes()
        clock = "0.25 log(sigma)" if "EDM" in self.name else "2 / pi arctan(sigma)"
        rows.append(("network's time", clock, "t", "precondition_noise"))
        rows.append(("network's output", "c_out^-1 (x_0 - c_skip x)", "x0", "precondition_outputs"))
        return rows

    def add_noise(self, x0, noise, t):
        sigmas = self.trained.sigmas[: len(self.trained.timesteps)].double()
        index = [int((sigmas - value).abs().argmin()) for value in np.atleast_1d(t)]
        return self.trained.add_noise(x0, noise, self.trained.timesteps[index])

    def raw(self, scheduler, x0, x, sigma):
        """The output F that ``precondition_outputs``, linear in F, turns into x_0."""
        zero, one = (scheduler.precondition_outputs(x, v, sigma) for v in (0 * x, 0 * x + 1))
        return (x0 - zero) / (one - zero)

    def step(self, prediction, t, x, noise):
        scheduler, index = self.place(t)
        output = self.raw(scheduler, prediction, x, scheduler.sigmas[index])
        with given_noise(self.kind, noise):
            return self.call_step(scheduler, output, index, x).prev_sample

    def predict_x0(self, prediction, t, x):
        sigma = torch.tensor(float(t))
        return self.trained.precondition_outputs(
            x, self.raw(self.trained, prediction, x, sigma), sigma
        )

    def start(self, scheduler, x):
        return x / scheduler.sigmas[0] * scheduler.init_noise_sigma

    def network(self, scheduler, denoise, given, index):
        sigma = scheduler.sigmas[index]
        x = given * (sigma**2 + self.config.sigma_data**2) ** 0.5  # undoes precondition_inputs
        return self.raw(scheduler, denoise(x, sigma), x, sigma)
