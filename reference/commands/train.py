"""``train METHOD``: begin a run, or continue one."""

import contextlib
import sys
import warnings
from copy import copy
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

from reference.commands import sample, sample_pictures
from reference.commands.interrupts import stop_on_signal
from reference.commands.train_options import CONFIG_ENTRY, OWN_ENTRY, add_options  # noqa: F401 - of a command
from reference.data import datasets
from reference.runs import students
from reference.runs.checkpoint import Log, environment
from reference.runs.config import DEFAULTS, build_config, write_config
from reference.runs.devices import hook, read_loss, to_host, train
from reference.runs.files import exclusive_lock, output_folder, write_atomically
from reference.runs.launch import SHARDS, launched
from reference.runs.methods import METHODS
from reference.runs.processes import processes
from reference.runs.progress import progress
from reference.runs.run import holds_run, new_run, open_run, training_model
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.runs.students import TEACHER
from reference.runs.train_checks import check_trainable, learned_nothing

CHECKED = 100  # steps after which processes compare their parameters


def execute(arguments, ops):
    if arguments.save_every < 1:
        raise ValueError(f"save-every must be at least 1, got {arguments.save_every}")
    if arguments.sample_every is not None and arguments.sample_every < 1:
        raise ValueError(f"sample-every must be at least 1, got {arguments.sample_every}")
    if arguments.sample_every and not METHODS[arguments.method].sampler:
        raise ValueError(f"--sample-every is not an option of train {arguments.method}")
    options = {name: getattr(arguments, name) for name in (*CONFIG_ENTRY, "data_dir", "steps")}
    begin = lambda resume: start(arguments.out, arguments.method, options, resume, ops)
    run, data = start_together(begin, arguments.out, arguments.resume, ops)
    return continue_training(run, data, arguments.save_every, ops, arguments.sample_every)


def start_together(begin, folder, resume, ops):
    """(run, data) of ``begin(resume)`` on rank 0; then the other processes resume the run."""
    team = processes()
    team.check_shared(folder)
    started = team.first(lambda: begin(resume))
    for rank, other in enumerate(team.gather(environment(ops)) or []):
        if changed := differences(environment(ops), other, f"in rank 0 and in rank {rank} is", ops):
            print(f"note: {changed}: the bits may differ, which would end the training")
    return started or begin(True)


def check_shards(run):
    """ValueError for a number of processes that can't have the same number of the run's shards."""
    shards, count = run.settings.shards, processes().count
    if shards % count:
        raise ValueError(
            f"--shards {shards} of {run.folder} can't be divided among {count} processes: take 1,"
            " 2, 4 .. processes up to the shards, which a run keeps"
        )


def start(folder, method, options, resume, ops):
    """(run, data): a new run in ``folder``, or with ``resume`` the run that is there.

    ValueError for options that differ from the run's.
    """
    folder = Path(folder)
    check_folder(folder, resume)
    # the run must find its data from any working directory
    name, data_dir = options["data"], options.get("data_dir")
    if name is not None and name not in datasets.NAMES and Path(name).exists():
        options = options | {"data": str(Path(name).absolute())}
    if data_dir is not None:
        options = options | {"data_dir": str(Path(data_dir).absolute())}
    if not (folder / "config.json").exists():
        if options["shards"] is None and launched():
            options = options | {"shards": SHARDS}
        name, seed = options["data"] or DEFAULTS["data"], options["seed"] or 0
        data = datasets.load_dataset(name, seed, data_dir=data_dir)
        run = new_run(folder, build_config(method, data, options))
        padded = run.as_trained(data)
        run.loaded.append(padded)
        # before anything is written
        check_shards(run)
        check_trainable(run, padded, ops)
        write_config(output_folder(folder), run.config)
        _print_notes(data, run.config)
        return run, padded
    run = open_run(folder, need_checkpoint=False, data_dir=data_dir)
    _check_options(run, method, options)
    data = run.data
    check_shards(run)
    check_trainable(run, data, ops)
    steps = run.steps if options["steps"] is None else options["steps"]
    if steps < run.steps:
        raise ValueError(f"steps must be at least the {run.steps} of {folder}, got {steps}")
    if steps > run.steps:
        run.config["steps"] = steps
        write_config(output_folder(folder), run.config)
    note_environment(run, ops)
    return run, data


def note_environment(run, ops):
    """Print how this environment differs from the one of the run's checkpoint."""
    now = environment(ops)
    if changed := differences(run.environment or now, now, "and is", ops):
        print(f"note: {changed}: the bits of the result may differ")


def differences(was, now, between, ops):
    """The entries of two environments that differ, in a phrase; empty if none does.  A port that
    has threads of its own has the same bits for any number of them.
    """
    without = "threads" if hook(ops, "threads")() is not None else None
    return ", ".join(
        f"{name} was {value} {between} {now.get(name)}"
        for name, value in was.items()
        if now.get(name) != value and name != without
    )


def _print_notes(data, config):
    """How data from a file was read, in a line."""
    notes = list(data.notes)
    if config["crop"]:
        sizes = (*data.shape[:2], *config["net"]["size"])
        notes.append("images of {}x{} are padded to {}x{}, and samples are cropped".format(*sizes))
    if notes:
        print(f"{data.name}: {'; '.join(notes)}")


