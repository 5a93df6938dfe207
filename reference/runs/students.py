"""Students: runs that begin with the weights of a trained run, their teacher (distillation/).

The folder of a student is the folder of a run, with these files more:

    teacher.safetensors   the teacher's averaged weights and config; takes its place as RUN where
                          the teacher's folder is gone
    N-steps.safetensors   progressive distillation: the student of N steps, on the way to fewer
    pairs.npz             reflow: the samples that the teacher drew

The safetensors files have the form of ``exported``, so ``sample`` and ``evaluate`` take them.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from reference.diffusion.training import FlatParameters, Settings
from reference.distillation.consistency import OBJECTIVES
from reference.distillation.progressive import halvings
from reference.distillation.reflow import join
from reference.ops.random import Purpose, normal
from reference.runs import exported
from reference.runs.config import build_model, json_bytes
from reference.runs.files import write_atomically, write_together
from reference.runs.methods import STAGES

TEACHER = "teacher.safetensors"
PAIRS = "pairs.npz"


@dataclass(frozen=True)
class Kind:
    """One way to make a student.

    method     the student's method, a row of ``METHODS``
    teachers   the methods of runs that can be its teacher
    options    options of ``distill``, beside ``updates`` and those of training
    defaults   of these options
    """

    method: str
    teachers: tuple[str, ...]
    options: tuple[str, ...]
    defaults: Mapping[str, Any]


DENOISERS = ("ddpm", "sde", "flow", "reflow")
CONSISTENCY = {"updates": 4000, "lr": 1e-4, "objective": OBJECTIVES[0], "levels": 0}
KINDS = {
    "progressive": Kind(
        "progressive",
        (*DENOISERS, "progressive"),
        ("steps", "teacher_steps"),
        {"updates": 1000, "lr": 1e-4, "ema": 0.0, "steps": 4, "teacher_steps": 64},
    ),
    "consistency": Kind(
        "consistency",
        DENOISERS,
        ("objective", "levels", "solver"),
        CONSISTENCY | {"solver": "heun"},
    ),
    "consistency-training": Kind(
        "consistency", (*DENOISERS, "consistency"), ("objective", "levels"), CONSISTENCY
    ),
    "reflow": Kind(
        "reflow",
        ("flow", "reflow"),
        ("pairs", "teacher_steps"),
        {"updates": 4000, "lr": 5e-4, "pairs": 20_000, "teacher_steps": 25},
    ),
}
TRAINING = ("batch", "lr", "ema", "seed", "shards")


def student_config(teacher, kind, given):
    """config.json for a student of the run ``teacher``, by a kind of KINDS.

    ``given``: options of ``distill`` by name, without None.  ValueError for a run that can't have
    such a student, or an option that does not fit.
    """
    chosen = _options(teacher, kind, given)
    training = teacher.config["training"] | {"seed": 0, "stage": 0, "shards": 1}
    training |= {name: chosen[name] for name in TRAINING if name in chosen}
    config = teacher.config | {
        "method": KINDS[kind].method,
        "denoiser": teacher.config.get("denoiser", teacher.method.name),
        "data_seed": teacher.data_seed,
        "steps": chosen["updates"],
    }
    if kind == "progressive":
        stages = len(halvings(chosen["teacher_steps"], chosen["steps"]))
        config |= {"student_steps": chosen["steps"], "steps": stages * chosen["updates"]}
        training["stage"] = chosen["updates"]
    elif kind == "reflow":
        config["schedule"] = config["schedule"] | {"times": "u-shaped"}
    else:
        own = {name: chosen[name] for name in KINDS[kind].options}
        config["consistency"] = own | {"stage_steps": -(-chosen["updates"] // STAGES)}
    config["training"] = asdict(Settings(**training))
    config["teacher"] = {
        "run": str(teacher.folder),
        "weights": exported.digest(teacher.state.ema),
        "kind": kind,
        "options": {name: config["training"][name] for name in TRAINING} | chosen,
    }
    build_model(config)
    return config


def _options(teacher, kind, given):
    """The options of a student, ``given`` or by default, after their check."""
    _check_teacher(teacher, kind, KINDS[kind].teachers)
    own = KINDS[kind].options
    others = {name for other in KINDS.values() for name in other.options} - {*own}
    for name in given:
        if name in others:
            raise ValueError(f"--{name.replace('_', '-')} is not an option of --method {kind}")
    chosen = {**KINDS[kind].defaults, **given}
    for name in ("updates", "pairs", "teacher_steps"):
        if chosen.get(name, 1) < 1:
            option = name.replace("_", "-")
            raise ValueError(f"{option} must be at least 1, got {chosen[name]}")
    if kind == "progressive":
        chosen["teacher_steps"] = _teacher_steps(teacher, chosen["steps"], given)
    return chosen


def _check_teacher(teacher, kind, teachers):
    trained = f"{teacher.folder} was trained by {teacher.method.name}"
    if teacher.method.name not in teachers:
        raise ValueError(
            f"distill --method {kind} needs a run of {', '.join(teachers)}, and {trained}"
        )
    if teacher.config["data_sha256"] is None:
        raise ValueError(
            f"distill needs the run's data, and {teacher.folder} holds a model without"
        )
    if kind != "reflow" and teacher.model.prediction == "noise":
        raise ValueError(
            f"{teacher.folder} predicts noise, from which one step can't tell x_0: alpha is almost"
            " 0 there, and x_0 = (x - sigma eps) / alpha; train with --prediction v"
        )


def _teacher_steps(teacher, steps, given):
    """The teacher's steps of DDIM: its own for a student, else as given, else at least 64."""
    own, first = steps_of(teacher), given.get("teacher_steps")
    if own and first not in (None, own):
        raise ValueError(
            f"teacher-steps must be {own}, for which {teacher.folder} was trained, got {first}"
        )
    if own or first:
        return own or first
    first = 2 * max(steps, 1)
    while first < KINDS["progressive"].defaults["teacher_steps"]:
        first *= 2
    return first


