"""Originals as the service takes them: too large ones, and those in formats that it does not know, become JPEGs.

People see the result as they see the original: it is turned as the original's EXIF says, keeps its colour profile, and
of whatever else was noted in it, such as the place, it keeps nothing.
"""

import importlib
import io
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

import PIL
import PIL.features
import PIL.Image
import PIL.ImageOps

ORIGINAL_BYTES_MAX: Final = 256 * 2**20
"""Larger files are not read. Ours: above any camera's JPEG."""

SIDE_MAX: Final = 10_000
"""Pixels. Source: this server's limit; AWS's is not stated."""

_FORMATS: Final[Mapping[str, str]] = {".avif": "AVIF", ".heic": "HEIC", ".heif": "HEIC", ".webp": "WebP"}
"""Suffix → what people call the format."""

_DECODERS: Final[Mapping[str, list[str]]] = {"AVIF": ["AVIF"], "HEIC": ["HEIF"], "WebP": ["WEBP"], "": ["JPEG", "PNG"]}
"""What Pillow calls it."""

_QUALITIES: Final = (92, 85, 75)
"""Of JPEG, best first. Below, a face loses more by it than by fewer pixels."""

_SCALE: Final = 0.8
"""Of the sides, as often as it takes."""

_ONE: Final = threading.Lock()
"""A picture of 100 megapixels takes 600 MB: one at a time."""


class NotReencoded(Exception):
    """An original cannot be made into a JPEG; the text says why."""


def foreign_format(path: str) -> str | None:
    """Returns what the format is called that a name says and the service does not take, such as ``HEIC``; else None."""
    return _FORMATS.get(PurePosixPath(path).suffix.lower())


def reencode(original: bytes, path: str, bytes_max: int) -> bytes:
    """Returns an original as a JPEG of at most so many bytes, with as many pixels as fit.

    Raises:
        NotReencoded: it is damaged, or Pillow has no decoder for it here.
    """
    kind = foreign_format(path) or ""
    if not _is_readable(kind):
        raise NotReencoded(f"{kind} cannot be read here: {_MISSING[kind]}")
    try:
        with _ONE, warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # from twice as many on it is an error
            with PIL.Image.open(io.BytesIO(original), formats=_DECODERS[kind]) as opened:
                return _as_jpeg(PIL.ImageOps.exif_transpose(opened), bytes_max)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise NotReencoded(f"it cannot be re-encoded: {error}") from error


_MISSING: Final[Mapping[str, str]] = {
    "AVIF": "this Pillow was built without libavif",
    "HEIC": "Pillow needs the package pillow-heif for it",
    "WebP": "this Pillow was built without libwebp",
}


def _is_readable(kind: str) -> bool:
    if kind == "HEIC":
        with suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
        return "HEIF" in PIL.Image.OPEN
    return not kind or bool(PIL.features.check(kind.lower()))


def _as_jpeg(image: PIL.Image.Image, bytes_max: int) -> bytes:
    profile = image.info.get("icc_profile")
    pixels = image.convert("RGB")
    pixels.thumbnail((SIDE_MAX, SIDE_MAX))
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            pixels.save(file, "JPEG", quality=quality, icc_profile=profile, comment="")
            if file.tell() <= bytes_max:
                return file.getvalue()
        pixels = pixels.resize((max(1, round(pixels.width * _SCALE)), max(1, round(pixels.height * _SCALE))))
        profile = profile if len(profile or b"") < bytes_max // 2 else None
