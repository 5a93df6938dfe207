"""How commands speak: progress on a terminal or in plain lines, and an orderly stop."""

import contextlib
import os
import signal
import sys
import time


def progress(items, total, what, describe=lambda item: "", first=0):
    """Pass ``items`` on, with a bar on a terminal, and elsewhere a line every ten seconds and at the end."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, initial=first, desc=what) as bar:
            for item in items:
                bar.set_postfix_str(describe(item), refresh=False)
                bar.update()
                yield item
        return
    begin = said = time.perf_counter()
    for done, item in enumerate(items, first + 1):
        yield item
        now = time.perf_counter()
        if done == total or now - said >= 10:
            print("  ".join(filter(None, (f"{what} {done} of {total}", describe(item), f"{now - begin:.0f} s"))), flush=True)
            said = now


class Stop:
    asked = False


@contextlib.contextmanager
def stop_on_signal():
    """Within: an interrupt (Ctrl-C) or a termination sets ``.asked``, so that a step is finished first; a second one stops at once."""
    stop, previous = Stop(), {}

    def ask(number, frame):
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        os.write(2, b"stopping after this step; once more stops at once\n")  # print may be what was interrupted

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
