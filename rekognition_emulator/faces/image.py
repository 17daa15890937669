"""Changes when we accept other pictures: bytes to upright RGB pixels, within limits that are checked first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded picture, upright.

    Attributes:
        pixels: (h, w, 3) uint8, RGB. A large picture is decoded at a fraction of its size.
        width_px: of the upright picture as it was sent; ratios refer to it.
        height_px: likewise.
    """

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int


def decode(picture: bytes) -> Image:
    """Decodes a JPEG or PNG.

    Raises:
        PictureUnreadable: another format, or damaged.
        PictureTooSmall: a side under 80 px.
        PictureTooLarge: a side over 10,000 px.
    """
    raise PictureUnreadable
