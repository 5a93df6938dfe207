"""A writer of PNG files by the specification, byte by byte, with any filter for each row."""

import struct
import zlib
from itertools import pairwise

import numpy as np

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, pixels=b"", interlaced=0, parts=1):
    """A file with these bytes before compression, in ``parts`` chunks."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    stream = zlib.compress(pixels)
    ends = np.linspace(0, len(stream), parts + 1).astype(int)
    data = b"".join(chunk(b"IDAT", stream[a:b]) for a, b in pairwise(ends))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


def png_of(x, filters, parts=1):
    """x[h,w,c] of uint8 or uint16 as a file whose rows have these filters, each from 0 to 4."""
    h, w, c = x.shape
    depth = 8 * x.itemsize
    colour = {channels: colour for colour, channels in CHANNELS.items()}[c]
    return png(w, h, depth, colour, filtered(x.astype(f">u{x.itemsize}").view(np.uint8).reshape(h, w, -1), filters), parts=parts)


def filtered(x, filters):
    """The bytes of x[h,w,k] with a filter before each row."""
    h, w, k = x.shape
    at = lambda i, j, b: int(x[i, j, b]) if i >= 0 and j >= 0 else 0
    rows = []
    for i in range(h):
        neighbours = ((at(i, j, b), at(i, j - 1, b), at(i - 1, j, b), at(i - 1, j - 1, b)) for j in range(w) for b in range(k))
        rows.append(bytes([filters[i], *((v - predicted(filters[i], *around)) % 256 for v, *around in neighbours)]))
    return b"".join(rows)


def predicted(kind, left, up, corner):
    if kind == 4:
        p = left + up - corner
        return min((left, up, corner), key=lambda v: abs(p - v))  # the first of them in a tie
    return (0, left, up, (left + up) // 2)[kind]
