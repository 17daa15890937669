from pathlib import Path

import numpy as np
import pytest

from rekognition_emulator.evaluation.labels import (
    LabelledImage,
    LabelledPair,
    LabelsUnusable,
    number_people,
    read_album,
    read_event,
    read_pairs,
    unlabelled,
)


def test_lfw_pairs_are_read_with_their_folds(tmp_path: Path) -> None:
    """First the pairs of one person, then those of two; files and folds are LFW's."""
    lines = ["2\t1", "Ann\t1\t12", "Ann\t2\tBob\t3", "Cy\t1\t2", "Bob\t1\tCy\t2", ""]
    listed = tmp_path / "pairs.txt"
    listed.write_text("\n".join(lines))
    assert read_pairs(listed, Path("lfw")) == [
        LabelledPair(Path("lfw/Ann/Ann_0001.jpg"), Path("lfw/Ann/Ann_0012.jpg"), same=True, fold=0),
        LabelledPair(Path("lfw/Ann/Ann_0002.jpg"), Path("lfw/Bob/Bob_0003.jpg"), same=False, fold=0),
        LabelledPair(Path("lfw/Cy/Cy_0001.jpg"), Path("lfw/Cy/Cy_0002.jpg"), same=True, fold=1),
        LabelledPair(Path("lfw/Bob/Bob_0001.jpg"), Path("lfw/Cy/Cy_0002.jpg"), same=False, fold=1),
    ]


def test_csv_pairs_are_dealt_out_to_ten_folds(tmp_path: Path) -> None:
    """Each fold gets pairs of both kinds, whatever their order in the list; further columns do not matter."""
    listed = tmp_path / "pairs.csv"
    rows = [f"a{number}.jpg,b/{number}.png,{number % 2},hard" for number in range(40)]
    listed.write_text("\n".join(["file_a,file_b,same,note", *rows]), "utf-8-sig")
    pairs = read_pairs(listed, tmp_path)
    assert (pairs[0].left, pairs[0].right) == (tmp_path / "a0.jpg", tmp_path / "b/0.png")
    assert [pair.same for pair in pairs] == [False, True] * 20
    assert np.unique([(pair.same, pair.fold) for pair in pairs], axis=0, return_counts=True)[1].tolist() == [2] * 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("nonsense", "line 1: expected"),
        ("10 300\nAnn 1 2", "has 1 pairs where its first line says 6000"),
        ("1 1\nAnn 1 2\nAnn 1 Bob", "line 3: expected"),
        ("0 0", "has 0 pairs"),
        ("file_a,file_b\na,b", "lacks the column same"),
        ("file_a,file_b,same", "lists no pair"),
        ("file_a,file_b,same\na,b,yes", "line 2: expected"),
        ("file_a,file_b,same\na,b", "line 2: expected"),
        ("\x00\xff", "no text"),
    ],
)
def test_a_list_that_is_none_is_refused_in_words(text: str, says: str, tmp_path: Path) -> None:
    """It is said where the list is wrong and what was expected."""
    listed = tmp_path / "pairs"
    listed.write_bytes(text.encode("latin-1"))
    with pytest.raises(LabelsUnusable, match=says):
        read_pairs(listed, tmp_path)


def test_an_album_is_a_folder_per_person(tmp_path: Path) -> None:
    """Pictures are those with a picture's suffix; what lies beside the folders belongs to nobody."""
    for file in ("bob/2.PNG", "ann/1.jpg", "ann/notes.txt", "stray.jpg"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert [(each.file.name, each.person) for each in read_album(tmp_path)] == [("1.jpg", "ann"), ("2.PNG", "bob")]


def test_an_album_is_a_csv_file(tmp_path: Path) -> None:
    """Files are relative to it; those without a person are passed over."""
    listed = tmp_path / "album.csv"
    listed.write_text('file,identity,notes\na/1.jpg,ann,"x, y"\nb.jpg,,\nc.jpg,bob,\n')
    assert [(each.file, each.person) for each in read_album(listed)] == [
        (tmp_path / "a/1.jpg", "ann"),
        (tmp_path / "c.jpg", "bob"),
    ]


def test_an_album_of_nothing_is_refused_in_words(tmp_path: Path) -> None:
    """A folder of pictures without people's folders is the likeliest mistake."""
    (tmp_path / "1.jpg").touch()
    with pytest.raises(LabelsUnusable, match="a folder per person"):
        read_album(tmp_path)


def test_a_picture_labelled_twice_is_refused(tmp_path: Path) -> None:
    """It would be a stranger to itself."""
    listed = tmp_path / "album.csv"
    listed.write_text("file,person\na.jpg,ann\na.jpg,bob\n")
    with pytest.raises(LabelsUnusable, match=r"a\.jpg 2 times"):
        read_album(listed)


def test_people_are_numbered_alike() -> None:
    """Equal names, equal numbers."""
    assert number_people(["b", "a", "b"]).tolist() == [1, 0, 1]


def test_an_image_in_several_folders_shows_several_people(tmp_path: Path) -> None:
    """Copies are one image; an image beside the folders shows nobody that is known."""
    for name, data in {
        "ann/1.jpg": b"both",
        "bob/x/7.JPG": b"both",
        "bob/2.png": b"bob",
        "crowd.jpg": b"crowd",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert read_event(tmp_path) == [
        LabelledImage(tmp_path / "ann/1.jpg", frozenset({"ann", "bob"})),
        LabelledImage(tmp_path / "bob/2.png", frozenset({"bob"})),
        LabelledImage(tmp_path / "crowd.jpg", frozenset()),
    ]


def test_an_image_in_several_rows_shows_several_people(tmp_path: Path) -> None:
    """Each row adds a person; one without a person still names an image that is searched."""
    (tmp_path / "event.csv").write_text("file,person,note\n1.jpg,ann,x\n1.jpg,bob\n2.jpg,\n3.jpg\n")
    assert read_event(tmp_path / "event.csv") == [
        LabelledImage(tmp_path / "1.jpg", frozenset({"ann", "bob"})),
        LabelledImage(tmp_path / "2.jpg", frozenset()),
        LabelledImage(tmp_path / "3.jpg", frozenset()),
    ]


def test_an_event_of_nobody_is_refused(tmp_path: Path) -> None:
    """Without a person there is nothing to measure, and the sentence says what was expected."""
    (tmp_path / "1.jpg").write_bytes(b"x")
    with pytest.raises(LabelsUnusable, match="labels nobody: expected a folder per person"):
        read_event(tmp_path)


def test_groups_and_what_has_no_name(tmp_path: Path) -> None:
    """A column called group counts, wherever it stands; rows and files without a person are known by place."""
    (tmp_path / "album.csv").write_text("file,person,faces,group\na.jpg,anna,1,day\nb.jpg,,1,night\nc.jpg,carl,2\n")
    assert [(picture.person, picture.group) for picture in read_album(tmp_path / "album.csv")] == [
        ("anna", "day"),
        ("carl", ""),
    ]
    assert unlabelled(tmp_path / "album.csv") == [tmp_path / "b.jpg"]
    for name in ("anna/1.jpg", "anna/more/2.JPG", "3.png", "anna/notes.txt"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()
    assert unlabelled(tmp_path / "folder") == [tmp_path / "folder" / "3.png", tmp_path / "folder" / "anna/more/2.JPG"]
