"""A run: a folder that holds config.json, the training log and the last checkpoint."""

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reference import ops as reference_ops
from reference.data import datasets
from reference.diffusion.training import Settings, State, init_state
from reference.runs import checkpoint, exported, published, students
from reference.runs.config import build_model, fingerprint, method_of, read_config, units_of
from reference.smld.kernel_density import kernel_density, silverman_bandwidth


@dataclass
class Run:
    """``state``: the last state of training; ``environment``: where its checkpoint was made, None
    before the first.  ``data_dir``: the folder of mnist or fashion-mnist, if the run's is not to be
    taken.  ``loaded``: the data after their first use, which copies of the run share.
    """

    folder: Path
    config: dict
    model: Any
    state: State
    environment: dict | None
    data_dir: str | None = None
    loaded: list = field(default_factory=list, repr=False)

    @property
    def steps(self):
        return self.config["steps"]

    @property
    def settings(self):
        return Settings(**self.config["training"])

    @property
    def data_seed(self):
        """The seed of the data and of their division: that of training, of a student's teacher."""
        return self.config.get("data_seed", self.settings.seed)

    @property
    def method(self):
        """The row of ``methods.METHODS``."""
        return method_of(self.config["method"])

    @property
    def title(self):
        """The method and the data of training, for pictures; the name of a model without data."""
        name = Path(self.config["data"]).name
        return (
            name if self.config["data_sha256"] is None else f"{self.method.name} trained on {name}"
        )

    def predictor(self, ops):
        """The function (x[b,...], t) -> prediction of the averaged weights, of the kind
        ``model.sampled_prediction``.
        """
        return self.model.predictor(self.state.ema, ops=ops)

    @property
    def data(self):
        """The run's data set, loaded at the first use.

        ValueError if the data have changed since the run was begun.
        """
        if not self.loaded:
            self.loaded.append(self._load_data())
        return self.loaded[0]

    def _load_data(self):
        if self.config["data_sha256"] is None:
            raise ValueError(f"{self.folder} holds a model without its data")
        data_dir = self._data_dir()
        data = datasets.load_dataset(self.config["data"], self.data_seed, data_dir=data_dir)
        if fingerprint(data) != self.config["data_sha256"]:
            raise ValueError(
                f"the data {self.config['data']} have changed since {self.folder} was begun: "
                "restore them, or train a new run"
            )
        return self.as_trained(data)

    def as_trained(self, data):
        """The data as the network takes them: padded, and labelled by captions if it has a
        vocabulary.
        """
        data = data.labelled_by_captions() if self.config.get("vocabulary") else data
        return data.padded(self.model.network.sample_shape)

    def needs_download(self):
        """Would ``data`` download the data set?"""
        return datasets.needs_download(self.config["data"], self._data_dir())

    def _data_dir(self):
        """``data_dir``, else the folder that the run was begun with, if it is there."""
        begun = self.config.get("data_dir")
        return self.data_dir or (begun if begun and Path(begun).is_dir() else None)

    def in_data_units(self, x):
        """Samples [n,...] of the model as users get them: images without padding, points in the
        units of their file.
        """
        if self.config.get("crop"):
            height, width = self.config["crop"]
            x = x[:, :height, :width]
        units = units_of(self.config)
        return units.to_file_units(x) if units and x.ndim == 2 else x

    def save(self, ops=reference_ops):
        """Write the state as the run's checkpoint."""
        checkpoint.save(self.folder, self.state, self.config, ops)


def training_model(run, data):
    """The run's model as it is trained: explicit score matching also gets the data's density, or a
    kernel density in its place, a student its teacher.
    """
    if "teacher" in run.config:
        return students.training_stage(run)[0]
    if run.config.get("objective") != "explicit":
        return run.model
    if data.is_image:
        holds = f"{data.name} holds images"
        raise ValueError(
            f"explicit score matching needs points, and {holds}: take another --objective"
        )
    bandwidth, points = run.config["bandwidth"], data.train.astype(np.float64)
    if data.mixture and bandwidth is None:
        return replace(run.model, distribution=data.mixture)
    density = kernel_density(
        points, silverman_bandwidth(points) if bandwidth is None else bandwidth
    )
    return replace(run.model, distribution=density)


def holds_run(folder):
    """Does ``folder`` hold a file of a run?"""
    names = ("config.json", "checkpoint.safetensors", "log.jsonl")
    return any((Path(folder) / name).exists() for name in names)


def new_run(folder, config, data_dir=None):
    """The run that ``config`` begins in ``folder``, at step 0.  Writes nothing."""
    model = build_model(config)
    if "teacher" in config:
        weights = students.first_weights(Path(folder), config)
        return with_weights(folder, data_dir, config, model, weights, 0)
    state = init_state(model.network, Settings(**config["training"]).seed)
    return Run(Path(folder), config, model, state, None, data_dir)


def open_run(folder, need_checkpoint=True, data_dir=None):
    """The run in ``folder`` at its last checkpoint; at step 0 where there is none, unless
    ``need_checkpoint``.  ``data_dir``: as in ``Run``.

    ``folder`` may also be a file that ``export`` wrote, or the name of a model of the package; a
    folder of that name has precedence, with a warning.  A folder may hold a model for diffusers
    (published.py) in place of a run.
    """
    models, path = exported.package_models(), Path(folder)
    if need_checkpoint and not (path.exists() or str(folder) in models):
        known = f"the models of the package are {', '.join(models)}"
        raise ValueError(f"the run {folder} does not exist, and {known}")
    if path.is_dir() and str(folder) in models:
        message = f"the folder {folder} is used, not the package's model of that name"
        warnings.warn(message, exported.NameWarning, stacklevel=2)
    elif not path.is_dir() and (str(folder) in models or path.is_file()):
        found = exported.read(models.get(str(folder), path))
        return with_weights(folder, data_dir, *found)
    if published.model_folder(path):
        return with_weights(folder, data_dir, *published.read(path))
    config, model = read_config(folder)
    if (Path(folder) / "checkpoint.safetensors").exists():
        state, environment, begun = checkpoint.load(folder, model.network.shapes())
        was, now = dict(_entries(begun)), dict(_entries(config))
        for name in was | now:
            if name != "steps" and was.get(name) != now.get(name):
                values = f"{now.get(name)}, and {was.get(name)} in its checkpoint"
                raise ValueError(
                    f"{folder}: {name} in config.json is {values}: restore config.json"
                )
        return Run(Path(folder), config, model, state, environment, data_dir)
    if need_checkpoint:
        cause = "its training was stopped before the first one"
        command = "distill" if "teacher" in config else "train"
        raise ValueError(
            f"{folder} has no checkpoint yet: {cause}; continue it with {command} --resume"
        )
    return new_run(folder, config, data_dir)


def with_weights(name, data_dir, config, model, weights, step):
    """The run ``name`` with these weights, and nothing else of the training before ``step``."""
    zeros = {name: np.zeros_like(array) for name, array in weights.items()}
    state = State(weights, weights, zeros, zeros, step)
    return Run(Path(name), config, model, state, None, data_dir)


def _entries(config, prefix=""):
    """(name, value) of every entry of nested dictionaries, the names joined by dots: net.width."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
