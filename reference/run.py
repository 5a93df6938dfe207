"""A run is a folder; its config.json says all that is needed to build the denoiser again and to go on training it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from reference import checkpoint, datasets
from reference.denoiser import Denoiser
from reference.files import write_atomically
from reference.networks import MLP, NETWORKS, UNet
from reference.ops.checks import is_whole
from reference.schedules import SCHEDULES
from reference.training import Settings, State, begin

SYSTEMS = ("ddpm",)
DEFAULTS: dict[str, Any] = {"data": "digits", "steps": 2000, "schedule": "linear", "prediction": "noise"}


@dataclass
class Run:
    """``state`` is what training has reached; ``environment`` where its checkpoint was made, None before the first one."""

    folder: Path
    config: dict
    denoiser: Denoiser
    state: State
    environment: dict | None

    @property
    def steps(self):
        return self.config["steps"]

    @property
    def settings(self):
        return Settings(**self.config["training"])

    def noise_of(self, ops):
        """The prediction of the averaged weights, as samplers take it."""
        return self.denoiser.noise_of(self.state.ema, ops=ops)

    def load_data(self):
        """The run's data set.  ValueError if it is not the data that the run was begun with."""
        data = datasets.load(self.config["data"], self.settings.seed, self.config["labels"])
        if fingerprint(data) != self.config["data_sha256"]:
            raise ValueError(f"{self.config['data']} is not the data that {self.folder} was begun with")
        return data

    def save(self):
        checkpoint.save(self.folder, self.state, self.config)


def fingerprint(data):
    return hashlib.sha256(np.ascontiguousarray(data.train).tobytes()).hexdigest()


NETWORK_OPTIONS = {"unet": ("channels", "groups", "layers"), "mlp": ("width", "depth")}


def build_network(data, options):
    """A network for samples of the data's shape.  ``options``: net and fields of the network, None or absent where not given."""
    kind = options.get("net") or ("unet" if data.is_image else "mlp")
    if kind not in NETWORKS:
        raise ValueError(f"net must be one of {', '.join(NETWORKS)}, got {kind!r}")
    if kind == "unet" and not data.is_image:
        raise ValueError(f"a unet needs images, and {data.name} holds points of {data.shape[0]} coordinates: take --net mlp")
    given = {name: options[name] for names in NETWORK_OPTIONS.values() for name in names if options.get(name) is not None}
    for name in given:
        if name not in NETWORK_OPTIONS[kind]:
            raise ValueError(f"--{name} is not an option of --net {kind}")
    if kind == "mlp":
        return MLP(size=data.shape, **given)
    if "channels" not in given and max(data.shape[:2]) > 16:
        given["channels"] = (32, 64, 64)
    return UNet(size=data.shape[:2], in_channels=data.shape[2], **given)


def build_config(system, data, options):
    """config.json for new training of ``system`` on ``data``; ``options`` are those of the command line, None where not given."""
    if system not in SYSTEMS:
        raise ValueError(f"system must be one of {', '.join(SYSTEMS)}, got {system!r}")
    chosen = DEFAULTS | {name: value for name, value in options.items() if value is not None}
    if chosen["steps"] < 1:
        raise ValueError(f"steps must be at least 1, got {chosen['steps']}")
    network = build_network(data, options)
    schedule = complete_schedule({"name": chosen["schedule"]} | {name: chosen[name] for name in ("T", "beta") if name in chosen})
    settings = Settings(**{name: chosen[name] for name in ("batch", "lr", "ema", "seed") if name in chosen})
    config = {
        "system": system,
        "data": chosen["data"],
        "labels": options.get("labels"),
        "data_sha256": fingerprint(data),
        "data_variance": data.variance,
        "bin_width": data.bin_width,
        "net": {"kind": "unet" if isinstance(network, UNet) else "mlp", **asdict(network)},
        "schedule": schedule,
        "prediction": chosen["prediction"],
        "training": asdict(settings),
        "steps": chosen["steps"],
    }
    build_denoiser(config)
    return json.loads(json.dumps(config))


def complete_schedule(config):
    """Name and arguments of a function of schedules.py, with its defaults for those that are not given."""
    name = config["name"]
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
    if "beta" in config and name != "constant":
        raise ValueError(f"beta belongs to the schedule constant, not to {name}")
    return {parameter.name: parameter.default for parameter in signature(SCHEDULES[name]).parameters.values()} | config


def build_denoiser(config):
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in config["net"].items()}
    network = NETWORKS[str(fields.pop("kind"))](**fields)
    arguments = complete_schedule(config["schedule"])
    schedule = SCHEDULES[arguments.pop("name")](**arguments)
    return Denoiser(network, schedule, config["prediction"], config["data_variance"])


def holds_run(folder):
    return any((Path(folder) / name).exists() for name in ("config.json", "checkpoint.safetensors", "log.jsonl"))


def read_config(folder):
    """(config, denoiser) of the run in ``folder``.  Somebody may have edited the file: it is taken apart before it is believed."""
    path = Path(folder) / "config.json"
    if not Path(folder).is_dir():
        raise ValueError(f"the run {folder} does not exist")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        denoiser = build_denoiser(config)
        Settings(**config["training"])
        texts = (config["data"], config["data_sha256"], "" if config["labels"] is None else config["labels"])
        if config["system"] not in SYSTEMS or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"system must be one of {', '.join(SYSTEMS)}, and data and labels must be names")
        if not is_whole(config["steps"]) or config["steps"] < 1:
            raise ValueError(f"steps must be a whole number from 1 on, got {config['steps']!r}")
        return config, denoiser
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no run: it has no config.json") from None
    except KeyError as error:
        raise ValueError(f"{path} can't be read as the config of a run: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} can't be read as the config of a run: {error}") from None


def write_config(folder, config):
    write_atomically(Path(folder) / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def new_run(folder, config):
    """The run that ``config`` begins in ``folder``, at step 0; nothing is written yet."""
    denoiser = build_denoiser(config)
    return Run(Path(folder), config, denoiser, begin(denoiser.network, config["training"]["seed"]), None)


def open_run(folder, need_checkpoint=True):
    """The run in ``folder`` at its last checkpoint; at step 0 where there is none, unless ``need_checkpoint``."""
    config, denoiser = read_config(folder)
    if (Path(folder) / "checkpoint.safetensors").exists():
        state, environment, begun = checkpoint.load(folder, denoiser.network.shapes())
        for key, value in config.items():
            if key != "steps" and begun.get(key) != value:
                raise ValueError(f"{folder}: config.json is not that of the checkpoint, {key} was {begun.get(key)} and is {value}")
        return Run(Path(folder), config, denoiser, state, environment)
    if need_checkpoint:
        raise ValueError(f"{folder} has no checkpoint yet: its training was stopped before the first one; go on with --resume")
    return new_run(folder, config)
