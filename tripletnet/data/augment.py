"""Changes of images that leave them what they are, many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tripletnet.data.alter import text
from tripletnet.data.opencv import cv2
from tripletnet.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Random alterations, each image its own.

    Parameters
    ----------
    flip : bool
        Mirror half of the images left to right. Not for images whose meaning that changes, such
        as writing.
    shift : int
        Move by up to so many pixels in each direction; what comes in from outside repeats the
        border.
    crop : float
        Cut out a part of the image and bring it to the image's size again; the part's area is
        drawn between this share and 1, its sides differ by up to a third. 1 is off.
    colour : float
        Change brightness, contrast and saturation by factors between 1 - colour and 1 + colour.
    hue : float
        Turn the hues by up to so many degrees of the colour circle, either way.
    rotate : float
        Rotate about the centre by up to so many degrees, either way; the border is reflected.
    text : float
        Write four letters over every other image, up to this share of its height high.
    shrink : float
        Bring every other image to a share of its height and width, drawn between this and 1, and
        back to its size. 1 is off.
    jpeg : int
        Save every other image as JPEG, of a quality drawn between this and 100, and decode it. 100
        is off.
    """

    flip: bool = True
    shift: int = 4
    crop: float = 1.0
    colour: float = 0.0
    hue: float = 0.0
    rotate: float = 0.0
    text: float = 0.0
    shrink: float = 1.0
    jpeg: int = 100

    def __post_init__(self) -> None:
        if self.shift < 0:
            raise InputError(f"shift is {self.shift}: give 0 or more pixels")
        if not 0 < self.crop <= 1:
            raise InputError(f"crop is {self.crop}: give a share of the image from above 0 to 1")
        if not 0 <= self.colour < 1:
            raise InputError(f"colour is {self.colour}: give 0 or more and less than 1")
        for name in ("hue", "rotate"):
            if not 0 <= getattr(self, name) <= 180:
                raise InputError(f"{name} is {getattr(self, name)}: give 0 to 180 degrees")
        if not 0 <= self.text <= 1:
            raise InputError(f"text is {self.text}: give a share of the height from 0 to 1")
        if not 0 < self.shrink <= 1:
            raise InputError(f"shrink is {self.shrink}: give a share from above 0 to 1")
        if not 1 <= self.jpeg <= 100:
            raise InputError(f"jpeg is {self.jpeg}: give a quality from 1 to 100")

    def __bool__(self) -> bool:
        """Tell whether images are altered at all."""
        moved = self.flip or self.shift or self.crop < 1 or self.rotate
        recoloured = self.colour or self.hue or self.text
        return bool(moved or recoloured or self.shrink < 1 or self.jpeg < 100)

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return altered copies of `images`, (N, H, W, 3) uint8."""
        if self.crop < 1:
            images = crops(images, self.crop, random)
        if self.flip or self.shift:
            images = move(images, self.flip, self.shift, random)
        if self.rotate:
            images = rotated(images, self.rotate, random)
        if self.colour:
            images = recolour(images, self.colour, random)
        if self.hue:
            images = turn_hues(images, self.hue, random)
        if self.text:
            images = written(images, self.text, random)
        if self.shrink < 1:
            images = shrunk(images, self.shrink, random)
        if self.jpeg < 100:
            images = recompressed(images, self.jpeg, random)
        return images


def move(images: np.ndarray, flip: bool, shift: int, random: np.random.Generator) -> np.ndarray:
    """Return images shifted by up to `shift` pixels each way and, every other one, mirrored."""
    count, height, width, _ = images.shape
    by = random.integers(-shift, shift + 1, (2, count, 1))
    rows = np.clip(np.arange(height) + by[0], 0, height - 1)
    columns = np.clip(np.arange(width) + by[1], 0, width - 1)
    if flip:
        mirrored = random.random(count) < 0.5
        columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    rows = np.arange(count)[:, None] * height + rows
    places = rows[:, :, None] * width + columns[:, None, :]
    # a pixel as one item of three bytes: a third of the work of indexing channels
    pixels = np.ascontiguousarray(images).reshape(-1, 3).view("V3")[:, 0]
    return pixels[places].view(np.uint8).reshape(images.shape)


def crops(images: np.ndarray, smallest: float, random: np.random.Generator) -> np.ndarray:
    """Return parts of images, of at least `smallest` of their area, at the images' size."""
    count, height, width, _ = images.shape
    area = random.uniform(smallest, 1.0, count)
    # 3:4 to 4:3, less where so large a part would not fit
    bound = np.minimum(np.log(4 / 3), -np.log(area))
    aspect = np.exp(random.uniform(-bound, bound))
    tall = np.clip(np.round(height * np.sqrt(area / aspect)), 1, height).astype(int)
    wide = np.clip(np.round(width * np.sqrt(area * aspect)), 1, width).astype(int)
    top = random.integers(0, height - tall + 1)
    left = random.integers(0, width - wide + 1)
    result = np.empty(images.shape, np.uint8)
    for i, (y, x, h, w) in enumerate(zip(top, left, tall, wide)):
        cv2.resize(images[i, y : y + h, x : x + w], (width, height), dst=result[i])
    return result


