"""Schedulers of diffusers as targets: ``diffusers:CLASS``, or ``diffusers:all``.

``--option`` sets an argument of the scheduler, of its ``set_timesteps`` or of its ``step``.
"""

import importlib
import inspect

from reference.audit.adapters import diffusers_settings as settings
from reference.audit.guard import describe
from reference.audit.target import Target, TargetError

OF_STEP = ("eta", "use_clipped_model_output", "s_churn", "s_tmin", "s_tmax", "s_noise", "order")
OF_SET_TIMESTEPS = ("mu", "original_inference_steps", "strength", "stage_index")


def targets(name, options, limit):
    """The targets of ``diffusers:name``.  ``all``: every scheduler, with ``settings.VARIANTS``."""
    library = _import("diffusers")
    _import("torch")
    library.utils.logging.set_verbosity_error()
    names = scheduler_names(library)
    if name == "all":
        if options:
            raise TargetError(
                "diffusers:all takes no --option: its settings are listed in the code"
            )
        return [target for each in names for target in _all_of(library, each, limit)]
    if name not in names:
        raise TargetError(f"diffusers has the schedulers {', '.join(names)}, and not {name!r}")
    if name in settings.NOT_EXAMINED:
        return [_not_examined(name, settings.NOT_EXAMINED[name])]
    return [_target(library, name, options, limit)]


def scheduler_names(library):
    """The scheduler classes that the library exports."""
    return sorted(n for n in dir(library) if n.endswith("Scheduler") and n != "SchedulerMixin")


def versions():
    """The versions of diffusers and torch, for the settings of a report."""
    return {name: importlib.import_module(name).__version__ for name in ("diffusers", "torch")}


def _import(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TargetError(f"{name} is not installed: pip install diffusers torch") from error


def _all_of(library, name, limit):
    if name in settings.NOT_EXAMINED:
        return [_not_examined(name, settings.NOT_EXAMINED[name])]
    variants = settings.VARIANTS.get(name, ({},))
    return [_target(library, name, options, limit) for options in variants]


def _not_examined(name, reason):
    return Target(f"diffusers:{name}", {}, not_examined=reason, facts={"versions": versions()})


def _target(library, name, options, limit):
    kind = getattr(library, name)
    try:
        return _made(name, kind, sort_options(name, kind, options), options, limit)
    except ImportError as error:
        words = " ".join(str(error).split())
        return _not_examined(name, f"a package that it needs is missing: {words:.100}")
    except TargetError:
        raise
    except Exception as error:
        raise TargetError(f"diffusers:{name}: {describe(error)}") from error


def _made(name, kind, run, options, limit):
    from reference.audit.adapters.diffusers_special import driver_of  # it imports torch

    driver = driver_of(name, kind, run, kind(**run["init"]))
    if hasattr(kind, "set_timesteps"):
        driver.new(10)  # some options are read here first
    texts = [f"{key}={value}" for key, value in options.items()]
    return Target(
        " ".join([f"diffusers:{name}", *texts]),
        driver.pieces(),
        driver.claims() | {"arrays": "torch", "dtype": "float32"},
        limit,
        notes=driver.notes(),
        facts={"options": options, "versions": versions()},
    )


def sort_options(name, kind, options):
    """{"init", "steps", "step": the options of each call}.  TargetError for other options."""
    places = {
        "init": _arguments(kind.__init__),
        "steps": [key for key in _arguments(kind.set_timesteps) if key in OF_SET_TIMESTEPS],
        "step": [key for key in _arguments(getattr(kind, "step", None)) if key in OF_STEP],
    }
    sorted_options: dict = {place: {} for place in places}
    for key, value in settings.DEFAULTS.get(name, {}).items() | options.items():
        place = next((place for place, known in places.items() if key in known), None)
        if place is None:
            known = ", ".join(sorted(set().union(*places.values())))
            raise TargetError(f"diffusers:{name} has the options {known}, and not {key}")
        sorted_options[place][key] = value
    _check_choices(name, kind, sorted_options["init"])
    return sorted_options


def _check_choices(name, kind, given):
    """A value that the type of an argument does not list: the library takes it and fails later."""
    for key, value in given.items():
        choices = getattr(
            inspect.signature(kind.__init__).parameters[key].annotation, "__args__", ()
        )
        texts = [choice for choice in choices if isinstance(choice, str)]
        if isinstance(value, str) and texts and value not in texts:
            raise TargetError(
                f"diffusers:{name}: {key} must be one of {', '.join(texts)}, got {value!r}"
            )


def _arguments(function):
    if function is None:
        return []
    names = inspect.signature(function).parameters
    return [name for name in names if name not in ("self", "args", "kwargs")]
