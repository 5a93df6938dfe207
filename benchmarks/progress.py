"""Progress of a program that takes minutes: printed lines, and on a terminal a bar with the current task below them.

The results are the printed lines.  ``reference.runs.progress`` counts the items of one loop; here the tasks have names and unequal parts.
"""

import sys
import time

from tqdm import tqdm

BAR = "{desc} |{bar}| {percentage:.0f} %, {remaining} left"


class Progress:
    """A context manager: ``log(line)`` prints a line, ``log.start(task)`` names the current task and advances the bar.

    ``pairs``: number of pairs of an implementation and a workload.  A pair has two parts: preparing and timing.
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

    def start(self, task, parts=1):
        """Begin a task of so many parts; the task before it is done."""
        self.bar.update(self.running)
        self.bar.set_description(task)
        self.running = parts