def check_folder(folder, resume):
    """ValueError for a folder in which no run can begin, or with ``resume`` continue.

    A run that was killed at its start has left nothing, or temporary files: it begins again.
    """
    advice = "name the run's folder, or leave out --resume to begin a run"
    if holds_run(folder) and not (folder / "config.json").exists():
        missing = "holds a checkpoint or a log but no config.json, which a run needs"
        raise ValueError(f"{folder} {missing}: name another --out")
    if holds_run(folder) and not resume:
        advice = "add --resume to continue it, or name another --out"
        raise ValueError(f"{folder} holds a run already: {advice}")
    if resume and not folder.exists():
        raise ValueError(f"{folder} does not exist, so there is no run to resume: {advice}")
    if resume and not holds_run(folder) and folder.is_dir():
        if any(path.suffix != ".tmp" and path.name != TEACHER for path in folder.iterdir()):
            raise ValueError(f"{folder} holds other files, but no run to resume: {advice}")


def _check_options(run, method, options):
    if method != run.method.name:
        raise ValueError(f"{run.folder} is a run of {run.method.name}, not of {method}")
    if "teacher" in run.config:
        raise ValueError(f"{run.folder} was begun by distill: continue it with distill --resume")
    config = run.config | {"training": asdict(run.settings)}  # whole, also of an earlier version
    for name, keys in (CONFIG_ENTRY | OWN_ENTRY.get(method, {})).items():
        value = config
        for key in keys:
            value = value.get(key) if value else None
        value = bool(value) if options[name] is True else value
        if options[name] is not None and options[name] != value:
            begun = f"{run.folder} was begun with {name.replace('_', '-')} {value}"
            raise ValueError(f"{begun}, got {options[name]}: a run keeps its options")


def write_samples(run, how, ops):
    """Write FOLDER/samples-STEP.png, samples by the averaged weights of this step."""
    state = copy(run.state)
    state.ema = to_host(dict(state.ema), ops)
    shown, path = replace(run, state=state), run.folder / f"samples-{state.step:06d}.png"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few steps make bad samples
        try:
            x, _ = draw(shown, ops, sample.default_samples(run, how), **how)
        except ValueError as error:  # the samples are not finite
            print(f"note: no {path.name}: {error}")
            return
    arrays = sample.with_origin(shown, ops, x, how)
    write_atomically(path, sample_pictures.picture(shown, arrays, how, {"step": state.step, **how}))


def training_states(run, data, ops):
    """``devices.train`` to the run's last step, for a student of several stages one after the
    other.
    """
    settings, state = run.settings, run.state
    while state.step < run.steps:
        if "teacher" in run.config:
            students.keep_stage(run, write=processes().rank == 0)
            model, last = students.training_stage(run)
        else:
            model, last = training_model(run, data), run.steps
        steps = settings, state, last, ops, processes()
        yield from train(model, data.train, data.train_labels, *steps)


def continue_training(run, data, save_every, ops, sample_every=None):
    """Train to the run's last step, with a checkpoint every ``save_every`` steps and a picture of
    samples every ``sample_every``, which rank 0 writes.

    Returns 0, or 130 if a signal stopped the training.
    """
    if run.state.step >= run.steps:
        taken = f"all of its {run.steps} steps are taken"
        more = "" if "teacher" in run.config else ": --steps with a larger number extends it"
        print(f"{run.folder} is finished, {taken}{more}")
        return 0
    team, first = processes(), run.state.step
    how = sampler_options(run) if sample_every else {}
    with contextlib.ExitStack() as opened, stop_on_signal() as stop:
        log = team.first(lambda: _locked_log(run, opened))
        states = training_states(run, data, ops)
        loss = lambda state: f"loss {state.loss:.4g}"
        for state in progress(states, run.steps, "training step", loss, first):
            read_loss(state)
            stopped = team.any(stop.asked)
            if state.step % CHECKED == 0 or state.step == run.steps:
                check_equal_parameters(state, team, ops)
            if log:
                log.append(step=state.step, loss=state.loss, gradient_norm=state.gradient_norm)
                if stopped or state.step % save_every == 0 or state.step == run.steps:
                    log.flush()
                    run.save(ops)
                if sample_every and state.step % sample_every == 0:
                    write_samples(run, how, ops)
            if stopped and state.step < run.steps:
                done = f"stopped after step {state.step} of {run.steps}"
                print(f"{done}, which is saved: continue with --resume")
                return 130
    if log and run.state.step > run.settings.warmup:
        if found := learned_nothing(run, data, ops):
            print(f"warning: {found}", file=sys.stderr)
    print(f"wrote {run.folder}: config.json, checkpoint.safetensors, log.jsonl")
    return 0


def _locked_log(run, opened):
    """The run's log, in a folder that no other command trains in until ``opened`` is closed."""
    opened.enter_context(exclusive_lock(run.folder))
    return opened.enter_context(contextlib.closing(Log(run.folder, run.state.step)))


def check_equal_parameters(state, team, ops):
    """ValueError unless all processes have the same parameters, bit for bit."""
    if team.count > 1:
        digest = sha256(to_host(state.params.flat, ops)).hexdigest()[:12]
        team.check_equal(f"the hash of the parameters at step {state.step}", digest)