def begin(folder, teacher, config):
    """Write the first files of a student: its config, and the weights it begins with."""
    facts = {"config": teacher.config, "step": max(teacher.state.step, 1), "weights": "ema"}
    weights = exported.to_bytes(teacher.state.ema, facts)
    write_together(folder, {TEACHER: weights, "config.json": json_bytes(config)})


def first_weights(folder, config):
    """The weights that a student begins with."""
    _, _, weights, _ = exported.read(folder / TEACHER)
    if (found := exported.digest(weights)) != config["teacher"]["weights"]:
        raise ValueError(f"{folder / TEACHER} has changed: its weights are {found[:12]}")
    return weights


def training_stage(run):
    """(model with its teacher, last step) of the stage of training that the run is in.  The
    teacher's weights are a copy: training changes the arrays of the state in place.
    """
    config, kind = run.config, run.config["teacher"]["kind"]
    if kind == "progressive":
        stages, updates = _stages(config), run.settings.stage
        stage = min(run.state.step // updates, len(stages) - 1)
        if run.state.step == stage * updates:
            weights = FlatParameters(run.state.ema)
        elif stage:
            _, _, weights, _ = exported.read(_stage_path(run, stages[stage - 1]))
        else:
            weights = first_weights(run.folder, config)
        model = replace(run.model, steps=stages[stage], teacher=weights)
        return model, (stage + 1) * updates
    if kind == "consistency":
        at_start = run.state.step == 0
        weights = FlatParameters(run.state.ema) if at_start else first_weights(run.folder, config)
        return replace(run.model, teacher=weights), run.steps
    return run.model, run.steps


def _stages(config):
    """The steps of the students of all halvings."""
    options = config["teacher"]["options"]
    return halvings(options["teacher_steps"], options["steps"])


def steps_of(run):
    """The steps of DDIM that a student takes now: before its last halving ends, those of the
    halving that it is in.  None for other runs.
    """
    steps = run.config.get("student_steps")
    if steps is None or steps != run.config["teacher"]["options"]["steps"]:
        return steps  # the second: a student on the way to fewer steps, in a file of its own
    return _stages(run.config)[max(run.state.step - 1, 0) // run.settings.stage]


def _stage_path(run, steps):
    return run.folder / f"{steps}-steps.safetensors"


def keep_stage(run, write=True):
    """Before the first step of a later halving: ``write`` the student that is its teacher, and
    begin the next student with its weights.
    """
    config = run.config
    if config["teacher"]["kind"] != "progressive" or run.state.step in (0, run.steps):
        return
    number, within = divmod(run.state.step, run.settings.stage)
    if within == 0:
        steps = _stages(config)[number - 1]
        facts = {
            "config": config | {"student_steps": steps},
            "step": run.state.step,
            "weights": "ema",
        }
        if write:
            write_atomically(_stage_path(run, steps), exported.to_bytes(run.state.ema, facts))
        run.state.params.flat[...] = run.state.ema.flat


def pairs_of(run, data, draw, team):
    """The data set of pairs for a run of reflow: those of its folder, else of ``draw(n, seed,
    steps) -> x[n,...], labels[n]``, which draws from the teacher by the noise of the indices
    0 .. n-1, with all processes of the ``team``.
    """
    path, options = run.folder / PAIRS, run.config["teacher"]["options"]
    if not path.exists():
        x, labels = draw(options["pairs"], run.settings.seed, options["teacher_steps"])
        stream = io.BytesIO()
        np.savez(stream, x=x, labels=labels)
        team.first(lambda: write_atomically(path, stream.getvalue()))
    try:
        with np.load(path, allow_pickle=False) as archive:
            x, labels = archive["x"], archive["labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} can't be read: {error}; remove it to draw the pairs again"
        ) from None
    noise = normal(run.settings.seed, np.arange(len(x)), 0, Purpose.PRIOR, x.shape[1:], x.dtype)
    return with_pairs(data, x, noise, labels)


def with_pairs(data, x0, noise, labels):
    """The data set with pairs in place of its training samples."""
    return replace(data, train=join(x0, noise), train_labels=labels)
