"""What a program that takes minutes says meanwhile: lines, and on a terminal below them a bar, with what is done now."""

import sys
import time

from tqdm import tqdm

BAR = "{desc} |{bar}| {percentage:.0f} %, {remaining} left"


class Progress:
    """``say(line)`` prints it, ``say.now(what)`` begins one of so many ``parts``, or several at once; to be closed by ``with``."""

    def __init__(self, parts):
        self.begin, self.running = time.perf_counter(), 0
        self.bar = tqdm(total=parts, disable=None, leave=False, bar_format=BAR)

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
