from pathlib import Path
from uuid import uuid4

import pytest

from rekognition_emulator.admin.calibration import calibrate_on_collections
from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


def test_collections_are_events(store: PostgresStore, tmp_path: Path) -> None:
    """Faces of one collection meet in an image only; the model is known by its version, or is not known here."""
    files = ModelFiles(tmp_path, tmp_path, tmp_path)
    faces = embeddings(80, 64)
    for names, version in ((("spring", "autumn"), "100.1"), (("east", "west"), "999.9")):
        for name, part in zip(names, (faces[:40], faces[40:]), strict=True):
            collection = store.create_collection(ACTOR, OWNER, name, version)
            for start in range(0, 40, 4):
                image = uuid4()
                store.add_faces(ACTOR, collection, image, picture(part[start : start + 4], image_id=image))
    calibrated = calibrate_on_collections(store, OWNER, ["spring", "autumn", "spring"], files)
    assert (calibrated.model_name, calibrated.model_version, calibrated.faces) == ("dlib", "100.1", 80)
    assert 1_000 <= calibrated.curve.pairs <= 40 * 40 + 20 * 6, "those of one event meet in its images only"
    assert calibrated.document["collections"] == ["spring", "autumn"]
    assert calibrate_on_collections(store, OWNER, ["east", "west"], files).model_name is None
    with pytest.raises(Refused, match=r"different face models: versions 100\.1, 999\.9"):
        calibrate_on_collections(store, OWNER, ["spring", "east"], files)
    with pytest.raises(CollectionNotFound):
        calibrate_on_collections(store, OWNER, ["winter"], files)
