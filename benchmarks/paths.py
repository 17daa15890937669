"""The whole path of a picture beside its bare kernels.

Kernels are what no pipeline of ours could leave out: the decoder's call and every run of a network, replayed with the
inputs that it had; and, counted apart, the calls of OpenCV that halve, shrink and cut out. All are timed in turn, on
one thread, and what counts is how long that thread worked: waiting for a core that somebody else has is no part of it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import thread_time
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
import simplejpeg

from benchmarks.report import Section, plot_bars
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.engine import FaceEngine

ROUNDS: Final = 15

Run = Callable[[], object]


def measure(engine: FaceEngine, pictures: Mapping[str, bytes]) -> Section:
    """Times the stages of each picture and its kernels."""
    rows, bars = [], {}
    for name, picture in pictures.items():
        image = decode(picture)
        found = engine.detect(image)
        stages: dict[str, Run] = {
            "decode": lambda picture=picture: decode(picture),  # type: ignore[misc]
            "detect": lambda image=image: engine.detect(image),  # type: ignore[misc]
            "align and embed": lambda image=image, found=found: engine.embed(image, found),  # type: ignore[misc]
        }
        networks, images = _kernels(engine, picture)
        decoder = _decoder(picture, image)
        bare: dict[str, Run] = {"kernels": _together([decoder, *networks]), "OpenCV": _together(images)}
        times = _in_turn({"whole": _whole(engine, picture), **stages, **bare})
        bars[name] = {stage: times[stage] for stage in stages}
        kept = [times["kernels"] / times["whole"], (times["kernels"] + times["OpenCV"]) / times["whole"]]
        parts = [f"{times[each]:.1f}" for each in ("whole", *stages, *bare)]
        rows.append(
            [name, f"{len(picture) / 1e6:.1f} MB", str(len(found)), *parts, *(f"{share:.0%}" for share in kept)]
        )
    return Section(
        "The whole path, and its bare kernels",
        "Median milliseconds that the one thread worked. Kernels: libjpeg-turbo's decoding and the networks' runs, "
        "replayed with the same inputs in a loop, in turn with the pipeline; OpenCV: its calls that halve, shrink and "
        "cut out, replayed likewise. The last two columns are what the pipeline keeps of the speed of the former, and "
        "of both.",
        [
            *("picture", "file", "faces", "whole path", "decode", "detect", "align, embed"),
            *("kernels", "OpenCV", "kept", "with OpenCV"),
        ],
        rows,
        plot_bars("paths.png", "One picture on one thread", "ms", bars, stacked=True),
    )


def _whole(engine: FaceEngine, picture: bytes) -> Run:
    def run() -> None:
        image = decode(picture)
        engine.embed(image, engine.detect(image))

    return run


def _together(runs: list[Run]) -> Run:
    def run() -> None:
        for each in runs:
            each()

    return run


def _kernels(engine: FaceEngine, picture: bytes) -> tuple[list[Run], list[Run]]:
    """Returns each run of a network, and each call of OpenCV, on the way of a picture, to be run again."""
    networks: list[Run] = []
    images: list[Run] = []
    with (
        _recorded(onnxruntime.InferenceSession, "run", networks),
        _recorded(cv2, "resize", images),
        _recorded(cv2, "remap", images),
        _recorded(cv2, "warpAffine", images),
    ):
        _whole(engine, picture)()
    return networks, images


@contextmanager
def _recorded(owner: Any, name: str, calls: list[Run]) -> Iterator[None]:
    """Writes down all calls of a function, to be made again."""
    original = getattr(owner, name)

    def recording(*arguments: Any, **named: Any) -> Any:
        calls.append(partial(original, *arguments, **named))
        return original(*arguments, **named)

    setattr(owner, name, recording)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _decoder(picture: bytes, image: Image) -> Run:
    height, width = image.pixels.shape[:2]
    return lambda: simplejpeg.decode_jpeg(picture, min_height=height, min_width=width)


def _in_turn(runs: Mapping[str, Run]) -> dict[str, float]:
    """Returns the median milliseconds of each, run in turn so that a busy minute of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        for name, run in runs.items():
            start = thread_time()
            run()
            if turn:  # the first only warms up
                times[name].append((thread_time() - start) * 1000)
    return {name: float(np.median(values)) for name, values in times.items()}