def recolour(images: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Return images with brightness, contrast and saturation each times 1 - s to 1 + s."""
    factors = random.uniform(1 - strength, 1 + strength, (3, len(images))).astype(np.float32)
    brightness, contrast, saturation = factors[:, :, None, None, None]
    values = images.astype(np.float32)
    grey = values.mean(axis=3, keepdims=True)
    # the three are linear, so that one pass does them all
    mean = grey.mean(axis=(1, 2), keepdims=True)
    values = grey + (values - grey) * saturation
    values = (mean + (values - mean) * contrast) * brightness
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def turn_hues(images: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Return images whose hues are turned by up to `degrees`, either way, to 2 degrees exactly."""
    height, width = images.shape[1:3]
    turns = np.rint(random.uniform(-degrees, degrees, len(images)) / 2).astype(np.int16)
    stacked = np.ascontiguousarray(images).reshape(-1, width, 3)
    hsv = cv2.cvtColor(stacked, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.repeat(turns, height)[:, None]) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).reshape(images.shape)


def rotated(images: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Return images rotated about their centres by up to `degrees`, either way."""
    height, width = images.shape[1:3]
    centre = ((width - 1) / 2, (height - 1) / 2)
    result = np.empty(images.shape, np.uint8)
    for i, angle in enumerate(random.uniform(-degrees, degrees, len(images))):
        matrix = cv2.getRotationMatrix2D(centre, angle, 1)
        cv2.warpAffine(
            images[i], matrix, (width, height), dst=result[i], borderMode=cv2.BORDER_REFLECT
        )
    return result


def written(images: np.ndarray, tallest: float, random: np.random.Generator) -> np.ndarray:
    """Return images, every other one with letters of up to `tallest` of its height over it."""
    shares = random.uniform(0, tallest, len(images))
    result = images.copy()
    for i in np.flatnonzero(random.random(len(images)) < 0.5):
        result[i] = text(result[i], shares[i], random)
    return result


def shrunk(images: np.ndarray, smallest: float, random: np.random.Generator) -> np.ndarray:
    """Return images, every other one shrunk to `smallest` of its sides or more, and enlarged."""
    height, width = images.shape[1:3]
    shares = random.uniform(smallest, 1, len(images))
    result = images.copy()
    for i in np.flatnonzero(random.random(len(images)) < 0.5):
        size = (max(1, round(width * shares[i])), max(1, round(height * shares[i])))
        small = cv2.resize(images[i], size, interpolation=cv2.INTER_AREA)
        cv2.resize(small, (width, height), dst=result[i])
    return result


def recompressed(images: np.ndarray, lowest: int, random: np.random.Generator) -> np.ndarray:
    """Return images, every other one saved as JPEG of quality `lowest` or more, and decoded."""
    qualities = random.integers(lowest, 100, len(images))
    result = images.copy()
    for i in np.flatnonzero(random.random(len(images)) < 0.5):
        options = [cv2.IMWRITE_JPEG_QUALITY, int(qualities[i])]
        _, data = cv2.imencode(".jpg", cv2.cvtColor(images[i], cv2.COLOR_RGB2BGR), options)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=result[i])
    return result
