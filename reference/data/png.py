"""PNG pictures as arrays of numbers.

Pillow reads them, but cuts colours of 16 bits to 8.  Those are decoded here, by the PNG
specification (ISO/IEC 15948), clauses 5, 9 and 10: the contents of the IDAT chunks together are one
zlib stream, in which each row of pixels follows a byte that names its filter.  A filter predicts a
byte x of a pixel from that byte of the pixels on the left (a), above (b) and above on the left (c),
which are 0 outside of the picture, and stores the difference modulo 256:

    0 none   0
    1 sub    a
    2 up     b
    3 mean   (a + b) // 2
    4 Paeth  the one of a, b, c that is nearest to a + b - c; the first of them in a tie

A prediction needs no other pixel of its diagonal, row + column = d.  So all bytes of a diagonal are
computed together.
"""

import struct
import warnings
import zlib

import numpy as np

MAX_ZIP_RATIO = 1100  # unpacked bytes per zipped byte; deflate reaches 1032
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {2: ("RGB", 3), 4: ("LA", 2), 6: ("RGBA", 4)}  # colour type -> (mode, channels)


def header(path):
    """((width, height), mode) of a file, for reading the pixels.  The mode has Pillow's name: a
    palette becomes RGB or RGBA, grey with opacity RGBA; colours of 16 bits are RGB;16 or RGBA;16.

    ValueError for a file that is no PNG, or declares more pixels than it can hold.
    """
    from PIL import Image

    with open(path, "rb") as file:
        head = file.read(29)
    if head[:8] != SIGNATURE:
        raise ValueError("it is not a PNG file")
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        try:
            with Image.open(path, formats=["PNG"]) as image:
                size, mode, see_through = image.size, image.mode, "transparency" in image.info
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(str(error)) from None
    depth, colour, interlaced = head[24], head[25], head[28]
    if size[0] * size[1] * depth // 8 > MAX_ZIP_RATIO * path.stat().st_size:
        raise ValueError(
            f"its header declares {size[0]}x{size[1]} pixels, more than its bytes can hold"
        )
    if depth == 16 and colour in COLOURS:
        if interlaced:
            raise ValueError("colours of 16 bits must not be interlaced: store it row by row")
        return size, "RGB;16" if colour == 2 else "RGBA;16"
    return size, {"P": "RGBA" if see_through else "RGB", "LA": "RGBA"}.get(mode, mode)


def pixels(path, mode):
    """The pixels [h,w] or [h,w,c] of a file with this mode, from ``header``: uint8, uint16, or
    booleans for black and white.
    """
    from PIL import Image

    if mode in ("RGB;16", "RGBA;16"):
        return _colours_of_16_bits(path)
    with Image.open(path, formats=["PNG"]) as image:
        return np.asarray(image if image.mode == mode else image.convert(mode))


def _colours_of_16_bits(path):
    """uint16 [h,w,3] or [h,w,4]; grey with opacity becomes RGBA."""
    width, height, colour, stream = _read_chunks(path.read_bytes())
    channels = COLOURS[colour][1]
    rows = _inflate(stream, height * (1 + 2 * channels * width)).reshape(height, -1)
    samples = unfilter(rows[:, 0], rows[:, 1:].reshape(height, width, 2 * channels))
    x = samples.view(">u2").astype(np.uint16)
    return x[..., [0, 0, 0, 1]] if channels == 2 else x


def _read_chunks(data):
    """(width, height, colour type, the contents of all IDAT chunks).  A chunk is its length, its
    type, its contents and their CRC.
    """
    width, height, _, colour = struct.unpack_from(">IIBB", data, len(SIGNATURE) + 8)
    place, kind, stream = len(SIGNATURE), b"", []
    while kind != b"IEND":
        if place + 12 > len(data):
            raise ValueError("it is cut short")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        contents, crc = data[place + 8 : end], data[end : end + 4]
        if crc != struct.pack(">I", zlib.crc32(kind + contents)):
            raise ValueError(f"its chunk {kind.decode('latin-1')} is damaged or cut short")
        stream += [contents] if kind == b"IDAT" else []
        place = end + 4
    return width, height, colour, b"".join(stream)


def _inflate(stream, size):
    """``size`` bytes [size] of a zlib stream."""
    found = zlib.decompressobj().decompress(stream, size + 1)
    if len(found) != size:
        held = "more" if len(found) > size else "fewer"
        raise ValueError(f"its header declares {size} bytes of pixels, the file holds {held}")
    return np.frombuffer(found, np.uint8)


def unfilter(filters, differences):
    """The bytes [h,w,k] of h rows of w pixels with k bytes, from filters[h] and differences[h,w,k],
    all uint8.  ValueError for an unknown filter.
    """
    if filters.max() > 4:
        raise ValueError(f"its filter {filters.max()} is unknown")
    h, w, k = differences.shape
    x = np.zeros((h + 1, w + 1, k), np.uint8)  # with zeros above and on the left
    for d in range(h + w - 1):
        row = np.arange(max(0, d - w + 1), min(h, d + 1))
        column = d - row
        a, b, c = (
            x[row + below, column + right].astype(np.int16)
            for below, right in ((1, 0), (0, 1), (0, 0))
        )
        predicted = np.choose(filters[row, None], (0, a, b, (a + b) // 2, _paeth(a, b, c)))
        x[row + 1, column + 1] = differences[row, column] + predicted.astype(np.uint8)
    return np.ascontiguousarray(x[1:, 1:])


def _paeth(a, b, c):
    """The nearest of a, b and c to a + b - c, in this order."""
    far_a, far_b, far_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return np.where((far_a <= far_b) & (far_a <= far_c), a, np.where(far_b <= far_c, b, c))
