"""Runs on labelled images, with an engine that knows people by a colour."""

from pathlib import Path

import numpy as np
import pytest

from rekognition_emulator.admin.attribute_heads import train_heads
from rekognition_emulator.admin.calibration import calibrate_on_images, measure_labelled
from rekognition_emulator.admin.evaluation import evaluate_album, evaluate_pairs, evaluate_selfies
from rekognition_emulator.admin.measuring import Way
from rekognition_emulator.evaluation.calibration import TooFewPairs
from rekognition_emulator.evaluation.labels import LabelsUnusable, read_album, read_event
from rekognition_emulator.evaluation.pictures import FaceChoice
from rekognition_emulator.progress import Progress
from tests.support.colours import ColourEngine, picture_of

ENGINE = ColourEngine()
WAY = Way(2, FaceChoice.LARGEST)


class Watcher:
    """Remembers how far each part came."""

    def __init__(self) -> None:
        self.reached: dict[str, tuple[int, int | None]] = {}

    def __call__(self, counted: str) -> Progress:
        """Watches a part."""

        def told(done: int, total: int | None) -> None:
            self.reached[counted] = (done, total)

        return told


@pytest.fixture
def watcher() -> Watcher:
    """Has seen nothing."""
    return Watcher()


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two takes of each of six people, and an image of nobody."""
    directory = tmp_path_factory.mktemp("album")
    for person in range(1, 7):
        (directory / f"person-{person}").mkdir()
        for take in (1, 2):
            picture_of(person, take).save(directory / f"person-{person}" / f"{take}.png")
    picture_of(0, 0).save(directory / "person-1" / "nobody.png")
    return directory


def test_an_album_is_evaluated(album: Path, watcher: Watcher) -> None:
    """Numbers, the nearest strangers by their files, what was left out and why, and all of it for machines."""
    evaluated = evaluate_album(ENGINE, album, WAY, watcher)
    assert (evaluated.measured.same_pairs, evaluated.measured.stranger_pairs) == (6, 60)
    assert evaluated.images == 12
    assert [each.file.name for each in evaluated.left_out] == ["nobody.png"]
    assert all(one.parent != other.parent for _, one, other in evaluated.nearest_strangers)
    cosines = [cosine for cosine, _, _ in evaluated.nearest_strangers]
    assert cosines == sorted(cosines, reverse=True)
    assert evaluated.pairs is None
    assert (evaluated.document["people"], evaluated.document["stranger_pairs"]) == (6, 60)
    assert evaluated.document["face_model"]["name"] == "colours"
    assert watcher.reached == {"faces": (13, 13), "pairs": (12, 12)}


def test_listed_pairs_are_evaluated(album: Path, tmp_path: Path, watcher: Watcher) -> None:
    """Pairs that lack a face are counted apart; without any other there is nothing to measure."""
    listed = tmp_path / "pairs.csv"
    rows = [
        "person-1/1.png,person-1/2.png,1",
        "person-1/1.png,person-2/1.png,0",
        "person-1/nobody.png,person-1/1.png,1",
    ]
    listed.write_text("file_a,file_b,same\n" + "\n".join(rows) + "\n")
    evaluated = evaluate_pairs(ENGINE, listed, album, WAY, watcher)
    assert (evaluated.measured.same_pairs, evaluated.measured.stranger_pairs) == (1, 1)
    assert (evaluated.pairs, evaluated.pairs_left_out, evaluated.document["pairs_left_out"]) == (3, 1, 1)
    listed.write_text(f"file_a,file_b,same\n{rows[2]}\n")
    with pytest.raises(LabelsUnusable, match="each lacks a face"):
        evaluate_pairs(ENGINE, listed, album, WAY, watcher)


def test_an_image_is_in_one_group(album: Path, tmp_path: Path, watcher: Watcher) -> None:
    """Two would count it twice."""
    listed = tmp_path / "pairs.csv"
    rows = ["person-1/1.png,person-1/2.png,1,young,young", "person-1/1.png,person-2/1.png,0,old,old"]
    listed.write_text("file_a,file_b,same,group_a,group_b\n" + "\n".join(rows) + "\n")
    with pytest.raises(LabelsUnusable, match="the group young and to old"):
        evaluate_pairs(ENGINE, listed, album, WAY, watcher)


def test_selfies_find_their_people(album: Path, tmp_path: Path, watcher: Watcher) -> None:
    """People who are in the album are found first; one who is not is a visitor."""
    for person in (1, 2, 99):
        (tmp_path / f"person-{person}").mkdir()
        picture_of(person, 3).save(tmp_path / f"person-{person}" / "selfie.png")
    images, selfies = read_event(album), read_album(tmp_path)
    evaluated = evaluate_selfies(ENGINE, album, images, selfies, WAY, progress_of=watcher)
    assert (evaluated.retrieval.selfies, evaluated.retrieval.visitors) == (2, 1)
    of_one, of_two = 2 / 3, 2 / 2  # an image of the first one shows nobody
    assert evaluated.retrieval.at_ranks[0].recall == pytest.approx((of_one + of_two) / 2)
    assert all(selfie.is_relative_to(tmp_path) for _, selfie, _ in evaluated.nearest_strangers)
    assert all(image.is_relative_to(album) for _, _, image in evaluated.nearest_strangers)
    assert [each.file.name for each in evaluated.left_out] == ["nobody.png"]
    assert evaluated.document["selfies"] == 2
    assert watcher.reached == {"images": (13, 13), "faces": (3, 3)}
    with pytest.raises(LabelsUnusable, match="Are people called the same in both"):
        evaluate_selfies(ENGINE, album, images, selfies[-1:], WAY, progress_of=watcher)


def test_an_album_that_is_too_small_is_measured_all_the_same(album: Path, watcher: Watcher) -> None:
    """What could be measured is there to be shown; only the curve is refused."""
    measured = measure_labelled(ENGINE, album, WAY, watcher)
    assert (measured.people, measured.images, measured.scores.stranger_pairs) == (6, 12, 60)
    assert [point.cosine for point in measured.operating_points if point.cosine is not None] == []
    with pytest.raises(TooFewPairs):
        measured.curve()


def test_images_without_labels_give_a_curve(tmp_path: Path, watcher: Watcher) -> None:
    """A folder is an event; the document has the curve as a manifest takes it, rising all the way."""
    for person in range(1, 61):
        (tmp_path / f"event-{person}").mkdir()
        picture_of(person, 0).save(tmp_path / f"event-{person}" / "one.png")
    calibrated = calibrate_on_images(ENGINE, tmp_path, 2, watcher)
    assert (calibrated.model_name, calibrated.model_version, calibrated.faces) == ("colours", "1.2", 60)
    compared = 60 - calibrated.curve.repeated
    assert calibrated.curve.pairs == compared * (compared - 1) // 2 >= 1_000
    calibration = calibrated.document["calibration"]
    assert (calibration[0], calibration[-1]) == ((-1, 0), (1, 100))
    assert (np.diff(calibration, axis=0) > 0).all()
    assert watcher.reached == {"images": (60, 60)}


def test_nobody_anywhere_is_said_with_the_first_reason(tmp_path: Path, watcher: Watcher) -> None:
    """It is likely to be that of all others."""
    (tmp_path / "ann").mkdir()
    picture_of(0, 0).save(tmp_path / "ann" / "nobody.png")
    with pytest.raises(LabelsUnusable, match=r"nobody\.png: no face found"):
        evaluate_album(ENGINE, tmp_path, WAY, watcher)


def test_heads_are_fitted_where_labels_suffice(tmp_path: Path, watcher: Watcher) -> None:
    """Of each attribute it is told how many have it; what is too rare has no head."""
    rows = []
    for person in range(1, 61):
        picture_of(person, 1).save(tmp_path / f"{person}.png")
        rows.append(f"{person}.png,{'yes' if person % 2 else 'no'},{'yes' if person == 1 else 'no'}")
    picture_of(0, 0).save(tmp_path / "nobody.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,beard,sunglasses\n" + "\n".join([*rows, "nobody.png,no,no"]) + "\n")
    trained = train_heads(ENGINE, labels, tmp_path, 2, watcher)
    told = {each.attribute: (each.faces, each.positive, each.head is not None) for each in trained.fitted}
    assert told["beard"] == (60, 30, True)
    assert told["sunglasses"] == (60, 1, False)
    assert trained.heads.heads.keys() == {"beard"}
    assert trained.heads.face_model_version == ENGINE.model.version
    assert [(each.file.name, each.reason) for each in trained.left_out] == [
        ("nobody.png", "the labelled face is not found")
    ]
    assert watcher.reached == {"pictures": (61, 61)}
