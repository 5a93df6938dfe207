"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 training images and 10,000 test images of
28x28 pixels in ten classes.
"""

import os
from pathlib import Path

import numpy as np

from reference.data import formats

FOLDER_VARIABLE = "DIFFUSION_DATA_DIR"
BORDER = 2
CLASS_NAMES = {
    "fashion-mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}


def read(name):
    """(train images, train labels, test images, test labels) of the data set ``name``: images
    [n,32,32,1] in [-1, 1], with a border of two background pixels; labels [n].
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        raise ValueError(f"{name} needs the folder of its files in {FOLDER_VARIABLE}")
    parts = []
    for part in ("train", "t10k"):
        images = formats.read_idx(Path(folder) / f"{part}-images-idx3-ubyte.gz")
        labels = formats.read_idx(Path(folder) / f"{part}-labels-idx1-ubyte.gz")
        widths = ((0, 0), (BORDER, BORDER), (BORDER, BORDER))
        scaled = np.pad(images, widths)[..., None].astype(np.float32) / 127.5 - 1
        parts += [scaled, labels.astype(np.int64)]
    return parts
