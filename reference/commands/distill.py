"""``distill RUN``: train a student of a run that samples in few steps, or continue one."""

from functools import partial
from pathlib import Path

import numpy as np

from reference.commands.export import RUN_HELP
from reference.commands.train import (
    check_folder,
    check_shards,
    continue_training,
    note_environment,
    start_together,
)
from reference.commands.train_options import SHARDS_HELP
from reference.data import mnist
from reference.data.captions import decode
from reference.distillation.consistency import OBJECTIVES, SOLVERS
from reference.networks.blocks import takes_labels
from reference.runs import students
from reference.runs.conditions import labels_of
from reference.runs.config import build_model
from reference.runs.exported import digest
from reference.runs.files import output_folder
from reference.runs.launch import SHARDS, launched
from reference.runs.processes import processes
from reference.runs.run import open_run, with_weights
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.runs.students import KINDS
from reference.runs.train_checks import check_trainable

OPTIONS = ("steps", "teacher_steps", "updates", "objective", "levels", "solver", "pairs")


def add_options(parser):
    option = parser.add_argument
    option("run", metavar="RUN", help=f"the teacher: {RUN_HELP}")
    option("--out", required=True, metavar="FOLDER", help="folder of the student (no default)")
    option(
        "--method",
        choices=KINDS,
        default="progressive",
        help="progressive: halve the steps of ddim until --steps; consistency: distil the path of "
        "the teacher; consistency-training: the same from data alone, begun with its weights; "
        "reflow: straighten a flow (default progressive)",
    )
    option(
        "--resume",
        action="store_true",
        help="continue the student in FOLDER from its last checkpoint (default: begin one)",
    )
    option(
        "--updates",
        type=int,
        metavar="N",
        help=f"training steps{_default('updates')}; of progressive for each halving",
    )
    option("--batch", type=int, metavar="N", help="samples an update (default that of RUN)")
    option("--lr", type=float, metavar="X", help=f"Adam's learning rate{_default('lr')}")
    option(
        "--ema",
        type=float,
        metavar="X",
        help="decay of the averaged weights (default that of RUN; progressive 0, without average)",
    )
    option("--seed", type=int, metavar="N", help="seed of noise and order of the data (default 0)")
    option("--shards", type=int, metavar="K", help=SHARDS_HELP)
    option(
        "--save-every",
        type=int,
        default=100,
        metavar="N",
        help="updates between checkpoints (default 100)",
    )
    option("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)
    option = parser.add_argument_group("progressive, reflow").add_argument
    option("--steps", type=int, metavar="N", help="progressive: the student's steps (default 4)")
    option(
        "--teacher-steps",
        type=int,
        metavar="N",
        help="steps of RUN: progressive: --steps times 2, 4, 8 .. (default the first from 64 on); "
        "reflow: Heun steps for a pair (default 25)",
    )
    option(
        "--pairs",
        type=int,
        metavar="N",
        help="reflow: pairs of noise and data that RUN draws (default 20000)",
    )
    option = parser.add_argument_group("consistency, consistency-training").add_argument
    option(
        "--objective",
        choices=OBJECTIVES,
        help="loss of the difference of two levels (default pseudo-huber)",
    )
    option(
        "--levels",
        type=int,
        metavar="N",
        help="train between N fixed noise levels (default: any two levels, which approach)",
    )
    option("--solver", choices=SOLVERS, help="step of the teacher (default heun)")


def _default(default):
    values = ", ".join(f"{name} {kind.defaults[default]:g}" for name, kind in KINDS.items())
    return f" (default {values})"


def execute(arguments, ops):
    if arguments.save_every < 1:
        raise ValueError(f"save-every must be at least 1, got {arguments.save_every}")
    given = {name: getattr(arguments, name) for name in (*OPTIONS, *students.TRAINING)}
    given = {name: value for name, value in given.items() if value is not None}
    teacher = open_run(arguments.run, data_dir=arguments.data_dir)
    begin = lambda resume: start(teacher, arguments, given, resume, ops)
    run, data = start_together(begin, arguments.out, arguments.resume, ops)
    if arguments.method == "reflow":
        data = students.pairs_of(run, data, partial(_draw_pairs, teacher, ops), processes())
    return continue_training(run, data, arguments.save_every, ops)


def start(teacher, arguments, given, resume, ops):
    """(run, data): a new student in the folder --out, or with ``resume`` the one that is there."""
    folder = Path(arguments.out)
    check_folder(folder, resume)
    if (folder / "config.json").exists():
        run = open_run(folder, need_checkpoint=False, data_dir=arguments.data_dir)
        _check_resumed(run, teacher, arguments.method, given)
        check_shards(run)
        note_environment(run, ops)
        return run, run.data
    if launched():
        given = {"shards": SHARDS} | given
    config = students.student_config(teacher, arguments.method, given)
    model = build_model(config)
    run = with_weights(folder, arguments.data_dir, config, model, teacher.state.ema, 0)
    run.loaded.append(teacher.data)
    check_shards(run)
    check_trainable(run, _first_data(run), ops)
    students.begin(output_folder(folder), teacher, config)
    return run, run.data


def _first_data(run):
    """Data of the shape that the run trains on, before any pairs are drawn."""
    if run.method.name != "reflow":
        return run.data
    few = run.data.train[:64]
    return students.with_pairs(run.data, few, few, run.data.train_labels[:64])


def _draw_pairs(teacher, ops, n, seed, steps):
    """(x, labels) on rank 0 of n samples, which all processes draw.  Their captions are those of
    training images, so that held-out combinations stay out of the student's training, too.
    """
    captions = None
    if teacher.config.get("vocabulary"):
        captions = [decode(tokens) for tokens in teacher.data.train_labels[:n]]
    how = sampler_options(teacher, "ode-heun", seed, steps=steps, caption=captions)
    x, _ = draw(teacher, ops, n, team=processes(), **how)
    labels = np.zeros(n, int)
    if takes_labels(teacher.model.network):
        labels = labels_of(teacher, np.arange(n), how.get("label"), how.get("caption"))
    return x, labels


def _check_resumed(run, teacher, kind, given):
    """ValueError for a student of another teacher, or with other options."""
    begun = run.config.get("teacher")
    if begun is None or begun["kind"] != kind:
        what = f"distill --method {begun['kind']}" if begun else f"train {run.method.name}"
        raise ValueError(f"{run.folder} was begun by {what}, not by distill --method {kind}")
    if begun["weights"] != digest(teacher.state.ema):
        other = f"{begun['run']}, whose weights are not those of {teacher.folder}"
        raise ValueError(f"{run.folder} is a student of {other}")
    for name, value in given.items():
        if value != (was := begun["options"].get(name)):
            option = f"begun with {name.replace('_', '-')} {was}, got {value}"
            raise ValueError(f"{run.folder} was {option}: a student keeps its options")
