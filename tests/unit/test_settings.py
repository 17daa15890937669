import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from rekognition_emulator.environment import GUARDING, SettingsMisspelt, similar_settings, unknown_variables
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
    ("variable", "meant"),
    [
        ("REKOGNITION_S3_BUCKET", "S3_BUCKETS"),
        ("REKOGNITION_BUCKETS", "S3_BUCKETS"),
        ("REKOGNITION_S3_ALLOWED_BUCKETS", "S3_BUCKETS"),
        ("REKOGNITION_S3BUCKETS", "S3_BUCKETS"),
        ("REKOGNITION__S3_BUCKETS", "S3_BUCKETS"),
        ("REKOGNITION-S3-BUCKETS", "S3_BUCKETS"),
        ("REKOGNITION_S3_BUCKETS ", "S3_BUCKETS"),
        ("RECOGNITION_S3_BUCKETS", "S3_BUCKETS"),
        ("REKOGNITON_S3_BUCKETS", "S3_BUCKETS"),
        ("rekognition_s3_bucket", "S3_BUCKETS"),
        ("REKOGNITION_AUTH_MODE", "AUTH"),
        ("REKOGNITION_PROT", "PORT"),
        ("REKOGNITION_CORS_ORIGIN", "CORS_ORIGINS"),
        ("REKOGNITION_ACCEPT_LICENSES", "ACCEPT_LICENCES"),
        ("REKOGNITION_DATABASE_URI", "DATABASE_URL"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_one_that_is_meant(variable: str, meant: str) -> None:
    """It would have no effect, and what it was to keep out would be in."""
    with pytest.raises(SettingsMisspelt) as refused:
        unknown_variables({"PATH": "/bin", "REKOGNITION_HOST": "::1", variable: "x"})
    assert str(refused.value) == f"{variable} is no setting: REKOGNITION_{meant} is."


def test_settings_and_what_others_set_are_no_news() -> None:
    """In any letter case, as they are read; other programs' variables are not ours to judge."""
    ours = [f"REKOGNITION_{name.upper()}" for name in Settings.model_fields]
    kubernetes = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"]
    tests = ["TEST_DATABASE_URL", "TEST_FACES", "TEST_WEIGHTS", "ENDPOINT_URL"]
    foreign = ["AWS_REKOGNITION_REGION", "AWS_ENDPOINT_URL_REKOGNITION", "S3_BUCKETS", "HOST", "COGNITO_HOST", ""]
    names = [*ours, *map(str.lower, ours), *(f"REKOGNITION_{name}" for name in (*kubernetes, *tests)), *foreign]
    assert unknown_variables(dict.fromkeys(names, "x")) == []
    assert set(Settings.model_fields) >= GUARDING


@pytest.mark.parametrize(
    "service", ["REKOGNITION", "REKOGNITION_EMULATOR", "REKOGNITION_METRICS", "RECOGNITION", "COGNITION"]
)
def test_what_kubernetes_sets_for_a_service_is_no_setting(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so in every pod of the namespace, whoever the service is; our own port is no address."""
    environment = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "8080",
        f"{service}_SERVICE_PORT_HTTP": "8080",
        f"{service}_PORT": "tcp://10.0.0.1:8080",
        f"{service}_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        f"{service}_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    assert unknown_variables(environment) == []
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert (Settings().port, Settings().metrics_port) == (8080, None)


def test_settings_of_a_program_called_recognition_are_its_own() -> None:
    """But for those that would keep somebody out if they were ours."""
    assert (
        unknown_variables({"RECOGNITION_REGION": "x", "RECOGNITION_DATABASE_URL": "y", "RECOGNITION_HOST": "z"}) == []
    )
    with pytest.raises(SettingsMisspelt):
        unknown_variables({"RECOGNITION_CORS_ORIGINS": "*"})


def test_an_unknown_setting_that_is_like_none_is_told() -> None:
    """A file of settings may be that of another version."""
    assert unknown_variables({"REKOGNITION_THUMBNAILS": "1", "REKOGNITION_PORT": "1"}) == ["REKOGNITION_THUMBNAILS"]


@pytest.mark.parametrize(
    ("variable", "similar"),
    [
        ("REKOGNITION_MODEL", ["REKOGNITION_FACE_MODEL", "REKOGNITION_MODELS_DIR", "REKOGNITION_MODEL_MIRRORS"]),
        ("REKOGNITION_THUMBNAILS", []),
        ("REKOGNITION_A_B", []),
    ],
)
def test_an_unknown_setting_is_told_with_those_that_share_a_word(variable: str, similar: list[str]) -> None:
    """It is like none, and may still be meant for one: which model serves is not left to be found out."""
    assert similar_settings(variable) == similar


@pytest.mark.parametrize("variable", ["REKOGNITION_S3_BUCKETS", "rekognition_s3_buckets"])
def test_an_empty_list_of_buckets_is_refused(variable: str) -> None:
    """It reads as none, and would mean all, as if it were not there."""
    with pytest.raises(SettingsMisspelt, match=r"REKOGNITION_S3_BUCKETS is empty"):
        unknown_variables({variable: ""})
    assert unknown_variables({variable: "a", "REKOGNITION_CORS_ORIGINS": "", "REKOGNITION_AUTH": ""}) == []


def test_which_of_two_counts_is_not_left_to_chance() -> None:
    """Letter case makes no difference, so that both mean the same setting."""
    with pytest.raises(SettingsMisspelt, match="REKOGNITION_S3_BUCKETS is there twice"):
        unknown_variables({"REKOGNITION_S3_BUCKETS": "a", "rekognition_s3_buckets": "b"})


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
