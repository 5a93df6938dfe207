"""config.json: everything needed to build a run's model again and to continue its training."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reference.data.captions import LENGTH, VOCABULARY
from reference.data.units import Units
from reference.diffusion.training import Settings
from reference.networks import MLP, NETWORKS, Autoencoder, ConvNet, UNet
from reference.ops.checks import is_whole
from reference.runs.files import write_atomically
from reference.runs.methods import CLASSIFIER, DDPM, METHODS

NETWORK_OPTIONS = {
    "unet": ("channels", "groups", "layers"),
    "mlp": ("width", "depth"),
    "autoencoder": ("latent", "width", "depth"),
    "convnet": ("channels", "groups", "width"),
}
DEFAULTS: dict[str, Any] = {"data": "digits", "steps": 2000}
# Points need more steps to separate eight modes, and their steps are short.
POINTS = {"steps": 20_000, "batch": 512, "lr": 2e-3}
LABEL_DROPOUT = 0.1  # Ho and Salimans 2022


def build_config(name, data, options):
    """config.json for new training by the method called ``name``.

    ``options``: those of the command line, None where not given.  ValueError for an option that
    does not fit the method, the network or the data.
    """
    method = method_of(name)
    given = {option: value for option, value in options.items() if value is not None}
    others = {option for other in METHODS.values() for option in other.options} - {*method.options}
    for option in given:
        if option in others:
            raise ValueError(f"--{option.replace('_', '-')} is not an option of train {name}")
    chosen = DEFAULTS | ({} if data.is_image else POINTS) | method.training | given
    if chosen["steps"] < 1:
        raise ValueError(f"steps must be at least 1, got {chosen['steps']}")
    classes, captioned = None, takes_captions(method, data, given)
    if method is CLASSIFIER:
        classes = class_names(data, "train classifier")
    elif given.get("classes"):
        classes = class_names(data, "--classes")
        chosen.setdefault("label_dropout", LABEL_DROPOUT)
    elif captioned:
        chosen.setdefault("label_dropout", LABEL_DROPOUT)
    elif "label_dropout" in given:
        raise ValueError("--label-dropout needs --classes, or data with captions")
    # the null label is one row more
    rows = len(classes) + (chosen.get("label_dropout", 0) > 0) if classes else 0
    network = build_network(method, data, given, rows, len(VOCABULARY) if captioned else 0)
    padded = data.padded(network.sample_shape)
    kind = next(kind for kind, network_class in NETWORKS.items() if type(network) is network_class)
    training = ("batch", "lr", "ema", "seed", "label_dropout", "shards")
    settings = Settings(**{option: chosen[option] for option in training if option in chosen})
    units = data.units
    config = {
        "method": name,
        "data": chosen["data"],
        **({"data_dir": given["data_dir"]} if "data_dir" in given else {}),
        "data_sha256": fingerprint(data),
        "data_variance": padded.variance,
        "data_range": [np.asarray(edge, np.float64).tolist() for edge in data.range],
        "bin_width": data.bin_width,
        "units": {field: value.tolist() for field, value in asdict(units).items()}
        if units
        else None,
        "crop": None if padded is data else data.shape[:2],
        "classes": classes,
        **({"vocabulary": VOCABULARY} if captioned else {}),
        "net": {"kind": kind, **asdict(network)},
        **method.configure(data, given | {"steps": chosen["steps"]}),
        "training": asdict(settings),
        "steps": chosen["steps"],
    }
    build_model(config)
    return json.loads(json.dumps(config))


def takes_captions(method, data, given):
    """Does the training use captions?  Data that have some are trained on them, unless ``given``
    says --classes or the method has no conditions.
    """
    return data.captions is not None and not given.get("classes") and "classes" in method.options


def class_names(data, user):
    """A name for each class of the data, in the order of the labels: its own names, else the
    labels.  ValueError unless the data have labels 0, 1 .. of at least two classes, without gaps.

    ``user``: the option or command that needs them.
    """
    if not data.has_labels:
        raise ValueError(f"{user} needs labels, and {data.name} has none")
    present = np.unique(data.train_labels)
    if len(present) < 2:
        raise ValueError(f"{user} needs at least two classes, and {data.name} has one")
    expected = np.arange(len(present))
    if (present != expected).any():
        first = int(expected[present != expected][0])
        needed = f"{user} needs labels from 0 on without gaps"
        raise ValueError(f"{needed}: no training sample of {data.name} has the label {first}")
    return list(data.class_names) or [str(label) for label in present]


def build_network(method, data, given, classes=0, vocabulary=0):
    """A network for samples of the data's shape.  ``given``: its kind, ``net``, and its fields;
    ``classes``: the rows of its class table; ``vocabulary``: of its token table.
    """
    kind = given.get("net") or method.networks[0 if data.is_image else -1]
    if kind not in NETWORKS:
        raise ValueError(f"net must be one of {', '.join(NETWORKS)}, got {kind!r}")
    _check_kind(method, kind)
    if kind in ("unet", "convnet") and not data.is_image:
        holds = f"{data.name} holds points of {data.shape[0]} coordinates"
        advice = ": take --net mlp" if kind == "unet" else ""
        raise ValueError(f"a {kind} needs images, and {holds}{advice}")
    if vocabulary and kind != "unet":
        has = f"{data.name} has captions, and --net {kind} has no text encoder"
        raise ValueError(f"{has}: take --net unet, or --classes")
    own = {name for names in NETWORK_OPTIONS.values() for name in names} & {*given}
    for name in own:
        if name not in NETWORK_OPTIONS[kind]:
            raise ValueError(f"--{name} is not an option of --net {kind}")
    fields = {name: given[name] for name in own}
    if kind == "autoencoder":
        return Autoencoder(size=data.shape, **{"latent": 8 if data.is_image else 2} | fields)
    outputs = 2 if given.get("objective") in DDPM.objectives[1:] else 1
    if kind == "mlp":
        return MLP(size=data.shape, outputs=outputs, classes=classes, **fields)
    fields |= {"in_channels": data.shape[2], "classes": classes}
    if kind == "convnet":
        halvings = len(fields.get("channels", ConvNet.channels)) + 1
        noisy = bool(given.get("noise_levels"))
        return ConvNet(size=_padded(data.shape, halvings), noise_conditional=noisy, **fields)
    if "channels" not in fields and max(data.shape[:2]) > 16:
        fields["channels"] = (32, 64, 64)
    halvings = len(fields.get("channels", UNet.channels)) - 1
    if vocabulary:
        levels = UNet.cross_attention[-halvings - 1 :]  # a network of one level has no other
        fields |= {"vocabulary": vocabulary, "caption_length": LENGTH, "cross_attention": levels}
    return UNet(size=_padded(data.shape, halvings), outputs=outputs, **fields)


def _padded(shape, halvings):
    """The size of images that can be halved so often: smaller ones are padded up to a multiple."""
    size, factor = shape[:2], 2**halvings
    return tuple(-(-n // factor) * factor for n in size) if factor <= max(size) else size


def build_model(config):
    """The model that config.json describes."""
    fields = {name: _as_tuple(value) for name, value in config["net"].items()}
    kind, method = str(fields.pop("kind")), method_of(config["method"])
    _check_kind(method, kind)
    return method.build(NETWORKS[kind](**fields), config)


def method_of(name):
    """The row of the method called ``name``.  ValueError if there is none."""
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value


def _check_kind(method, kind):
    if kind not in method.networks:
        kinds = " or ".join(
            f"{'an' if name[0] in 'am' else 'a'} {name}" for name in method.networks
        )
        raise ValueError(f"{method.name} trains {kinds}, got --net {kind}")


def fingerprint(data):
    """The SHA-256 of the training data, to detect a changed file."""
    return hashlib.sha256(np.ascontiguousarray(data.train).data).hexdigest()


def units_of(config):
    """The Units of the run's data; None for built-in data."""
    units = config.get("units")
    return (
        Units(*(np.array(units[name], np.float64) for name in ("offset", "factor")))
        if units
        else None
    )


