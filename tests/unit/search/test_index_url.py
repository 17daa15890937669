"""REKOGNITION_INDEX as a URL, the earlier variables beside it, and indexes of other packages."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.search.registry import find_index
from rekognition_emulator.search.url import IndexUrl, parse_index_url
from rekognition_emulator.settings import Settings


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("pgvector", IndexUrl("pgvector")),
        ("faiss?memory_mb=4096", IndexUrl("faiss", None, {"memory_mb": "4096"})),
        ("milvus://host:19530", IndexUrl("milvus", "host:19530")),
        ("milvus://[::1]:19530/faces?tls=true", IndexUrl("milvus", "[::1]:19530/faces", {"tls": "true"})),
        ("some-index?a=%26&b=", IndexUrl("some-index", None, {"a": "&", "b": ""})),
    ],
)
def test_a_url_names_an_index_its_server_and_options(text: str, url: IndexUrl) -> None:
    """And is written as it is read."""
    assert parse_index_url(text) == url
    assert parse_index_url(str(url)) == url


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("milvus://root:secret@host:19530", "must not hold a user or a token, which logs would show"),
        ("milvus://secret@host", "must not hold a user or a token, which logs would show"),
        ("milvus://host?token=secret", "has an option that milvus does not know: they are tls"),
        ("pgvector?secret=1", "has an option that pgvector does not know: it has none"),
        ("milvus://[::1", "must name a server like host:19530"),
        ("milvus:///", "must name a server like host:19530"),
        ("milvus://host:99999999", "must name a server like host:19530"),
        ("milvus://host%40other:1", "must name a server like host:19530"),
        ("faiss://secret", "must not have an address: faiss has no server"),
        ("faiss?memory_mb=secret", "must have memory_mb like the pattern [1-9][0-9]{0,8}"),
        ("faiss?memory_mb", "must have options like memory_mb=4096, with & in between"),
        ("faiss?memory_mb=1&memory_mb=2", "has an option twice"),
        ("faiss#secret", "must be like faiss, milvus://host:19530 or faiss?memory_mb=4096"),
        ("secret", "is none of pgvector, faiss, milvus, memory"),
    ],
)
def test_a_wrong_url_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    """At the start, in a sentence; what it holds may be a secret."""
    monkeypatch.setenv("REKOGNITION_INDEX", value)
    with pytest.raises(SystemExit, match=re.escape(f"REKOGNITION_INDEX: {problem}")) as end:
        read_settings()
    assert "secret" not in str(end.value)


@pytest.mark.parametrize(
    ("environment", "urls"),
    [
        ({"INDEX": "milvus"}, {"milvus": IndexUrl("milvus")}),
        ({"INDEX": "milvus://a:1?tls=true"}, {"milvus": IndexUrl("milvus", "a:1", {"tls": "true"})}),
        ({"INDEX": "milvus", "MILVUS_URI": "http://a:1"}, {"milvus": IndexUrl("milvus", "a:1", {"tls": "false"})}),
        ({"INDEX": "milvus", "MILVUS_URI": "https://a"}, {"milvus": IndexUrl("milvus", "a", {"tls": "true"})}),
        (
            {"INDEX": "faiss", "MILVUS_URI": "http://a:1"},
            {"faiss": IndexUrl("faiss"), "milvus": IndexUrl("milvus", "a:1", {"tls": "false"})},
        ),
    ],
)
def test_the_earlier_variables_mean_what_they_meant(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], urls: dict[str, IndexUrl]
) -> None:
    """Also for collections that have chosen Milvus on a server that is set to another index."""
    for name, value in environment.items():
        monkeypatch.setenv(f"REKOGNITION_{name}", value)
    assert Settings().index_urls == urls


def test_where_milvus_is_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of two counts is not left to be found out."""
    monkeypatch.setenv("REKOGNITION_INDEX", "milvus://a:1")
    monkeypatch.setenv("REKOGNITION_MILVUS_URI", "http://b:1")
    with pytest.raises(SystemExit, match="REKOGNITION_MILVUS_URI: REKOGNITION_INDEX says already where Milvus is"):
        read_settings()


def test_processes_share_the_memory_of_the_url() -> None:
    """As they share what REKOGNITION_INDEX_MEMORY_MB allows."""
    assert Settings(index="faiss?memory_mb=300", processes=3).of_one_process().index == "faiss?memory_mb=100"


def test_tokens_are_shown_nowhere() -> None:
    """Not where settings are printed."""
    assert "secret" not in repr(Settings(index_token="secret", milvus_token="secret"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a package, as far as Python can tell, that brings an index of this name."""

    def install(name: str, source: str, value: str) -> None:
        information = tmp_path / f"{name}-1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_text(f"[rekognition_emulator.indexes]\n{name} = {value}\n")
        (tmp_path / f"{name}_module.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    return install


def test_a_package_that_is_broken_is_named(package: Any) -> None:
    """Whatever is wrong with it, the start says which it is."""
    package("broken", "raise RuntimeError('no licence')", "broken_module:INDEX")
    package("odd", "INDEX = 5", "odd_module:INDEX")
    with pytest.raises(ValueError, match="cannot be loaded from broken_module:INDEX: no licence"):
        find_index("broken")
    with pytest.raises(ValueError, match="is odd_module:INDEX, which is no IndexRecord"):
        find_index("odd")
    with pytest.raises(ValueError, match="is none of pgvector, faiss, milvus, memory, broken, odd"):
        find_index("nothing")
