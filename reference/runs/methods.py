"""The methods that ``train`` offers, a row each.  A new method is a new row.

A row says how the command line's options become the method's part of config.json, and how a model
is built from that part; how the method is sampled and evaluated; and which time input an exported
network expects.
Other files read the row of a method, or test which functions its model has.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from typing import Any

from reference.ddpm.indi import Degradation, InDI
from reference.ddpm.learned import OBJECTIVES as LEARNED_VARIANCE
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.classifier import Classifier
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import MOST_NOISE, SCHEDULES, geometric, zero_terminal_snr
from reference.distillation.consistency import OBJECTIVES as CONSISTENCY_OBJECTIVES
from reference.distillation.consistency import ConsistencyModel
from reference.distillation.progressive import ProgressiveStudent
from reference.distillation.reflow import Reflow
from reference.sde.flow import Flow
from reference.sde.sde import SDES
from reference.smld.smld import OBJECTIVES as SCORE_MATCHING
from reference.smld.smld import ScoreModel
from reference.vae.vae import VAE

# of a network with classes, for the methods that train one
CLASS_OPTIONS = ("classes", "label_dropout")
# sigma / alpha of a classifier of noisy images
NOISE_RANGE = {"sigma_min": 0.02, "sigma_max": 20.0}
# sigma of a consistency model that begins untrained, as in Song et al. 2023
CONSISTENCY_RANGE = {"sigma_min": 0.002, "sigma_max": 80.0}
STAGES = 8  # of consistency training: so often its two levels come closer


@dataclass(frozen=True)
class Method:
    """One method.

    options        options of ``train``, beside those of the network and of training
    configure      (data, given options by name) -> the method's entries of config.json
    build          (network, config) -> the model
    sampler        the default of ``sample`` and ``evaluate``; "" for a method without samples
    likelihood     the kind of ``evaluate``'s likelihood
    networks       kinds of network, the first for images, the last for points
    objectives     training objectives, the first is the default
    schedules      functions by name
    restores       True if sampling begins with degraded data instead of noise
    training       defaults of training options that differ from the usual ones
    network_time   the time input of an exported network, a formula of config.json's schedule
    trained        True for a method of ``train``; False for one of ``distill`` alone
    has_score      False for a network that predicts the end of a step or a path, and not E[x_0 | x]
    """

    name: str
    options: tuple[str, ...]
    configure: Callable[[Any, dict], dict]
    build: Callable[[Any, dict], Any]
    sampler: str
    likelihood: str
    networks: tuple[str, ...] = ("unet", "mlp")
    objectives: tuple[str, ...] = ()
    schedules: Mapping[str, Callable] = field(default_factory=dict)
    restores: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    network_time: str = ""
    trained: bool = True
    has_score: bool = True


def usual_prediction(schedule):
    """The default prediction: noise (Ho et al. 2020), but v on a schedule that ends in so much
    noise that a predicted noise has no information about x_0 (samplers/clipping.py).
    """
    few = schedule.noise_scale(schedule.T) <= MOST_NOISE * schedule.signal(schedule.T)
    return "noise" if few else "v"


def complete_schedule(method, config, option="schedule"):
    """Name and arguments of a schedule of the method, with defaults for those not given.

    ``option``: the command-line option that names it.
    """
    name, functions = config["name"], method.schedules
    if name not in functions:
        raise ValueError(f"{option} must be one of {', '.join(functions)}, got {name!r}")
    parameters = signature(functions[name]).parameters.values()
    complete = {parameter.name: parameter.default for parameter in parameters}
    for argument in config:
        if argument not in complete and argument != "name":
            owners = [
                other for other, f in functions.items() if argument in signature(f).parameters
            ]
            if not owners:
                raise ValueError(f"the {option} {name} has no {argument}")
            option_name = f"--{argument.replace('_', '-')}"
            raise ValueError(f"{option_name} belongs to --{option} {owners[0]}, not to {name}")
    return complete | config


def build_schedule(method, config):
    """The schedule that config.json describes."""
    arguments = dict(config)
    rescaled = arguments.pop("zero_terminal_snr", False)
    arguments = complete_schedule(method, arguments)
    schedule = method.schedules[arguments.pop("name")](**arguments)
    return zero_terminal_snr(schedule) if rescaled else schedule


def _checked_objective(method, objective):
    if objective not in method.objectives:
        choices = ", ".join(method.objectives)
        raise ValueError(f"objective of {method.name} must be one of {choices}, got {objective!r}")
    return objective


def _build_denoiser(network, schedule, config):
    weight = config.get("loss_weight", "simple")  # configs of earlier versions have none
    arguments = network, schedule, config["prediction"], config["data_variance"]
    return Denoiser(*arguments, loss_weight=weight)


def _configure_ddpm(data, given):
    arguments = {"T": given["timesteps"]} if "timesteps" in given else {}
    arguments |= {"beta": given["beta"]} if "beta" in given else {}
    schedule = complete_schedule(DDPM, {"name": given.get("schedule", "linear")} | arguments)
    if given.get("zero_terminal_snr"):
        schedule["zero_terminal_snr"] = True
    return {
        "schedule": schedule,
        "prediction": given.get("prediction") or usual_prediction(build_schedule(DDPM, schedule)),
        "objective": given.get("objective", "simple"),
        "loss_weight": given.get("loss_weight", "simple"),
    }


def _build_ddpm(network, config):
    schedule = build_schedule(DDPM, config["schedule"])
    objective = _checked_objective(DDPM, config["objective"])
    if objective == "simple":
        return _build_denoiser(network, schedule, config)
    arguments = network, schedule, config["prediction"], config["data_variance"], objective
    return LearnedVariance(*arguments, loss_weight=config.get("loss_weight", "simple"))


def _configure_smld(data, given):
    schedule = {"name": "geometric", "T": given.get("levels", 20 if data.is_image else 10)}
    schedule |= {name: given[name] for name in ("sigma_min", "sigma_max") if name in given}
    objective, bandwidth = given.get("objective", "denoising"), given.get("bandwidth")
    if schedule["T"] < 2:
        found = f"got {schedule['T']}"
        raise ValueError(
            f"smld needs at least 2 levels, the smallest noise and the largest, {found}"
        )
    if bandwidth is not None and objective != "explicit":
        raise ValueError(f"--bandwidth is not an option of --objective {objective}")
    return {
        "schedule": complete_schedule(SMLD, schedule),
        "objective": objective,
        "bandwidth": bandwidth,
    }


def _build_smld(network, config):
    schedule = build_schedule(SMLD, config["schedule"])
    objective = _checked_objective(SMLD, config["objective"])
    return ScoreModel(network, schedule, "noise", config["data_variance"], objective)


def _configure_sde(data, given):
    schedule = {"name": given.get("sde", "vp")}
    schedule |= {name: given[name] for name in ("sigma_min", "sigma_max") if name in given}
    return {
        "schedule": complete_schedule(SDE, schedule, "sde"),
        "prediction": given.get("prediction", "noise"),
        "loss_weight": given.get("loss_weight", "simple"),
    }


def _configure_flow(data, given):
    times = {"times": given["times"]} if "times" in given else {}
    return {
        "schedule": complete_schedule(FLOW, {"name": "flow"} | times),
        "prediction": given.get("prediction", "velocity"),
        "loss_weight": given.get("loss_weight", "simple"),
    }


def _build_sde(network, config):
    return _build_denoiser(network, build_schedule(SDE, config["schedule"]), config)


def _build_flow(network, config):
    return _build_denoiser(network, build_schedule(FLOW, config["schedule"]), config)


def _configure_indi(data, given):
    noise = given.get("noise", 0.05 if given.get("blur") else Degradation.noise)
    degradation = Degradation(noise, given.get("blur", Degradation.blur))
    if degradation.blur and not data.is_image:
        holds = f"{data.name} holds points of {data.shape[0]} coordinates"
        raise ValueError(f"blur needs images, and {holds}")
    side = max(data.shape[:2])
    if degradation.blur > side:
        found = f"got {degradation.blur:g}"
        raise ValueError(f"blur must be at most the images' larger side, {side} pixels, {found}")
    epsilon = given.get("brownian_noise", 0.0)
    if not 0 <= epsilon < float("inf"):
        raise ValueError(f"brownian-noise must not be negative, got {epsilon}")
    return {"degradation": asdict(degradation), "epsilon": epsilon}


def _build_indi(network, config):
    degradation = Degradation(**config["degradation"])
    return InDI(network, degradation, config["data_variance"], config["epsilon"])


def _configure_classifier(data, given):
    own = {name: given[name] for name in NOISE_RANGE if name in given}
    if given.get("noise_levels"):
        return {"schedule": NOISE_RANGE | own}
    for name in own:
        raise ValueError(f"--{name.replace('_', '-')} of train classifier needs --noise-levels")
    return {"schedule": None}


def _build_classifier(network, config):
    levels = config["schedule"]
    noise_range = levels and (levels["sigma_min"], levels["sigma_max"])
    return Classifier(network, config["data_variance"], noise_range)


def _configure_consistency(data, given):
    own_range = {name: given[name] for name in CONSISTENCY_RANGE if name in given}
    schedule = {"name": "ve"} | CONSISTENCY_RANGE | own_range
    schedule["min_noise_ratio"] = schedule["sigma_min"]
    own = {"stage_steps": given.get("stage_steps", -(-given["steps"] // STAGES))}
    own |= {"levels": given["levels"]} if "levels" in given else {}
    return {
        "denoiser": "sde",
        "schedule": complete_schedule(SDE, schedule, "sde"),
        "prediction": "F",
        "consistency": {"objective": given.get("objective", CONSISTENCY_OBJECTIVES[0]), **own},
    }


def _student(kind, network, config, **own):
    """The student of a class ``kind``, a subclass of ``Denoiser`` with the further fields
    ``own``.
    """
    model = METHODS[config["denoiser"]].build(network, config)
    return kind(**{field.name: getattr(model, field.name) for field in fields(Denoiser)}, **own)


def _build_progressive(network, config):
    return _student(ProgressiveStudent, network, config, steps=config["student_steps"])


def _build_reflow(network, config):
    return _student(Reflow, network, config)


def _build_consistency(network, config):
    return _student(ConsistencyModel, network, config, **config["consistency"])


VAE_ = Method(
    name="vae",
    options=(),
    configure=lambda data, given: {},
    build=lambda network, config: VAE(network, config["data_variance"]),
    sampler="decoder",
    likelihood="importance weights",
    networks=("autoencoder",),
)
DDPM = Method(
    name="ddpm",
    options=(
        "schedule",
        "timesteps",
        "beta",
        "zero_terminal_snr",
        "prediction",
        "objective",
        "loss_weight",
        *CLASS_OPTIONS,
    ),
    configure=_configure_ddpm,
    build=_build_ddpm,
    sampler="ddim",
    likelihood="chain",
    objectives=("simple", *LEARNED_VARIANCE),
    schedules=SCHEDULES,
    network_time="`1000 * t / {T}`, t = 1 .. {T}, one more than a scheduler's timestep",
)
SMLD = Method(
    name="smld",
    options=("levels", "sigma_min", "sigma_max", "objective", "bandwidth"),
    configure=_configure_smld,
    build=_build_smld,
    sampler="annealed-langevin",
    likelihood="chain",
    objectives=tuple(SCORE_MATCHING),
    schedules={"geometric": geometric},
    network_time="`1000 * log(sigma / {sigma_min}) / log({sigma_max} / {sigma_min})`",
)
SDE: Method = Method(
    name="sde",
    options=("sde", "prediction", "loss_weight", "sigma_min", "sigma_max", *CLASS_OPTIONS),
    configure=_configure_sde,
    build=_build_sde,
    sampler="predictor-corrector",
    likelihood="probability flow",
    schedules=SDES,
    network_time="`1000 * t / {t_max}`, t the time of the SDE {name}",
)
FLOW: Method = Method(
    name="flow",
    options=("prediction", "times", "loss_weight", *CLASS_OPTIONS),
    configure=_configure_flow,
    build=_build_flow,
    sampler="ddim",
    likelihood="probability flow",
    schedules={"flow": Flow},
    network_time="`1000 * t`, alpha = 1 - t, sigma = t",
)
INDI = Method(
    name="indi",
    options=("noise", "blur", "brownian_noise", *CLASS_OPTIONS),
    configure=_configure_indi,
    build=_build_indi,
    sampler="indi",
    likelihood="none",
    restores=True,
    network_time="`1000 * t`",
)
CLASSIFIER = Method(
    name="classifier",
    options=("noise_levels", "sigma_min", "sigma_max"),
    configure=_configure_classifier,
    build=_build_classifier,
    sampler="",
    likelihood="of the label",
    networks=("convnet",),
    training={"steps": 12_000, "lr": 2e-3, "ema": 0.999},
)
CONSISTENCY = Method(
    name="consistency",
    options=("sigma_min", "sigma_max", "objective", "levels", "stage_steps", *CLASS_OPTIONS),
    configure=_configure_consistency,
    build=_build_consistency,
    sampler="consistency",
    likelihood="none",
    objectives=CONSISTENCY_OBJECTIVES,
    has_score=False,
)
PROGRESSIVE = Method(
    name="progressive",
    options=(),
    configure=lambda data, given: {},
    build=_build_progressive,
    sampler="ddim",
    likelihood="none",
    trained=False,
    has_score=False,
)
REFLOW: Method = Method(
    name="reflow",
    options=(),
    configure=lambda data, given: {},
    build=_build_reflow,
    sampler="ddim",
    likelihood="probability flow",
    trained=False,
)
_ROWS: tuple[Method, ...] = (
    VAE_,
    DDPM,
    SMLD,
    SDE,
    FLOW,
    INDI,
    CLASSIFIER,
    CONSISTENCY,
    PROGRESSIVE,
    REFLOW,
)
METHODS = {method.name: method for method in _ROWS}
TRAINED = {name: method for name, method in METHODS.items() if method.trained}
