"""Changes when embedders that come as ONNX files are opened or fed differently."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.engines.embedder import AlignedEmbedder, of_unit_length
from rekognition_emulator.engines.models import Embedder
from rekognition_emulator.engines.networks import Device, ModelUnusable, open_model, read_verified


def open_embedder(embedder: Embedder, folder: Path, threads: int, device: Device = Device.CPU) -> AlignedEmbedder:
    """Opens an embedder from its one ONNX file.

    Args:
        embedder: calibrated, and with a SHA-256.
        folder: where the file lies.
        threads: that one call may use.
        device: that the network runs on.

    Raises:
        WeightsMismatch: the file is damaged, cut short or another one.
        ModelUnusable: the file is not there, is no network, or is another kind of network than described, or nothing
            here runs networks on that device.
    """
    ((file, sha256),) = embedder.files.items()
    assert sha256
    path = folder / file
    weights = read_verified(path, sha256)
    try:
        network = OnnxNetwork(embedder, open_model(weights, threads, device))
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
        embedder.template.points(embedder.side_px),
        embedder.side_px,
        mirrored=embedder.mirrored,
        network=network,
    )


class OnnxNetwork:
    """A session that takes normalised chips and gives embeddings of any length."""

    def __init__(self, embedder: Embedder, session: Any) -> None:  # noqa: ANN401 - untyped library
        self._session = session
        (fed,) = session.get_inputs()
        self._input = fed.name
        self._one_by_one = fed.shape[0] == 1  # SFace's graph takes a single face
        self._colours = slice(None, None, -1 if embedder.colours == "BGR" else 1)
        self._axes = (0, 3, 1, 2) if embedder.layout == "NCHW" else (0, 1, 2, 3)
        self._mean = np.float32(embedder.mean)
        self._scale = np.float32(embedder.scale)

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeds (n, side, side, 3) uint8 RGB chips as (n, d) float32, rows of unit length."""
        channels = (faces[..., self._colours].astype(np.float32) - self._mean) * self._scale
        fed = np.ascontiguousarray(channels.transpose(self._axes))
        runs = fed[:, None] if self._one_by_one else fed[None]
        answers = [self._session.run(None, {self._input: run})[0] for run in runs]
        return of_unit_length(np.concatenate(answers).reshape(len(faces), -1))
