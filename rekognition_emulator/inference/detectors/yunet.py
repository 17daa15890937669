"""YuNet, OpenCV's detector.

YuNet (Wu et al. 2023) has one guess per cell. Its published file says that it takes 640 × 640 pixels and nothing else;
the network in it takes any size, and is opened so: a picture that is not square then costs no more than it is large.
"""

from typing import Final

import cv2
import numpy as np

from rekognition_emulator.imaging.alignment import Pixels
from rekognition_emulator.inference.detectors.mtcnn import Faces
from rekognition_emulator.inference.detectors.single_shot import STRIDES, SingleShot, cell_corners, joined

OUTPUTS: Final = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)


class YuNet(SingleShot):
    """YuNet, of either of its published sizes."""

    @classmethod
    def prepared(cls, weights: bytes) -> bytes:
        """Returns the ONNX file without the sizes that it declares: they are those of an example."""
        import onnx  # noqa: PLC0415 - 0.3 s that other models do not need

        model = onnx.load_model_from_string(weights)
        tensors = (*model.graph.input, *model.graph.output, *model.graph.value_info)
        for tensor in tensors:
            for size in tensor.type.tensor_type.shape.dim[1:]:
                if size.dim_value > 10:  # noqa: PLR2004 - more than colours or a face's numbers: it is a side, or cells
                    size.Clear()
        return bytes(model.SerializeToString())

    def look(self, pixels: Pixels) -> Faces:
        """Reads three grids.

        A score is the mean of two, by multiplication. A box is given as its centre's distance from its cell's corner
        and the logarithms of its sides, a point as its distance from that corner, all in cells. The eye that comes
        first is the picture's left one, as in ours.
        """
        # It takes BGR, from 0 to 255. Half the time of OpenCV's blobFromImage.
        planes = np.stack(cv2.split(pixels)[::-1])[None].astype(np.float32)
        outputs = self._run(planes, OUTPUTS)
        grids = []
        for grid, stride in enumerate(STRIDES):
            cls, obj, boxes, points = (output[0] for output in outputs[grid :: len(STRIDES)])
            scores = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
            sure = np.flatnonzero(scores > self._model.score_min)
            corners = cell_corners(sure, stride, pixels)
            centres = corners + boxes[sure, :2] * stride
            halves = np.exp(boxes[sure, 2:]) * stride / 2
            landmarks = corners[:, None] + points[sure].reshape(-1, 5, 2) * stride
            grids.append(Faces(np.concatenate([centres - halves, centres + halves], axis=1), landmarks, scores[sure]))
        return joined(grids)
