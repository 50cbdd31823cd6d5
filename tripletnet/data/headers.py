"""Which JPEG and PNG files OpenCV decodes faithfully, told from their bytes before decoding.

OpenCV is the fastest decoder at hand, but it may turn what is missing of a truncated file grey,
guesses at CMYK and drops alpha. These functions let through only what is plain and whole.
"""

from __future__ import annotations

import struct
from typing import Optional

# Entropy-coded with Huffman tables, 8 or 12 bits: baseline, extended sequential, progressive.
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_START_OF_SCAN = 0xDA

# Transparency, orientation, animation, and a profile over which libpng may print warnings.
_PNG_SPECIAL = (b"tRNS", b"eXIf", b"acTL", b"iCCP")


def plain_jpeg_size(data: bytes) -> Optional[tuple[int, int]]:
    """Return (height, width) as stored, or None if `data` is not a plain and whole JPEG.

    Plain: Huffman-coded, 8 bits, one or three components. Whole: the first image, past the
    header with its thumbnails, ends in an end-of-image marker; whatever follows that is ignored.
    """
    size = None
    at = 2
    try:
        while True:
            prefix, marker, length = struct.unpack_from(">BBH", data, at)
            if prefix != 0xFF or length < 2:
                return None
            if marker == 0xFF:  # fill byte
                at += 1
                continue
            if marker in _HUFFMAN_FRAMES:
                bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
                if bits != 8 or components not in (1, 3):
                    return None
                size = (height, width)
            elif marker in _OTHER_FRAMES:
                return None
            at += 2 + length
            if marker == _START_OF_SCAN:
                break
    except struct.error:
        return None
    # Inside coded data 0xFF is followed by 0 or a restart marker, so the next end is the image's
    # own, unless another image starts before it.
    end = data.find(b"\xff\xd9", at)
    if end < 0 or data.find(b"\xff\xd8", at, end) >= 0:
        return None
    return size


def plain_png_size(data: bytes) -> Optional[tuple[int, int]]:
    """Return (height, width), or None if `data` is not a plain and whole PNG.

    Plain: grey, RGB or palette of 8 bits, without transparency, orientation, profile or
    animation. Whole: the chunks reach to the end chunk.
    """
    size = None
    at = 8
    try:
        while True:
            length, kind = struct.unpack_from(">I4s", data, at)
            if kind == b"IHDR":
                width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
                if bits != 8 or colour not in (0, 2, 3):
                    return None
                size = (height, width)
            elif kind in _PNG_SPECIAL:
                return None
            at += 12 + length
            if kind == b"IEND":
                return size if at <= len(data) else None
    except struct.error:
        return None
