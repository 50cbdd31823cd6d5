"""The ways in which a picture comes back altered: cut, saved again, recoloured, written over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

import numpy as np

from tripletnet.data.opencv import cv2
from tripletnet.data.resize import resize_image

#: Takes an image, (H, W, 3) uint8 RGB, a strength and a source of chance; gives an image of the
#: same shape, and the same one for the same strength and the same state of that source.
Alteration = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

_LETTERS = list("ABCDEFGHKLMNPRSTUVWXYZ")


def crop(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Cut `share` of the height and of the width off, anywhere, and enlarge what is left."""
    height, width = image.shape[:2]
    tall, wide = (max(1, round(side * (1 - share))) for side in (height, width))
    top = random.integers(height - tall + 1)
    left = random.integers(width - wide + 1)
    return resize_image(image[top : top + tall, left : left + wide], (height, width), "stretch")


def scale(image: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Shrink height and width to `factor` of what they are, and enlarge it again."""
    height, width = image.shape[:2]
    small = (max(1, round(height * factor)), max(1, round(width * factor)))
    return resize_image(resize_image(image, small, "stretch"), (height, width), "stretch")


def jpeg(image: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    """Save as JPEG of `quality`, 1 to 100, and decode."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def brightness(image: np.ndarray, by: float, random: np.random.Generator) -> np.ndarray:
    """Make it brighter or darker: times 1 + `by` or 1 - `by`."""
    return cv2.convertScaleAbs(image, alpha=1 + _sign(random) * by)


def hue(image: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Turn the hues by `degrees` of the colour circle, either way (to 2 degrees exactly)."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + _sign(random) * round(degrees / 2)) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def rotate(image: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Rotate about the centre by `degrees`, either way; the border is reflected."""
    height, width = image.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, _sign(random) * degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def flip(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Mirror left to right; there is no more and no less of it."""
    return np.ascontiguousarray(image[:, ::-1])


def text(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Write four white letters with a dark rim over it, `share` of its height high."""
    word = "".join(random.choice(_LETTERS, 4))
    height, width = image.shape[:2]
    font, letter = cv2.FONT_HERSHEY_SIMPLEX, max(2, round(share * height))
    size = cv2.getFontScaleFromHeight(font, letter)
    wide = cv2.getTextSize(word, font, size, 1)[0][0]
    left = int(random.integers(max(1, width - wide + 1)))
    bottom = int(random.integers(min(letter, height - 1), height))
    stroke = max(1, letter // 8)
    written = image.copy()
    for colour, thickness in (((0, 0, 0), 3 * stroke), ((255, 255, 255), stroke)):
        place = (left, bottom)
        cv2.putText(written, word, place, font, size, colour, thickness, cv2.LINE_AA)
    return written


def _sign(random: np.random.Generator) -> int:
    return int(random.choice((-1, 1)))


#: The eight ways, by their names.
ALTERATIONS: Mapping[str, Alteration] = {
    function.__name__: function
    for function in (crop, scale, jpeg, brightness, hue, rotate, flip, text)
}

#: Strengths that are seen only side by side: what saving, sending and trimming does.
MILD: Mapping[str, float] = {
    "crop": 0.06,
    "scale": 0.6,
    "jpeg": 60,
    "brightness": 0.15,
    "hue": 10,
    "rotate": 3,
    "flip": 1,
    "text": 0.15,
}

#: Strengths that are seen at once, of a picture that is plainly still the same.
STRONG: Mapping[str, float] = {
    "crop": 0.15,
    "scale": 0.4,
    "jpeg": 25,
    "brightness": 0.3,
    "hue": 24,
    "rotate": 8,
    "flip": 1,
    "text": 0.25,
}
