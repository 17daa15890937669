"""What every command begins with: settings and the face engine. Changes when either is come by in another way."""

import sys
from typing import Final

from pydantic import ValidationError

from rekognition_emulator.engines import load_engine
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.settings import Settings

_THREADS_PER_CALL: Final = 1
"""Of one inference: as many pictures as cores go side by side, which beats one picture on all cores."""


def read_settings() -> Settings:
    """Reads the settings; where they are wrong, ends the program with a sentence."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"REKOGNITION_{e['loc'][0]}".upper() + f": {e['msg']}" for e in error.errors())
        sys.exit(f"The settings are wrong. {problems}")


def load_face_engine(settings: Settings) -> FaceEngine:
    """Loads the engine that a server with these settings would use."""
    return load_engine(settings.engine, settings.data_dir / "networks", _THREADS_PER_CALL)
