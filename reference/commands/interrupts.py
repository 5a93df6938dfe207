"""Interrupts: a command ends with one line, and training finishes the step that it has begun."""

import contextlib
import functools
import os
import signal

from reference.runs.launch import launched


class Stop:
    asked = False


@contextlib.contextmanager
def stop_on_signal(piece="step", kept="checkpoint"):
    """Within the context a first SIGINT (Ctrl-C) or SIGTERM sets ``.asked``, so that the ``piece``
    of work is finished; a second one ends the process, and the last ``kept`` remains.

    Python runs a handler only between two of its instructions, and one instruction may be an op
    that takes minutes.  So a thread prints the answer; every signal wakes it.
    """
    import socket
    import threading

    stop, previous, (receiver, sender) = Stop(), {}, socket.socketpair()

    def ask(number, frame):
        stop.asked = True

    def answer():
        for line in (
            f"stopping after this {piece}; once more stops at once\n",
            f"stopped at once: the last {kept} is kept\n",
        ):
            if not receiver.recv(1):  # the other end is closed: the context has ended
                return
            os.write(2, line.encode())
        os._exit(130)

    sender.setblocking(False)
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    descriptor = signal.set_wakeup_fd(sender.fileno())
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor)
        sender.close()
        thread.join()
        receiver.close()


def end_on_interrupt(program):
    """From here on an interrupt (Ctrl-C) ends the process with one line.

    It serves during imports, where an exception could be lost.
    """
    # a process in the background may ignore interrupts
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, functools.partial(_end, program))


def _end(program, number, frame):
    if launched() is None or launched()[0] == 0:  # once for all processes
        os.write(2, f"{program}: interrupted\n".encode())
    os._exit(130)


def raise_on_interrupt():
    """From here on an interrupt is a KeyboardInterrupt again, if it was not before."""
    if isinstance(signal.getsignal(signal.SIGINT), functools.partial):
        signal.signal(signal.SIGINT, signal.default_int_handler)
