"""Calls of code that is not ours: each has a time limit, prints nothing, and ends in a result or in
a ``TargetError``.
"""

import contextlib
import io
import os
import signal
import threading
import warnings

import numpy as np

PATIENCE = 5  # alarms, one second apart, that a call may swallow before the program ends


class TargetError(Exception):
    """A piece of the target can't be examined; the message is a sentence that names it."""


class TimeLimitError(TargetError):
    """A call did not return in time."""


class _TimeLimit(BaseException):
    """Raised by the alarm.  A target's ``except Exception`` does not catch it."""


def guarded(what, function, seconds):
    """(what ``function()`` returns, did it write to the terminal?).

    ``what`` names the call in the message of a TargetError.  An interrupt by the user passes.
    """
    output = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
            _alarm(what, seconds),
        ):
            warnings.simplefilter("ignore")
            return function(), bool(output.getvalue())
    except _TimeLimit:
        raise TimeLimitError(f"{what} did not return within {seconds:g} s") from None
    except TargetError:
        raise
    except SystemExit as error:
        raise TargetError(f"{what} ends the program: SystemExit({error})") from None
    except Exception as error:
        raise TargetError(f"{what} raises {describe(error)}") from error


def describe(error):
    """``ValueError: its first line``; a missing device is named as such."""
    first = next(iter(str(error).splitlines()), "")
    text = f"{type(error).__name__}: {first}".rstrip(": ")
    devices = ("cuda", "cupy", "gpu", "mps", "device")
    needs = any(word in text.lower() for word in devices)
    return f"{text} (does it need a device?)" if needs else text


@contextlib.contextmanager
def _alarm(what, seconds):
    """_TimeLimit after ``seconds``, where the system has alarms (not on Windows)."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    alarms = 0

    def stop(*_):
        nonlocal alarms
        alarms += 1
        if alarms > PATIENCE:  # the call catches every exception, and nothing else can end it
            text = f"{what} did not return within {seconds:g} s and can't be stopped"
            os.write(2, f"python -m reference audit: {text}\n".encode())
            os._exit(2)
        raise _TimeLimit

    before = signal.signal(signal.SIGALRM, stop)
    # another alarm follows if the target caught the first
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
