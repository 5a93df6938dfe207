"""A progress bar on a terminal, plain lines elsewhere."""

import sys
import time


def progress(items, total, what, describe=lambda item: "", first=0):
    """Yield ``items`` and show a bar on a terminal, else a line every ten seconds and at the end.

    ``describe(item)``: a short text beside the count.  ``first``: the items done before.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, initial=first, desc=what) as bar:
            for item in items:
                bar.set_postfix_str(describe(item), refresh=False)
                bar.update()
                yield item
        return
    begin = printed = time.perf_counter()
    for done, item in enumerate(items, first + 1):
        yield item
        now = time.perf_counter()
        if done == total or now - printed >= 10:
            parts = f"{what} {done} of {total}", describe(item), f"{now - begin:.0f} s"
            print("  ".join(filter(None, parts)), flush=True)
            printed = now
