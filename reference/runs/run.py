"""A run is a folder; its config.json says all that is needed to build the model again and to go on
training it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.data import datasets
from reference.data.units import Units
from reference.ddpm.indi import Degradation, InDI
from reference.ddpm.learned import OBJECTIVES, LearnedVariance
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.schedules import (
    SCHEDULES,
    VarianceExplodingSchedule,
    geometric,
    zero_terminal_snr,
)
from reference.diffusion.training import Settings, State, init_state
from reference.networks import MLP, NETWORKS, Autoencoder, UNet
from reference.ops.checks import is_whole
from reference.runs import checkpoint
from reference.runs.files import write_atomically
from reference.sde.sde import SDE, SDES, VE, VP
from reference.smld.kernel_density import kernel_density, silverman_bandwidth
from reference.smld.smld import ScoreModel
from reference.vae.vae import VAE

SYSTEM_OPTIONS = {  # beside those of the network and of training
    "vae": (),
    "ddpm": ("schedule", "T", "beta", "zero_terminal_snr", "prediction", "objective"),
    "smld": ("levels", "sigma_min", "sigma_max", "matching", "bandwidth"),
    "sde": ("sde", "prediction", "sigma_min", "sigma_max"),
    "indi": ("noise", "blur", "epsilon"),
}
SYSTEMS = tuple(SYSTEM_OPTIONS)
NETWORK_OPTIONS = {
    "unet": ("channels", "groups", "layers"),
    "mlp": ("width", "depth"),
    "autoencoder": ("latent", "width", "depth"),
}
SCHEDULES_OF: dict[str, dict[str, Any]] = {
    "ddpm": SCHEDULES,
    "smld": {"geometric": geometric},
    "sde": SDES,
}
# beyond, alpha x_0 is less than a thousandth of x: the data's mean, which the prior leaves out, is
# nothing there
MOST_NOISE = 1000
DEFAULTS: dict[str, Any] = {"data": "digits", "steps": 2000}
# in their place for points, whose steps are short: enough to part eight modes
POINTS = {"steps": 20_000, "batch": 512, "lr": 2e-3}


@dataclass
class Run:
    """``state`` is what training has reached; ``environment`` where its checkpoint was made, None
    before the first one.
    """

    folder: Path
    config: dict
    model: Any
    state: State
    environment: dict | None

    @property
    def steps(self):
        return self.config["steps"]

    @property
    def settings(self):
        return Settings(**self.config["training"])

    @property
    def system(self):
        return self.config["system"]

    def predictor(self, ops):
        """The prediction of the averaged weights, as samplers take it beside ``model.prediction``."""
        return self.model.predictor(self.state.ema, ops=ops)

    @cached_property
    def data(self):
        """The run's data set, loaded when first asked for.  ValueError if it is not the data that
        the run was begun with.
        """
        data = datasets.load(self.config["data"], self.settings.seed, self.config["labels"])
        if fingerprint(data) != self.config["data_sha256"]:
            older = "" if "units" in self.config else ", or this version scales it differently"
            raise ValueError(
                f"{self.config['data']} is not the data that {self.folder} was begun with{older}"
            )
        return data.padded(self.model.network.sample_shape)

    def own(self, x):
        """Samples [n,...] of the model as they are given away: images without their padding, points
        in the units of their file.
        """
        if self.config.get("crop"):
            height, width = self.config["crop"]
            x = x[:, :height, :width]
        units = units_of(self.config)
        return units.own(x) if units and x.ndim == 2 else x

    def save(self, ops=reference_ops):
        checkpoint.save(self.folder, self.state, self.config, ops)


def as_score(run, ops=reference_ops):
    """The averaged weights of any run, as score(x[b,...], alpha, sigma) = grad log p(x) for x =
    alpha x_0 + sigma eps.

    ValueError for a run without one (a VAE, InDI that deblurs), and in the call for a log-SNR
    beyond what was trained.
    """
    if not hasattr(run.model, "score_function"):
        raise ValueError(f"{run.folder} is a run of {run.system}, which knows no score")
    return run.model.score_function(run.state.ema, ops=ops)


def as_posterior_mean(run, ops=reference_ops):
    """As ``as_score``, but E[x_0 | x]."""
    if not hasattr(run.model, "posterior_mean_function"):
        raise ValueError(f"{run.folder} is a run of {run.system}, which knows no score")
    return run.model.posterior_mean_function(run.state.ema, ops=ops)


def noise_range(run):
    """(smallest, largest) sigma / alpha of x = alpha x_0 + sigma eps between which samplers ask a
    run for its score.

    The run's own; where the variance is preserved, no more than ``MOST_NOISE`` deviations of the
    data.
    """
    schedule = run.model.schedule
    if isinstance(schedule, SDE):
        return schedule.min_noise_ratio, schedule.noise_scale(schedule.t_max) / schedule.signal(
            schedule.t_max
        )
    first, last = (-schedule.log_snr(t) / 2 for t in (1, schedule.last_with_signal))
    if not isinstance(schedule, VarianceExplodingSchedule):
        last = min(last, max(first, np.log(MOST_NOISE * run.model.data_variance**0.5)))
    return float(np.exp(first)), float(np.exp(last))


def largest_level_ratio(run):
    """The largest ratio of sigma / alpha between neighbouring trained levels that matter; 1 where
    the network knows all levels between.

    Beyond ten deviations of the data levels may lie apart (``denoiser.interpolation_error`` falls
    with the square of that).
    """
    schedule = run.model.schedule
    if isinstance(schedule, SDE) or schedule.is_dense:
        return 1.0
    log_ratios = -schedule.log_snr(np.arange(1, schedule.last_with_signal + 1)) / 2
    matter = log_ratios[:-1] < np.log(10 * run.model.data_variance**0.5)
    return float(np.exp(np.max(np.diff(log_ratios)[matter], initial=0.0)))


def as_sde(run):
    """The SDE whose reverse draws from the run, over the noise that it was trained on: its own,
    else VE for a ladder of noise, else VP.
    """
    if isinstance(run.model.schedule, SDE):
        return run.model.schedule
    smallest, largest = noise_range(run)
    if isinstance(run.model.schedule, VarianceExplodingSchedule):
        return VE(sigma_min=smallest, sigma_max=largest, min_noise_ratio=smallest)
    lowest = -2 * float(np.log(largest))
    whole = VP(min_noise_ratio=smallest)
    return (
        whole
        if lowest <= whole.log_snr(whole.t_max)
        else VP(min_noise_ratio=smallest, t_max=whole.time_of_log_snr(lowest))
    )


def training_model(run, data):
    """The run's model as it is trained: explicit score matching has the law of the data beside it,
    or a kernel density in its place.
    """
    if run.config.get("matching") != "explicit":
        return run.model
    if data.is_image:
        raise ValueError(
            f"explicit score matching needs points, and {data.name} holds images: take another --matching"
        )
    bandwidth, points = run.config["bandwidth"], data.train.astype(np.float64)
    if data.mixture and bandwidth is None:
        return replace(run.model, distribution=data.mixture)
    return replace(
        run.model,
        distribution=kernel_density(
            points, silverman_bandwidth(points) if bandwidth is None else bandwidth
        ),
    )


def units_of(config):
    """The Units of the run's data; None for built-in data, and in runs that an older version began."""
    units = config.get("units")
    return (
        Units(*(np.array(units[name], np.float64) for name in ("offset", "factor")))
        if units
        else None
    )


