from pathlib import Path

import pytest
from botocore.model import ServiceModel

import botocore_models

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings"


@pytest.fixture(scope="session")
def model() -> ServiceModel:
    """The whole service model."""
    return botocore_models.load()


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder with recorded answers of the real service."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"recorded answers are not at hand: {RECORDINGS}")
    return RECORDINGS
