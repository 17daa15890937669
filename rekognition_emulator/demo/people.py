"""Made-up people for tests and demonstrations: faces made from one public-domain portrait, by seed.

The portrait is scikit-image's ``astronaut`` (Eileen Collins, NASA, public domain). Smooth warps around its landmarks, a
half of it mirrored, another width of the head and another colour make further people, each of which can be seen tilted,
blurred, darker or smaller. It is one face: what holds for these people says nothing of how well real ones are told
apart.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox

PEOPLE: Final = (171, 204, 36, 776, 16, 47, 51, 169, 91, 595, 637, 197)
"""Seeds of twelve people whom dlib with MTCNN's landmarks takes for twelve, and retail-0095 with YuNet's likewise.
Source: ours, the first 810 seeds in 20 views that reach as far as those of albums. Over all views the cosine of two
people is at most 0.936 and 0.904 in the median with dlib, where 0.944 is a similarity of 80, and 0.404 and 0.281 with
retail-0095, where it is 0.437; that of two views of one is at least 0.973 and 0.801, which is more than 99. No more
than 13 were found that stay below 80 with both: one face yields no crowd. Whom both see most plainly come first."""

TILE: Final = (125, 0, 200)
"""Left, top and side in pixels of the square of the portrait that holds the head."""

OVAL: Final = (0.5, 0.48, 0.40, 0.47)
"""Centre and half axes of what is cut out, in ratios of the tile; its rim fades over the background."""

MIDDLE: Final = 0.49
"""Where the face's axis of symmetry is, in ratios of the tile. It is turned a little, so that its left half with its
own mirror image, its right half likewise, and the two as they are make three faces."""

FACE: Final = BoundingBox(0.28, 0.32, 0.42, 0.53)
"""The face of the unwarped tile, in its ratios."""

HEAD_PX: Final = 500
"""Side at which a head is made up once; views of it are turned and shrunk."""

FEATURES: Final = np.array(
    [
        (0.39, 0.50),  # eyes
        (0.60, 0.51),
        (0.39, 0.43),  # brows
        (0.60, 0.44),
        (0.45, 0.64),  # sides of the nose
        (0.53, 0.64),
        (0.38, 0.69),  # corners of the mouth
        (0.59, 0.70),
        (0.34, 0.64),  # cheeks
        (0.65, 0.65),
        (0.43, 0.79),  # chin
        (0.56, 0.79),
    ]
)
"""What is moved to make another face, left and right by turns: x, y in ratios of the tile."""

REACH: Final = 0.07
"""How far around a feature the skin follows it, in ratios of the tile."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One made-up face.

    Attributes:
        seed: makes the same person everywhere.
        head: (HEAD_PX, HEAD_PX, 4) uint8, RGB and opacity.
        face: where the face is, in ratios of the head's square.
    """

    seed: int
    head: NDArray[np.uint8]
    face: BoundingBox


@dataclass(frozen=True, slots=True)
class View:
    """How a person is seen.

    Attributes:
        side_px: of the square that holds the head, at most ``HEAD_PX``; the face is about half of it.
        roll: degrees, clockwise.
        blur: standard deviation in ratios of the square's side.
        light: gain; 1 as in the portrait.
    """

    side_px: int = 300
    roll: float = 0.0
    blur: float = 0.0
    light: float = 1.0


@dataclass(frozen=True, slots=True)
class Appearance:
    """Who is where in a picture of an album: a seed, and about where the face is."""

    seed: int
    box: BoundingBox


@dataclass(frozen=True, slots=True)
class AlbumPicture:
    """A JPEG file and the truth about it."""

    jpeg: bytes
    appearances: Sequence[Appearance]


@lru_cache(maxsize=64)
def person(seed: int) -> Person:
    """Makes a person up. Only the seeds of ``PEOPLE`` are known to differ from each other."""
    random = np.random.default_rng(seed)
    moves = random.uniform(-0.065, 0.065, (len(FEATURES) // 2, 2)).repeat(2, axis=0)
    moves[1::2, 0] *= -1  # left and right mirror each other, almost
    moves += random.uniform(-0.01, 0.01, FEATURES.shape)
    width, gamma, tint = random.uniform(0.75, 1.25), random.uniform(0.5, 2.0), random.uniform(0.75, 1.1, 3)

    rows = (np.arange(HEAD_PX) + 0.5) / HEAD_PX
    x, y = np.meshgrid((rows - 0.5) / width + 0.5, rows)
    centre_x, centre_y, half_width, half_height = OVAL
    opacity = 255 * np.clip((1 - np.hypot((x - centre_x) / half_width, (y - centre_y) / half_height)) / 0.1, 0, 1)
    # The skin around a feature follows it, less and less with the distance: a sum of Gaussians, each separable.
    along_x = np.exp(-((x[0] - FEATURES[:, :1]) ** 2) / (2 * REACH**2))
    along_y = np.exp(-((rows - FEATURES[:, 1:]) ** 2) / (2 * REACH**2))
    x -= along_y.T @ (moves[:, :1] * along_x)
    y -= along_y.T @ (moves[:, 1:] * along_x)
    if half := random.integers(3):
        x = MIDDLE + (1 if half == 1 else -1) * np.abs(x - MIDDLE)
    left, top, side = TILE
    from_x, from_y = (left + x * side).astype(np.float32), (top + y * side).astype(np.float32)
    colours = 255 * (cv2.remap(_portrait(), from_x, from_y, cv2.INTER_CUBIC) / 255) ** gamma * tint
    return Person(
        seed=seed,
        head=np.dstack([np.clip(colours, 0, 255), opacity]).astype(np.uint8),
        face=BoundingBox(0.5 + (FACE.left - 0.5) * width, FACE.top, FACE.width * width, FACE.height),
    )


def render(who: Person, view: View) -> NDArray[np.uint8]:
    """Renders a person's head.

    Returns:
        (side_px, side_px, 4) uint8, RGB and opacity.
    """
    # OpenCV turns against the clock.
    turn = cv2.getRotationMatrix2D((HEAD_PX / 2, HEAD_PX / 2), -view.roll, 1.0)
    turned = cv2.warpAffine(who.head, turn, (HEAD_PX, HEAD_PX), flags=cv2.INTER_LINEAR)
    head: NDArray[np.uint8] = cv2.resize(turned, (view.side_px, view.side_px), interpolation=cv2.INTER_AREA)
    if view.blur:
        head = cv2.GaussianBlur(head, (0, 0), view.blur * view.side_px)
    head[..., :3] = np.clip(head[..., :3] * view.light, 0, 255)
    return head


def selfie(seed: int, view: View = View()) -> bytes:
    """Returns a JPEG of one person before a plain wall."""
    wall = np.full((view.side_px * 5 // 4, view.side_px * 5 // 4, 3), 190, np.uint8)
    _paste(wall, render(person(seed), view), view.side_px // 8, view.side_px // 8)
    return _jpeg(wall)


def album(seed: int, pictures: int, people: Sequence[int] = PEOPLE) -> Iterator[AlbumPicture]:
    """Makes an album up: pictures of 1600 × 1067 with one to five different people each, seen in various ways.

    Args:
        seed: makes the same album everywhere.
        pictures: how many.
        people: seeds of those who may appear.
    """
    random = np.random.default_rng(seed)
    for _ in range(pictures):
        shown = random.choice(people, size=random.integers(1, min(5, len(people)) + 1), replace=False)
        yield _group([int(who) for who in shown], random)


def _group(people: Sequence[int], random: np.random.Generator) -> AlbumPicture:
    """Puts people side by side, each in a column of its own, before a gradient of two colours."""
    width, height = 1600, 1067
    above, below = random.uniform(60, 220, (2, 3))
    fade = np.linspace(0, 1, height)[:, None, None]
    canvas = np.broadcast_to(above * (1 - fade) + below * fade, (height, width, 3)).astype(np.uint8)
    column = width // len(people)
    appearances = []
    for place, seed in enumerate(people):
        view = View(
            side_px=int(random.integers(220, min(column, HEAD_PX) + 1)),
            roll=random.uniform(-15, 15),
            blur=random.uniform(0, 0.006),
            light=random.uniform(0.7, 1.15),
        )
        left = place * column + int(random.integers(0, column - view.side_px + 1))
        top = int(random.integers(0, height - view.side_px + 1))
        who = person(seed)
        _paste(canvas, render(who, view), left, top)
        box = BoundingBox(
            (left + who.face.left * view.side_px) / width,
            (top + who.face.top * view.side_px) / height,
            who.face.width * view.side_px / width,
            who.face.height * view.side_px / height,
        )
        appearances.append(Appearance(seed, box))
    return AlbumPicture(_jpeg(canvas), tuple(appearances))


@cache
def _portrait() -> NDArray[np.uint8]:
    """Returns the portrait, (512, 512, 3) uint8, RGB."""
    try:
        from skimage.data import astronaut  # noqa: PLC0415 - only who makes people up needs this large library
    except ImportError as error:
        raise ImportError("people are made up with scikit-image: pip install rekognition-emulator[demo]") from error
    portrait: NDArray[np.uint8] = astronaut()
    return portrait


def _paste(canvas: NDArray[np.uint8], head: NDArray[np.uint8], left: int, top: int) -> None:
    side = head.shape[0]
    under = canvas[top : top + side, left : left + side]
    opacity = head[..., 3:] / 255
    under[:] = head[..., :3] * opacity + under * (1 - opacity)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()
