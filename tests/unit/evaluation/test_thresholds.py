from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.thresholds import BLURS, SIDES_PX, Faces, measure_faces, rate
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.domain.quality import REQUIREMENTS, QualityFilter
from rekognition_emulator.inference.selection import ModelFiles, load_engine

AT_24_PX, AT_80_PX = (SIDES_PX.index(side) * len(BLURS) for side in (24, 80))
AUTO = REQUIREMENTS[QualityFilter.AUTO]


pytestmark = pytest.mark.timeout(400)  # a hundred photographs


@pytest.fixture(scope="module")
def measured(
    faces_dir: Path, weights: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[FaceModel, Faces]:
    """Real faces of 80 px and of 24, hardly more than AUTO asks for, with the recommended models."""
    for file in ("face-reidentification-retail-0095.bin", "face_detection_yunet_2023mar.onnx"):
        models = weights(file).parent
    scratch = tmp_path_factory.mktemp("networks")
    engine = load_engine("retail-0095", "yunet", ModelFiles(scratch, models, scratch / "none"))
    return engine.model, measure_faces(engine, faces_dir, (AT_24_PX, AT_80_PX))


def test_strangers_pass_no_more_often_than_promised(measured: tuple[FaceModel, Faces]) -> None:
    """Among small faces that AUTO lets through as among large ones: at 60 and 80 within three times of the promise."""
    model, faces = measured
    allowed = (faces.side >= AUTO.side_px_min) & (faces.sharpness >= AUTO.sharpness_min)
    these = np.flatnonzero((faces.condition == AT_24_PX) & allowed)
    impostors = np.triu(faces.impostors(these, these), 1)
    assert impostors.sum() > 20_000
    for similarity, promised in ((60, 1e-3), (80, 1e-4)):
        passed = rate(faces.cosines(these, these), impostors, model.cosine_min(similarity))
        assert passed.passing < 3 * promised * passed.pairs


def test_selfies_find_small_faces_that_auto_lets_through(measured: tuple[FaceModel, Faces]) -> None:
    """A selfie of 80 px finds nine in ten of its people's faces of 24 at 80, and AUTO refuses hardly one of these."""
    model, faces = measured
    selfies = np.flatnonzero(faces.is_portrait & (faces.condition == AT_80_PX))
    album = np.flatnonzero(faces.condition == AT_24_PX)
    theirs = faces.person[selfies, None] == faces.person[album]
    theirs &= faces.picture[selfies, None] != faces.picture[album]
    found = (faces.cosines(selfies, album) >= model.cosine_min(80)) & theirs
    allowed = (faces.side[album] >= AUTO.side_px_min) & (faces.sharpness[album] >= AUTO.sharpness_min)
    assert found[:, allowed].sum() >= 0.9 * theirs.sum()
    assert found[:, allowed].sum() >= 0.98 * found.sum()
