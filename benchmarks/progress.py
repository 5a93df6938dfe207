"""What a program that takes minutes says meanwhile: lines, and on a terminal below them a bar, with what is done now."""

import sys
import time

from tqdm import tqdm

BAR = "{desc} |{bar}| {percentage:.0f} %, {remaining} left"


class Progress:
    """``say(line)`` prints it, ``say.now(what)`` begins a part, or several at once; to be closed by ``with``.

    ``pairs``: of an implementation and a workload, each prepared and then timed, which are two parts.
    """

    def __init__(self, pairs):
        self.begin, self.running = time.perf_counter(), 0
        self.bar = tqdm(total=2 * pairs, disable=None, leave=False, bar_format=BAR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def __call__(self, line):
        self.bar.write(f"{time.perf_counter() - self.begin:6.0f} s  {line}")
        sys.stdout.flush()

    def now(self, what, parts=1):
        self.bar.update(self.running)
        self.bar.set_description(what)
        self.running = parts
