"""Which JPEG and PNG files OpenCV decodes faithfully, told from their bytes before decoding.

OpenCV is the fastest decoder at hand, but it may turn what is missing of a truncated file grey,
guesses at CMYK and drops alpha. These functions let through only what is plain and whole.
"""

from __future__ import annotations

import struct
from typing import Optional

# The markers from 0xC0 to 0xCF begin a JPEG's frame and tell how it is coded, but for these.
_TABLES = (0xC4, 0xC8, 0xCC)
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)

# Transparency, orientation, animation, and a profile over which libpng may print warnings.
_PNG_SPECIAL = (b"tRNS", b"eXIf", b"acTL", b"iCCP")

_segment = struct.Struct(">BBH").unpack_from
_frame = struct.Struct(">BHHB").unpack_from
_chunk = struct.Struct(">I4s").unpack_from
_image_header = struct.Struct(">IIBB").unpack_from


def plain_jpeg_size(data: bytes) -> Optional[tuple[int, int]]:
    """Return (height, width) as stored, or None if `data` is not a plain and whole JPEG.

    Plain: Huffman-coded, 8 bits, one or three components. Whole: there is an end-of-image marker
    past the frame's header, and so past the thumbnails; whatever follows it does not matter.
    """
    at = 2
    try:
        while True:
            prefix, marker, length = _segment(data, at)
            if prefix != 0xFF or length < 2:
                return None
            if 0xC0 <= marker <= 0xCF and marker not in _TABLES:
                break
            at += 1 if marker == 0xFF else 2 + length  # one on for a fill byte
        bits, height, width, components = _frame(data, at + 4)
    except struct.error:
        return None
    plain = marker in _HUFFMAN_FRAMES and bits == 8 and components in (1, 3)
    whole = data.rfind(b"\xff\xd9", at) >= 0
    return (height, width) if plain and whole else None


def plain_png_size(data: bytes) -> Optional[tuple[int, int]]:
    """Return (height, width), or None if `data` is not a plain and whole PNG.

    Plain: grey, RGB or palette of 8 bits, without transparency, orientation, profile or
    animation. Whole: the chunks reach to the end chunk.
    """
    size = None
    at = 8
    try:
        while True:
            length, kind = _chunk(data, at)
            if kind == b"IHDR":
                width, height, bits, colour = _image_header(data, at + 8)
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
