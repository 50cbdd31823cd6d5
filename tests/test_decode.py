"""Every kind of picture becomes upright RGB, or is refused with its reason."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tripletnet.data import decode, opencv
from tripletnet.data.decode import ImageError, decode_image
from tripletnet.errors import InputError

RED, GREEN, BLUE, YELLOW = (220, 30, 40), (40, 200, 60), (30, 40, 210), (230, 220, 40)

# how a stored image is turned to be upright, undone
STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}


def quadrants(height: int = 48, width: int = 80) -> np.ndarray:
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = GREEN
    image[height // 2 :, : width // 2] = BLUE
    image[height // 2 :, width // 2 :] = YELLOW
    return image


def photo(height: int = 240, width: int = 320) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encode(image: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def assert_close(image: np.ndarray, expected: np.ndarray, tolerance: float = 4) -> None:
    assert image.shape == expected.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - expected).mean() < tolerance


def reason(data: bytes, **options: object) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_kinds_are_exact(kind: str) -> None:
    assert (decode_image(encode(photo(), kind)) == photo()).all()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 0, "restart_marker_rows": 1}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_lossy_and_compressed_kinds(kind: str, options: dict[str, object]) -> None:
    assert_close(decode_image(encode(quadrants(), kind, **options)), quadrants())


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_upright_by_exif(kind: str, orientation: int, order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](quadrants()))
    data = encode(stored, kind, exif=exif.tobytes())
    assert_close(decode_image(data), quadrants())
    assert_close(decode_image(data, size=(12, 20)), quadrants(12, 20), 8)


def test_file_is_told_by_its_content_and_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "Ferien in Ålesund, 夏 (1).PNG"
    path.write_bytes(encode(quadrants(), "JPEG", quality=95))
    assert_close(decode_image(path), quadrants())
    assert_close(decode_image(str(path)), quadrants())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_grey_becomes_rgb(kind: str) -> None:
    grey = photo().mean(axis=2).astype(np.uint8)
    image = decode_image(encode(grey, kind))
    assert_close(image, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_palette_becomes_rgb(kind: str) -> None:
    assert_close(decode_image(encode(Image.fromarray(quadrants()).quantize(8), kind)), quadrants())


def test_two_levels_become_rgb() -> None:
    bits = Image.fromarray(quadrants()[..., 1] > 100)
    assert (decode_image(encode(bits, "PNG"))[0, [0, -1]] == [[0] * 3, [255] * 3]).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_over_white(kind: str) -> None:
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[:, :10] = (*RED, 255)
    rgba[:, 10:20] = (*RED, 0)
    rgba[:, 20:] = (0, 0, 0, 51)
    image = decode_image(encode(rgba, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert image[5, [5, 15, 25]].tolist() == [list(RED), [255] * 3, [204] * 3]


def test_alpha_of_grey_and_of_palettes() -> None:
    grey = np.dstack([np.full((4, 4), 100, np.uint8), np.full((4, 4), 0, np.uint8)])
    assert (decode_image(encode(grey, "PNG")) == 255).all()
    palette = Image.fromarray(np.tile(np.uint8([0, 1]), (4, 2)), "P")
    palette.putpalette([*RED, *BLUE])
    for kind in ("PNG", "GIF"):
        image = decode_image(encode(palette, kind, transparency=1))
        assert image[0, :2].tolist() == [list(RED), [255] * 3]


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_become_eight(ending: str, channels: int) -> None:
    values = np.linspace(0, 65535, 40 * 50).astype(np.uint16).reshape(40, 50)
    deep = np.repeat(values[..., None], channels, axis=2)
    if channels == 4:
        deep[..., 3] = 65535
    written, data = cv2.imencode(ending, deep.squeeze())
    assert written
    image = decode_image(data.tobytes())
    assert np.abs(image.astype(float) - values[..., None] / 257).max() <= 1


def test_thirty_two_bits_have_no_known_range() -> None:
    data = encode(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")
    assert reason(data) == "32-bit values have no known range: save it with 8 or 16 bits"


def without_adobe_marker(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", jpeg, start + 2)
    return jpeg[:start] + jpeg[start + 2 + length :]


def test_cmyk_inverted_by_adobe_and_not() -> None:
    cmyk = Image.fromarray(quadrants()).convert("CMYK")
    adobe = encode(cmyk, "JPEG", quality=95)
    assert b"Adobe" in adobe
    assert_close(decode_image(adobe), quadrants())
    inverted = Image.frombytes("CMYK", cmyk.size, bytes(255 - np.asarray(cmyk).ravel()))
    plain = without_adobe_marker(encode(inverted, "JPEG", quality=95))
    assert b"Adobe" not in plain
    assert_close(decode_image(plain), quadrants())
    assert_close(decode_image(encode(cmyk, "TIFF")), quadrants())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert_close(decode_image(data), np.full((10, 20, 3), RED))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": "thumbnail"}])
@pytest.mark.parametrize("size", [None, (30, 40)])
def test_jpeg_cut_anywhere_is_refused(options: dict[str, object], size: object) -> None:
    if options:
        # a thumbnail inside the header has an end of its own
        thumbnail = encode(photo(60, 80), "JPEG")
        options = {**options, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + thumbnail}
    data = encode(photo(), "JPEG", **options)
    assert_close(decode_image(data, size=size), photo(*(size or (240, 320))), 5)
    for end in np.linspace(3, len(data) - 2, 25).astype(int):
        assert "JPEG" in reason(data[:end], size=size)
    assert reason(data[: len(data) // 2], size=size) == "truncated JPEG"
    assert reason(data[: len(data) // 2] + bytes(5000), size=size)


def test_what_follows_a_jpeg_does_not_matter() -> None:
    data = encode(photo(), "JPEG")
    whole = decode_image(data)
    for rest in (b"\0" * 1000, b"trailing", data, data[:500]):
        assert (decode_image(data + rest) == whole).all()


@pytest.mark.parametrize("options", [{}, {"icc_profile": b"any"}])
def test_png_cut_anywhere_is_refused(options: dict[str, object]) -> None:
    data = encode(photo(), "PNG", **options)
    for end in np.linspace(9, len(data) - 30, 25).astype(int):
        assert "PNG" in reason(data[:end])
    assert reason(data[: len(data) // 2]) == "truncated PNG"
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 255
    assert "PNG that cannot be decoded" in reason(bytes(damaged))


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "TIFF", "GIF"])
def test_other_kinds_cut_in_half_are_refused(kind: str) -> None:
    data = encode(photo(), kind)
    assert reason(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty file"),
        (b"hello", "not a JPEG, PNG, WebP, BMP, TIFF or GIF image"),
        (b"\0" * 5000, "not a JPEG, PNG, WebP, BMP, TIFF or GIF image"),
    ],
)
def test_no_image(data: bytes, expected: str) -> None:
    assert reason(data) == expected


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nothing")
    for name, expected in (
        ("folder.jpg", "cannot be read (Is a directory)"),
        ("dangling.jpg", "cannot be read (No such file or directory)"),
    ):
        with pytest.raises(InputError, match=name) as caught:
            decode_image(tmp_path / name)
        assert caught.value.reason == expected
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(InputError, match=r"text\.jpg: not a JPEG"):
        decode_image(tmp_path / "text.jpg")


def forged(kind: str) -> bytes:
    """Return a small file whose header claims some 60,000 x 60,000 pixels."""
    data = bytearray(encode(quadrants(), kind))
    if kind == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 60000, 60000)
    elif kind == "PNG":
        struct.pack_into(">II", data, 16, 60000, 60000)
        struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    elif kind == "GIF":
        struct.pack_into("<HH", data, 6, 60000, 60000)
    elif kind == "BMP":
        struct.pack_into("<ii", data, 18, 60000, 60000)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_too_many_pixels_are_refused_by_the_header(kind: str) -> None:
    data = forged(kind)
    assert reason(data) == "too many pixels (60000 x 60000, the limit is 178,956,970)"
    assert reason(data[:-20]) == reason(data)
    assert "the limit is 3,839" in reason(encode(quadrants(), kind), max_pixels=3839)
    assert decode_image(encode(quadrants(), kind), max_pixels=3840).shape == (48, 80, 3)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damage_never_raises_anything_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]))
    damaged = bytearray(encode(quadrants(24, 40), kind))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(damaged), size=(8, 8), max_pixels=100_000)
    except ImageError:
        return
    assert image.shape == (8, 8, 3)


def test_shrinking_averages_areas() -> None:
    expected = photo().reshape(120, 2, 160, 2, 3).mean(axis=(1, 3))
    assert_close(decode_image(encode(photo(), "PNG"), size=(120, 160)), expected, 0.6)


def test_crop_keeps_the_middle() -> None:
    wide = np.hstack([np.full((20, 10, 3), colour, np.uint8) for colour in (RED, GREEN, BLUE)])
    image = decode_image(encode(wide, "PNG"), size=(4, 2), fit="crop")
    assert (image == GREEN).all()
    tall = decode_image(encode(wide.transpose(1, 0, 2), "PNG"), size=(2, 4), fit="crop")
    assert (tall == GREEN).all()


def test_letterbox_keeps_all_and_fills_with_grey() -> None:
    image = decode_image(encode(quadrants(40, 80), "PNG"), size=(20, 20), fit="letterbox")
    assert (image[:5] == 128).all()
    assert (image[15:] == 128).all()
    assert (image[5:15] == quadrants(10, 20)).all()


def test_stretch_gives_the_proportions_up() -> None:
    image = decode_image(encode(quadrants(40, 80), "PNG"), size=(20, 20), fit="stretch")
    assert (image == quadrants(20, 20)).all()


def test_growing_keeps_the_shape_asked_for() -> None:
    for fit in ("crop", "letterbox", "stretch"):
        assert decode_image(encode(quadrants(3, 7), "PNG"), size=(64, 48), fit=fit).shape == (
            64,
            48,
            3,
        )


@settings(deadline=None, max_examples=80)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["crop", "letterbox", "stretch"]),
    st.sampled_from(["JPEG", "PNG"]),
)
def test_any_shape_fits_into_any_other(
    shape: tuple[int, int], size: tuple[int, int], fit: str, kind: str
) -> None:
    data = encode(np.full((*shape, 3), 200, np.uint8), kind)
    image = decode_image(data, size=size, fit=fit)
    assert image.shape == (*size, 3)
    inside = image[(image != 128).any(axis=2)]
    assert len(inside)
    assert np.abs(inside.astype(int) - 200).max() <= 2


@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
def test_reduced_decoding_looks_like_full_decoding(fit: str) -> None:
    data = encode(photo(960, 1280), "JPEG", quality=92)
    whole = decode_image(encode(decode_image(data), "PNG"), size=(60, 70), fit=fit)
    assert_close(decode_image(data, size=(60, 70), fit=fit), whole, 1.5)


def test_unknown_fit() -> None:
    with pytest.raises(InputError, match="fit 'squeeze' is not known: use one of crop, letterbox"):
        decode_image(encode(photo(), "PNG"), size=(8, 8), fit="squeeze")


def test_failing_opencv_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    spec = importlib.util.spec_from_file_location("opencv_again", opencv.__file__)
    with pytest.raises(InputError, match=r"apt-get install libgl1 libglib2\.0-0"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_every_ending_is_lower_case() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"} <= (
        decode.IMAGE_ENDINGS
    )
    assert all(ending == ending.lower() for ending in decode.IMAGE_ENDINGS)