def write_config(folder, config):
    """Write config.json in ``folder``."""
    write_atomically(Path(folder) / "config.json", json_bytes(config))


def json_bytes(config):
    return (json.dumps(config, indent=2) + "\n").encode()


def read_config(folder):
    """(config, model) of the run in ``folder``.

    The file may have been edited by hand, so every field is validated.  ValueError names
    the first field that is not valid.
    """
    path = Path(folder) / "config.json"
    if not Path(folder).is_dir():
        raise ValueError(f"the run {folder} does not exist")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no run: it has no config.json") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read as the config of a run: {error}") from None
    return config, checked_model(config, path)


def checked_model(config, path):
    """The model of a config from the file ``path``.  ValueError names the first field that is not
    valid.
    """
    try:
        model = build_model(config)
        settings = Settings(**config["training"])
        _check_classes(config.get("classes"), settings.label_dropout, model.network.classes)
        _check_vocabulary(config.get("vocabulary"), getattr(model.network, "vocabulary", 0))
        _check_range(config.get("data_range"), model.network.sample_shape)
        _check_units(units_of(config), model.network.sample_shape)
        _check_crop(config.get("crop"), model.network.sample_shape)
        if not all(isinstance(config[name], str) for name in ("data", "data_sha256")):
            raise ValueError("data and data_sha256 must be text")
        if not isinstance(config.get("data_dir", ""), str):
            raise ValueError(f"data_dir must be text, got {config['data_dir']!r}")
        if not is_whole(config["steps"]) or config["steps"] < 1:
            raise ValueError(f"steps must be a whole number from 1 on, got {config['steps']!r}")
        return model
    except KeyError as error:
        raise ValueError(
            f"{path} can't be read as the config of a run: it has no {error}"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} can't be read as the config of a run: {error}") from None


def _check_classes(names, label_dropout, rows):
    """``names``: of the classes, or None; ``rows``: of the network's class table."""
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"classes must be a list of names, got {names!r}")
    needed = len(names) + (label_dropout > 0) if names else 0
    if rows != needed:
        raise ValueError(f"the network must have {needed} classes, null label included, got {rows}")


def _check_vocabulary(words, rows):
    """``words``: of the captions, or None; ``rows``: of the network's token table."""
    if words is not None and words != list(VOCABULARY):
        raise ValueError(f"vocabulary must be {' '.join(VOCABULARY)}, got {words!r}")
    if rows != len(words or ()):
        raise ValueError(f"the network must have a vocabulary of {len(words or ())}, got {rows}")


def _check_units(units, shape):
    count = shape[0] if len(shape) == 1 else 1
    if units:
        finite = np.isfinite((units.offset, units.factor)).all()
        if not (finite and units.offset.shape == units.factor.shape == (count,)):
            raise ValueError(f"units must hold offset and factor, {count} numbers each")


def _check_crop(crop, shape):
    if crop:
        inside = len(shape) == 3 and len(crop) == 2
        if not inside or not all(is_whole(n) and 1 <= n <= most for n, most in zip(crop, shape)):
            found = f"got {crop!r}"
            raise ValueError(
                f"crop must be a height and a width within the network's images, {found}"
            )


def _check_range(ends, shape):
    """``ends``: None, or two numbers or two lists of a number a coordinate, low ends first."""
    if ends is not None:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), shape[-1:]) for end in ends)
        if not (low <= high).all():
            raise ValueError(
                f"data_range must hold the low and the high end of the data, got {ends}"
            )