def fingerprint(data):
    return hashlib.sha256(np.ascontiguousarray(data.train).tobytes()).hexdigest()


def build_network(system, data, options):
    """A network for samples of the data's shape.  ``options``: net and fields of the network, None
    or absent where not given.
    """
    kind = options.get("net") or (
        "autoencoder" if system == "vae" else "unet" if data.is_image else "mlp"
    )
    if kind not in NETWORKS:
        raise ValueError(f"net must be one of {', '.join(NETWORKS)}, got {kind!r}")
    check_kind(system, kind)
    if kind == "unet" and not data.is_image:
        raise ValueError(
            f"a unet needs images, and {data.name} holds points of {data.shape[0]} coordinates: take --net mlp"
        )
    given = {
        name: options[name]
        for names in NETWORK_OPTIONS.values()
        for name in names
        if options.get(name) is not None
    }
    for name in given:
        if name not in NETWORK_OPTIONS[kind]:
            raise ValueError(f"--{name} is not an option of --net {kind}")
    if kind == "autoencoder":
        return Autoencoder(size=data.shape, **({"latent": 8 if data.is_image else 2} | given))
    outputs = 2 if options.get("objective") in OBJECTIVES else 1
    if kind == "mlp":
        return MLP(size=data.shape, outputs=outputs, **given)
    if "channels" not in given and max(data.shape[:2]) > 16:
        given["channels"] = (32, 64, 64)
    size, factor = data.shape[:2], 2 ** (len(given.get("channels", UNet.channels)) - 1)
    # every level but the first halves the image: smaller ones are padded up to a multiple
    if factor <= max(size):
        size = tuple(-(-n // factor) * factor for n in size)
    return UNet(size=size, in_channels=data.shape[2], outputs=outputs, **given)


def check_kind(system, kind):
    if (kind == "autoencoder") != (system == "vae"):
        raise ValueError(
            f"{system} trains {'an autoencoder' if system == 'vae' else 'a unet or an mlp'}, got --net {kind}"
        )


def build_config(system, data, options):
    """config.json for new training of ``system`` on ``data``; ``options`` are those of the command
    line, None where not given.
    """
    if system not in SYSTEMS:
        raise ValueError(f"system must be one of {', '.join(SYSTEMS)}, got {system!r}")
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in SYSTEM_OPTIONS[system] and any(
            name in names for names in SYSTEM_OPTIONS.values()
        ):
            raise ValueError(f"--{name.replace('_', '-')} is not an option of train {system}")
    chosen = DEFAULTS | ({} if data.is_image else POINTS) | given
    if chosen["steps"] < 1:
        raise ValueError(f"steps must be at least 1, got {chosen['steps']}")
    network = build_network(system, data, options)
    padded = data.padded(network.sample_shape)
    kind = next(
        name for name, network_class in NETWORKS.items() if isinstance(network, network_class)
    )
    settings = Settings(
        **{name: chosen[name] for name in ("batch", "lr", "ema", "seed") if name in chosen}
    )
    config = {
        "system": system,
        "data": chosen["data"],
        "labels": options.get("labels"),
        "data_sha256": fingerprint(data),
        "data_variance": padded.variance,
        "data_range": [np.asarray(edge, np.float64).tolist() for edge in data.range],
        "bin_width": data.bin_width,
        "units": {"offset": data.units.offset.tolist(), "factor": data.units.factor.tolist()}
        if data.units
        else None,
        "crop": None if padded is data else data.shape[:2],
        "net": {"kind": kind, **asdict(network)},
        **system_config(system, data, given),
        "training": asdict(settings),
        "steps": chosen["steps"],
    }
    build_model(config)
    return json.loads(json.dumps(config))


def system_config(system, data, given):
    """What config.json holds for one system alone, from the options that were given."""
    if system == "ddpm":
        schedule = {"name": given.get("schedule", "linear")} | {
            name: given[name] for name in ("T", "beta") if name in given
        }
        complete = complete_schedule(system, schedule) | (
            {"zero_terminal_snr": True} if given.get("zero_terminal_snr") else {}
        )
        prediction = given.get("prediction") or usual_prediction(build_schedule(system, complete))
        return {
            "schedule": complete,
            "prediction": prediction,
            "objective": given.get("objective", "simple"),
        }
    if system == "sde":
        schedule = {"name": given.get("sde", "vp")} | {
            name: given[name] for name in ("sigma_min", "sigma_max") if name in given
        }
        return {
            "schedule": complete_schedule(system, schedule),
            "prediction": given.get("prediction", "noise"),
        }
    if system == "smld":
        names = {"levels": "T", "sigma_min": "sigma_min", "sigma_max": "sigma_max"}
        schedule = {"name": "geometric", "T": 20 if data.is_image else 10} | {
            field: given[name] for name, field in names.items() if name in given
        }
        matching, bandwidth = given.get("matching", "denoising"), given.get("bandwidth")
        if given.get("levels", 2) < 2:
            raise ValueError(
                f"smld needs at least 2 levels, the smallest noise and the largest, got {given['levels']}"
            )
        if bandwidth is not None and matching != "explicit":
            raise ValueError(f"--bandwidth is not an option of --matching {matching}")
        return {
            "schedule": complete_schedule(system, schedule),
            "matching": matching,
            "bandwidth": bandwidth,
        }
    if system == "indi":
        noise = given.get("noise", 0.05 if given.get("blur") else Degradation.noise)
        degradation = Degradation(noise, given.get("blur", Degradation.blur))
        if degradation.blur and not data.is_image:
            raise ValueError(
                f"blur needs images, and {data.name} holds points of {data.shape[0]} coordinates"
            )
        if degradation.blur > max(data.shape[:2]):
            raise ValueError(
                f"blur must be at most the images' larger side, {max(data.shape[:2])} pixels, got {degradation.blur:g}"
            )
        return {"degradation": asdict(degradation), "epsilon": given.get("epsilon", 0.0)}
    return {}


def usual_prediction(schedule):
    """noise, as Ho et al. 2020; v where the schedule ends with so much noise that its prediction
    says nothing of x_0 (clipping.py).
    """
    return (
        "noise"
        if schedule.noise_scale(schedule.T) <= MOST_NOISE * schedule.signal(schedule.T)
        else "v"
    )


def complete_schedule(system, config):
    """Name and arguments of one of the system's schedules, with its defaults for those that are not
    given.
    """
    name, functions = config["name"], SCHEDULES_OF[system]
    if name not in functions:
        raise ValueError(
            f"{'sde' if system == 'sde' else 'schedule'} must be one of {', '.join(functions)}, got {name!r}"
        )
    complete = {
        parameter.name: parameter.default
        for parameter in signature(functions[name]).parameters.values()
    }
    for argument in config:
        if argument not in complete and argument != "name":
            owner = next(
                (
                    other
                    for other in functions
                    if argument in signature(functions[other]).parameters
                ),
                "none",
            )
            raise ValueError(
                f"{argument} belongs to {'--sde' if system == 'sde' else 'the schedule'} {owner}, not to {name}"
            )
    return complete | config


def build_schedule(system, config):
    own = dict(config)
    rescaled = own.pop("zero_terminal_snr", False)
    arguments = complete_schedule(system, own)
    schedule = SCHEDULES_OF[system][arguments.pop("name")](**arguments)
    return zero_terminal_snr(schedule) if rescaled else schedule


def build_model(config):
    """The model that config.json describes."""
    fields = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config["net"].items()
    }
    kind, variance = str(fields.pop("kind")), config["data_variance"]
    check_kind(config["system"], kind)
    network = NETWORKS[kind](**fields)
    match config["system"]:
        case "vae":
            return VAE(network, variance)
        case "indi":
            return InDI(network, Degradation(**config["degradation"]), variance, config["epsilon"])
        case "smld":
            return ScoreModel(
                network,
                build_schedule("smld", config["schedule"]),
                "noise",
                variance,
                config["matching"],
            )
        case "sde":
            return Denoiser(
                network, build_schedule("sde", config["schedule"]), config["prediction"], variance
            )
    arguments = (
        network,
        build_schedule("ddpm", config["schedule"]),
        config["prediction"],
        variance,
    )
    objective = config["objective"]
    if objective not in ("simple", *OBJECTIVES):
        raise ValueError(
            f"objective must be one of simple, {', '.join(OBJECTIVES)}, got {objective!r}"
        )
    return Denoiser(*arguments) if objective == "simple" else LearnedVariance(*arguments, objective)


def holds_run(folder):
    return any(
        (Path(folder) / name).exists()
        for name in ("config.json", "checkpoint.safetensors", "log.jsonl")
    )


def read_config(folder):
    """(config, model) of the run in ``folder``.  Somebody may have edited the file: it is taken
    apart before it is believed.
    """
    path = Path(folder) / "config.json"
    if not Path(folder).is_dir():
        raise ValueError(f"the run {folder} does not exist")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["system"] not in SYSTEMS:
            raise ValueError(
                f"system must be one of {', '.join(SYSTEMS)}, got {config['system']!r}"
            )
        model = build_model(config)
        Settings(**config["training"])
        _check_range(config.get("data_range"), model.network)
        texts = (
            config["data"],
            config["data_sha256"],
            "" if config["labels"] is None else config["labels"],
        )
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("data and labels must be names")
        _check_own(config, model.network.sample_shape)
        if not is_whole(config["steps"]) or config["steps"] < 1:
            raise ValueError(f"steps must be a whole number from 1 on, got {config['steps']!r}")
        return config, model
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no run: it has no config.json") from None
    except KeyError as error:
        raise ValueError(
            f"{path} can't be read as the config of a run: it has no {error}"
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} can't be read as the config of a run: {error}") from None


def _check_own(config, shape):
    """ValueError or TypeError if config.json holds units or a crop that samples of that shape can't
    have.
    """
    units, crop, count = units_of(config), config.get("crop"), shape[0] if len(shape) == 1 else 1
    if units and not (
        units.offset.shape == units.factor.shape == (count,)
        and np.isfinite((units.offset, units.factor)).all()
    ):
        raise ValueError(f"units must hold offset and factor, {count} numbers each")
    if crop and not (
        len(shape) == 3
        and len(crop) == 2
        and all(is_whole(n) and 1 <= n <= most for n, most in zip(crop, shape))
    ):
        raise ValueError(
            f"crop must be a height and a width within the network's images, got {crop!r}"
        )


def _check_range(ends, network):
    """ValueError unless ``ends`` are None, or two numbers or lists of a number a coordinate, the
    first no larger than the second.
    """
    if ends is not None:
        low, high = (
            np.broadcast_to(np.asarray(end, np.float64), network.sample_shape[-1:]) for end in ends
        )
        if not (low <= high).all():
            raise ValueError(
                f"data_range must hold the lower and the upper end of the data, got {ends}"
            )


def write_config(folder, config):
    write_atomically(Path(folder) / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def new_run(folder, config):
    """The run that ``config`` begins in ``folder``, at step 0; nothing is written yet."""
    model = build_model(config)
    return Run(
        Path(folder),
        config,
        model,
        init_state(model.network, Settings(**config["training"]).seed),
        None,
    )


def open_run(folder, need_checkpoint=True):
    """The run in ``folder`` at its last checkpoint; at step 0 where there is none, unless
    ``need_checkpoint``.
    """
    config, model = read_config(folder)
    if (Path(folder) / "checkpoint.safetensors").exists():
        state, environment, begun = checkpoint.load(folder, model.network.shapes())
        was, now = dict(_entries(begun)), dict(_entries(config))
        for name in was | now:
            if name != "steps" and was.get(name) != now.get(name):
                raise ValueError(
                    f"{folder}: config.json is not that of the checkpoint, {name} was {was.get(name)} and is {now.get(name)}"
                )
        return Run(Path(folder), config, model, state, environment)
    if need_checkpoint:
        raise ValueError(
            f"{folder} has no checkpoint yet: its training was stopped before the first one; go on with --resume"
        )
    return new_run(folder, config)


def _entries(config, prefix=""):
    """(name, value) of every entry of nested dictionaries, the names joined by dots: ``net.width``."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
