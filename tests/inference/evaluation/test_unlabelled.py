from pathlib import Path

import numpy as np
import pytest

from rekognition_emulator.evaluation.unlabelled import calibrate_unlabelled, presumed_impostors
from tests.support.labelled import LabelledFaces, draw_images


@pytest.mark.parametrize("model", ["dlib", "retail_0095"])
@pytest.mark.parametrize("faces", [500, 2000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_would_give_the_same_threshold(model: str, faces: int, seed: int, calibration_faces: Path) -> None:
    """With a tenth of repeated people among real faces, the rate at 80 is that of labels within a factor of 2.5."""
    labelled_faces = LabelledFaces.read(calibration_faces, model)
    random = np.random.default_rng(seed)
    rows = labelled_faces.draw(random, faces)
    embeddings, people_of = labelled_faces.embeddings[rows], labelled_faces.people[rows]
    image_of = draw_images(random, faces)
    curve = calibrate_unlabelled(presumed_impostors(embeddings, image_of, image_of))
    first, second = np.triu_indices(faces, 1)
    cosines = (embeddings @ embeddings.T)[first, second]
    labelled = np.quantile(cosines[people_of[first] != people_of[second]], 1 - 1e-4)
    unlabelled = next(point.cosine for point in curve.points if point.similarity == 80)
    rates = [labelled_faces.impostor_rate(cosine) for cosine in (float(labelled), unlabelled)]
    assert 1 / 2.5 < rates[1] / rates[0] < 2.5
