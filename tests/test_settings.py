import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from rekognition_emulator.settings import Settings

RATES = "REKOGNITION_ACCOUNT_REQUESTS_PER_SECOND"


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("", {}),
        ("50", {"*": 50}),
        ("IndexFaces=20, SearchFacesByImage=0.5,*=50", {"IndexFaces": 20, "SearchFacesByImage": 0.5, "*": 50}),
    ],
)
def test_rates_of_accounts_are_one_number_or_one_for_each_operation(
    monkeypatch: pytest.MonkeyPatch, text: str, rates: dict[str, float]
) -> None:
    """As AWS has them: each operation by itself."""
    monkeypatch.setenv(RATES, text)
    assert Settings().account_requests_per_second == rates


@pytest.mark.parametrize(
    "text", ["IndexFace=20", "IndexFaces=", "IndexFaces=0", "-1", "inf", "nan", "1,2", "IndexFaces=1,IndexFaces=2"]
)
def test_rates_that_mean_nothing_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A misspelt limit would be none."""
    monkeypatch.setenv(RATES, text)
    with pytest.raises(ValidationError):
        Settings()


def test_several_processes_share_what_one_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them together take in, hold and let through no more."""
    monkeypatch.setenv(RATES, "IndexFaces=30,*=3")
    one = Settings(processes=3, workers=6, queue_max=9, index_memory_mb=300).of_one_process()
    assert (one.processes, one.workers, one.queue_max, one.index_memory_mb) == (1, 2, 3, 100)
    assert one.account_requests_per_second == {"IndexFaces": 10, "*": 1}


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [("/srv/shop/.venv", "/srv/shop/.models"), ("/usr", "/cache/rekognition-emulator/models")],
    ids=["virtual environment", "the system's Python"],
)
def test_what_is_recommended_lies_beside_the_environment(
    monkeypatch: pytest.MonkeyPatch, prefix: str, folder: str
) -> None:
    """Whatever the data directory is, and never in a folder of the system."""
    monkeypatch.delenv("REKOGNITION_RECOMMENDED_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert Settings(data_dir=Path("/elsewhere")).model_files.recommended_dir == Path(folder)
