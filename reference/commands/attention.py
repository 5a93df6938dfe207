"""``sample RUN --attention FILE.png``: a picture of the attention of the samples' pixels to the
words of their captions.
"""

import json
from pathlib import Path

from reference.data.captions import decode
from reference.runs.attention_maps import MOST_SAMPLES, AttentionMaps
from reference.runs.processes import processes
from reference.runs.sampling import batch_starts
from reference.runs.trajectory import describe

HELP = f"""of a run with captions, also a picture of the first {MOST_SAMPLES} samples: each word's
share of the attention of each pixel, a mean over heads, blocks and evaluations of the network
(default: none)"""


def check_attention(run, arguments, n, how):
    """ValueError for options that do not go with ``--attention``."""
    if arguments.attention is None:
        return
    if not run.config.get("vocabulary"):
        trained = f"{run.folder} was trained without captions"
        raise ValueError(f"--attention needs a run with captions, and {trained}")
    if not run.model.network.cross_attention_levels:
        raise ValueError(f"--attention needs cross-attention, and {run.folder} has none")
    if how["guidance"] == 0:
        raise ValueError("--attention shows attention to a caption, and --guidance 0 ignores it")
    if arguments.live:
        raise ValueError("--attention belongs to one drawing, and --live draws again and again")
    if processes().count > 1:
        raise ValueError("--attention needs one process")
    if len(batch_starts(run, n)) > 1:
        largest = batch_starts(run, n).step
        raise ValueError(f"--attention needs at most {largest} samples, got {n}")
    if Path(arguments.attention).resolve() == Path(arguments.out).resolve():
        raise ValueError(f"--attention and --out must name two files, got {arguments.out} twice")


class AttentionPicture:
    """The picture at ``path`` of n samples, whose network ``maps`` watches."""

    def __init__(self, run, path, n, how, settings):
        self.run, self.path, self.how, self.settings = run, path, how, settings
        self.maps = AttentionMaps(n)

    def png(self, x):
        """The bytes of the picture of the samples x[n,h,w,c]."""
        from reference import plotting

        words = [decode(tokens).split() for tokens in self.maps.tokens]
        title = f"{self.run.title}: {describe(**self.how)}"
        shown, maps = map(self.run.in_data_units, (x[: len(words)], self.maps.maps))
        sheet = plotting.attention_sheet(shown, words, maps, title)
        return plotting.png_bytes(sheet, json.dumps(self.settings))

    def print_written(self):
        shown = f"the attention to their captions in {self.maps.count} samples of {self.run.folder}"
        print(f"wrote {self.path}: {shown}, the mean of {self.maps.evaluations} evaluations")
