"""Embedders whose network comes as ONNX, or as an OpenVINO IR that is written as ONNX first."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.inference.embedders.aligned import FACES_AT_ONCE, AlignedEmbedder, of_unit_length
from rekognition_emulator.inference.sessions import Device, open_model
from rekognition_emulator.models.records import Embedder
from rekognition_emulator.models.weights import ModelUnusable, prepared, read_verified

IR_CONVERSION: Final = 2
"""Grows whenever ``openvino_ir`` writes another graph from the same files."""

IR_FACES_AT_ONCE: Final = 2
"""Faces in one run of a network that came as IR, on a CPU: small ones whose layers leave the cache when there are more.
Source: ours, retail-0095 on one thread: 12.2, 11.6, 12.3, 13.7, 16.9 ms a face for 1, 2, 4, 8, 16 on a busy machine."""


def open_embedder(
    embedder: Embedder, folder: Path, cache_dir: Path, threads: int, device: Device = Device.CPU
) -> AlignedEmbedder:
    """Opens an embedder from its files.

    Args:
        embedder: calibrated, and with the SHA-256 of each file.
        folder: where the files lie.
        cache_dir: where a network is kept that had to be written as ONNX.
        threads: that one call may use.
        device: that the network runs on.

    Raises:
        WeightsMismatch: the file is damaged, cut short or another one.
        ModelUnusable: a file is not there, is no network, or is another kind of network than described, or nothing
            here runs networks on that device.
    """
    path = folder / next(iter(embedder.files))
    model = _read(embedder, folder, cache_dir)
    try:
        at_once = IR_FACES_AT_ONCE if embedder.format == "openvino" and device is Device.CPU else FACES_AT_ONCE
        network = OnnxNetwork(embedder, open_model(model, threads, device), at_once)
        answer = network(np.full((2, embedder.side_px, embedder.side_px, 3), 127, np.uint8))
    except ModelUnusable:
        raise
    except Exception as error:  # the runtime's exceptions have no class of their own in common
        raise ModelUnusable(
            f"The weights {path} are no network that takes chips of {embedder.side_px} px as {embedder.layout}: "
            + str(error).partition("\n")[0]
        ) from error
    if answer.shape != (2, embedder.dimension):
        raise ModelUnusable(
            f"The network {path} gives {answer.shape[-1]} numbers a face instead of the {embedder.dimension} that "
            f"model {embedder.name} is described with."
        )
    return AlignedEmbedder(
        embedder.face_model(),
        embedder.crop(),
        mirrored=embedder.mirrored,
        network=network,
    )


def _read(embedder: Embedder, folder: Path, cache_dir: Path) -> bytes:
    """Returns the network as ONNX, from files that are what they should be."""
    contents, checksums = [], []
    for file, sha256 in embedder.files.items():
        assert sha256
        contents.append(read_verified(folder / file, sha256))
        checksums.append(sha256)
    if embedder.format == "onnx":
        return contents[0]
    xml, weights = contents
    from rekognition_emulator.inference.conversion.openvino_ir import convert  # noqa: PLC0415 - XML is read once, not at every start

    made_from = f"{embedder.name}-{IR_CONVERSION}-" + "-".join(each[:16] for each in checksums)
    return prepared(made_from, cache_dir, lambda: convert(xml, weights))


class OnnxNetwork:
    """A session that takes normalised chips and gives embeddings of any length.

    Args:
        embedder: what the session expects.
        session: runs the network.
        at_once: faces in one run, unless the network takes a single one.
    """

    def __init__(self, embedder: Embedder, session: Any, at_once: int = FACES_AT_ONCE) -> None:  # noqa: ANN401 - untyped library
        self._session = session
        (fed,) = session.get_inputs()
        self._input = fed.name
        self._at_once = 1 if fed.shape[0] == 1 else at_once  # SFace's graph takes a single face
        self._colours = slice(None, None, -1 if embedder.colours == "BGR" else 1)
        self._axes = (0, 3, 1, 2) if embedder.layout == "NCHW" else (0, 1, 2, 3)
        self._mean = np.float32(embedder.mean)
        self._scale = np.float32(embedder.scale)

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeds (n, side, side, 3) uint8 RGB chips as (n, d) float32, rows of unit length."""
        channels = (faces[..., self._colours].astype(np.float32) - self._mean) * self._scale
        fed = np.ascontiguousarray(channels.transpose(self._axes))
        starts = range(0, len(fed), self._at_once)
        answers = [self._session.run(None, {self._input: fed[at : at + self._at_once]})[0] for at in starts]
        return of_unit_length(np.concatenate(answers).reshape(len(faces), -1))
