"""The three interfaces of a diffusion model: ``Network``, ``NoiseSchedule`` and ``Model``.

    network, schedule  ->  model (``Denoiser``)  ->  training and samplers

They are protocols: a class needs no base class, only these methods.  The shapes of all arrays stand
in the docstrings.  ``ops`` is always a port: the module ``reference.ops``, or another with its
functions.
"""

from typing import Any, Protocol, TypeAlias, TypeVar

from numpy.typing import DTypeLike, NDArray

from reference.ops.checks import Array, Integers

Parameters: TypeAlias = dict[str, Array]
# a number or an array of numbers: a function of time returns a number for a number, and an array
# of the same shape for an array
Time = TypeVar("Time", float, NDArray[Any])


class AnyNetwork(Protocol):
    """The part of a network that training needs: how many parameters it has, and how they begin."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample x, without the batch axis."""

    @property
    def classes(self) -> int:
        """The number of classes.  0: the network takes no labels."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter, by name."""

    def init(self, seed: int, dtype: DTypeLike = ...) -> Parameters:
        """The parameters before the first training step."""


class Network(AnyNetwork, Protocol):
    """A function of x[b,...] and a real number c[b] per sample, the network time."""

    @property
    def outputs(self) -> int:
        """y has ``outputs`` times as many channels as x, on its last axis."""

    def forward(
        self,
        params: Parameters,
        x: Array,
        c: Array,
        ops: Any = ...,
        labels: Integers | None = None,
        keep: bool = True,
    ) -> tuple[Array, Any]:
        """x[b,...], c[b], labels[b] -> y, saved.  ``backward`` needs ``saved``.  With
        ``keep=False`` no backward follows, and the network frees memory on the way.
        """

    def backward(
        self, params: Parameters, dy: Array, saved: Any, ops: Any = ...
    ) -> tuple[Array, Parameters]:
        """dy, the gradient of the loss with respect to y -> dx[b,...], gradients by name."""


class NoiseSchedule(Protocol):
    """Signal and noise of x_t = signal(t) x_0 + noise_scale(t) eps.

    ``schedules.Schedule`` (t = 0, 1 .. T) and ``sde.SDE`` (t real) have these methods.  t is a
    number, or an array with one time per sample.
    """

    def signal(self, t: Time) -> Time:
        """alpha_t, the factor of x_0."""

    def noise_scale(self, t: Time) -> Time:
        """sigma_t, the factor of eps."""

    def signal_power(self, t: Time) -> Time:
        """alpha_t^2."""

    def noise_power(self, t: Time) -> Time:
        """sigma_t^2."""

    def log_snr(self, t: Time) -> Time:
        """log(alpha_t^2 / sigma_t^2), decreasing from infinity at t = 0."""

    @property
    def prior_scale(self) -> float:
        """The standard deviation of the Gaussian that a sampler starts from."""

    def timesteps(self, steps: int) -> list[Any]:
        """``steps`` + 1 evenly spaced times that fall to 0."""

    def to_schedule_scale(self, alpha: Time, sigma: Time) -> tuple[Time, Time]:
        """(signal, noise_scale) at the log-SNR of alpha x_0 + sigma eps."""

    def noise_range(self, data_variance: float) -> tuple[float, float]:
        """(smallest, largest) sigma / alpha at which samplers evaluate a network."""

    def network_time(self, t: Time) -> Time:
        """The network's input for time t, in [0, 1000].  EDM: c_noise."""

    def sample_times(self, u: NDArray[Any]) -> NDArray[Any]:
        """Training times for u[b] uniform on (0, 1)."""

    def time_of(self, alpha: Time, sigma: Time) -> Time:
        """The time with the log-SNR of alpha x_0 + sigma eps.  ValueError if it is not trained."""

    def interpolation_nodes(
        self, alpha: float, sigma: float
    ) -> list[tuple[float, float, float, float]]:
        """The trained levels that predict for alpha x_0 + sigma eps, each as (weight, network time,
        signal, noise_scale).  The weights sum to 1.
        """


class Model(Protocol):
    """A loss with trainable parameters: ``Denoiser``, ``VAE``, ``InDI``, ``Classifier``.

    The loss is a deterministic function of its arguments: all random numbers of a training step
    come from ``sample_training_noise``.
    """

    @property
    def network(self) -> AnyNetwork:
        """The network that is trained."""

    def sample_training_noise(
        self,
        seed: int,
        sample: Integers,
        step: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        ops: Any = ...,
    ) -> tuple[Any, ...]:
        """The random numbers of a training step, for samples of this shape: times, noise, or others
        that ``loss`` takes after x0.
        """

    def loss(
        self, params: Parameters, x0: Array, *noise: Any, **labels_and_ops: Any
    ) -> tuple[Array, Array, Parameters]:
        """mean, per_sample[b], gradients of the mean by name.  Keywords: ``labels``, ``ops``."""
