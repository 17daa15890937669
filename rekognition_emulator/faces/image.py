"""Changes when we accept other pictures: bytes to upright RGB pixels, within limits that are checked first.

The two decoders are called by their own classes, chosen by the first bytes, and not through ``PIL.Image.open``: that
one guesses among many formats, turns a phone's multi-picture JPEG into another kind of file, and has a pixel limit of
its own that is global to the process and knows nothing of our error.

What the largest picture, 10,000 × 10,000 pixels, costs at its peak: an ordinary JPEG 80 MB (it arrives decoded at a
quarter of its sides), a PNG 460 MB, a progressive JPEG 600 MB and one of four inks 790 MB, since its coefficients must
be kept until its last scan. How many pictures are decoded at once is for the caller to bound, and so is the time that a
progressive JPEG of very many scans takes.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageChops
from numpy.typing import NDArray
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from rekognition_emulator.faces.errors import PictureTooLarge, PictureTooSmall, PictureUnreadable

SIDE_PX_MIN: Final = 80
"""Source: AWS developer guide, "Guidelines and quotas": minimum height and width."""

SIDE_PX_MAX: Final = 10_000
"""Source: AWS, as above; documented for labels and moderation, taken for faces too."""

DETECTION_SIDE_PX: Final = 1920
"""A picture is shrunk only as far as its longest side keeps this. Source: AWS promises to find faces of 40 px in
1920 × 1080 and larger ones in proportion, so that every face it promises keeps 40 px."""

SHRINKS: Final = (4, 2)
"""By what a side may be divided. JPEG decodes at 1/2, 1/4 and 1/8 for a fraction of the work; 1/8 of the largest side
would be too small. The longest side ends below twice ``DETECTION_SIDE_PX``, PNG or JPEG."""

UPRIGHT: Final = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What turns a picture of this EXIF orientation upright. Source: Exif 2.3, tag 0x0112."""

STRIP_PX: Final = 512
"""Rows converted at once; a multiple of every shrink."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded picture, upright.

    Attributes:
        pixels: (h, w, 3) uint8, RGB, read-only. A large picture is decoded at a fraction of its size.
        width_px: of the upright picture as it was sent; ratios refer to it.
        height_px: likewise.
    """

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int


def decode(picture: bytes) -> Image:
    """Decodes a JPEG or PNG: the first picture of several, upright, over white where transparent.

    16-bit samples are scaled to 8. Colour profiles are ignored, as the networks were trained on pixels read so.

    Raises:
        PictureUnreadable: another format, or damaged.
        PictureTooSmall: a side under 80 px.
        PictureTooLarge: a side over 10,000 px.
    """
    try:
        opened = _open(picture)
        width_px, height_px = opened.size
        _check_sides(width_px, height_px)
        decoded = _load(opened)
        turn = UPRIGHT.get(_orientation(opened))
        upright = decoded.transpose(turn) if turn is not None else decoded
    except (PictureUnreadable, PictureTooSmall, PictureTooLarge, MemoryError):
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything, from KeyError to zlib.error
        raise PictureUnreadable(str(error)) from error
    if turn in {UPRIGHT[5], UPRIGHT[6], UPRIGHT[7], UPRIGHT[8]}:
        width_px, height_px = height_px, width_px
    return Image(np.asarray(upright), width_px, height_px)


def _open(picture: bytes) -> ImageFile:
    """Reads the header."""
    if picture.startswith(b"\xff\xd8\xff"):
        return JpegImageFile(BytesIO(picture))
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile(BytesIO(picture))
    raise PictureUnreadable("neither JPEG nor PNG")


def _check_sides(width_px: int, height_px: int) -> None:
    if max(width_px, height_px) > SIDE_PX_MAX:
        raise PictureTooLarge(width_px, height_px, SIDE_PX_MAX)
    if min(width_px, height_px) < SIDE_PX_MIN:
        raise PictureTooSmall(f"{width_px} x {height_px}")


def _load(opened: ImageFile) -> PIL.Image.Image:
    """Decodes to RGB, shrunk."""
    width_px, height_px = opened.size
    shrink = next((by for by in SHRINKS if max(width_px, height_px) // by >= DETECTION_SIDE_PX), 1)
    if isinstance(opened, JpegImageFile):
        opened.draft(None, (width_px // shrink, height_px // shrink))
        return _flatten(opened)
    if shrink == 1:
        return _flatten(opened)
    # Strip by strip: a whole PNG of the largest size takes 400 MB, and every conversion would take as much again.
    shrunk = PIL.Image.new("RGB", (-(-width_px // shrink), -(-height_px // shrink)))
    for top in range(0, height_px, STRIP_PX):
        strip = opened.crop((0, top, width_px, min(top + STRIP_PX, height_px)))
        shrunk.paste(_flatten(strip).reduce(shrink), (0, top // shrink))
    return shrunk


def _flatten(image: PIL.Image.Image) -> PIL.Image.Image:
    """Converts any mode to RGB."""
    if image.mode == "I;16":
        # Pillow's own conversion clips at 255.
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "CMYK" and "adobe" not in image.info:
        # Inks are stored inverted by Adobe's programs only, and Pillow undoes it for everybody.
        image = PIL.ImageChops.invert(image)
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        white = PIL.Image.new("RGB", image.size, "white")
        white.paste(transparent, mask=transparent)
        return white
    if image.mode == "RGB":
        image.load()  # not convert, which would copy it
        return image
    return image.convert("RGB")


def _orientation(opened: ImageFile) -> int:
    """Returns the EXIF orientation; 1 where the camera's notes are damaged, which does not spoil the picture."""
    try:
        return int(opened.getexif().get(Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - as above, nearly anything
        return 1
