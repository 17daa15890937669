from collections import defaultdict

from benchmarks.labelled_faces import Half, read_labels


def test_no_photograph_is_in_both_halves() -> None:
    """What rules were fitted on shows nothing about them."""
    halves = defaultdict(set)
    for face in read_labels():
        halves[face.file].add(face.half)
    assert {len(seen) for seen in halves.values()} == {1}
    assert {half for seen in halves.values() for half in seen} == set(Half)


def test_labels_are_of_the_words_that_the_benches_know() -> None:
    """A misspelt label would be left out of every figure in silence."""
    words = defaultdict(set)
    for face in read_labels():
        for name, label in face.labels.items():
            words[name].add(label)
    assert words.pop("gender") == {"Male", "Female"}
    assert words.pop("emotion") <= {"HAPPY", "SAD", "ANGRY", "CONFUSED", "DISGUSTED", "SURPRISED", "CALM", "FEAR"}
    assert words.pop("eyes_open") == {"yes", "no", "hidden"}
    assert set(words) == {"smile", "mouth_open", "eyeglasses", "sunglasses", "beard", "mustache", "face_occluded"}
    assert all(seen == {"yes", "no"} for seen in words.values())
