"""What commands share: settings, the face engine, errors as sentences, who asks."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from rekognition_emulator.engines.selection import load_engine, load_engine_to_measure
from rekognition_emulator.environment import SettingsMisspelt, unknown_variables
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.settings import Settings


def read_settings(**options: object) -> Settings:
    """Reads the settings; where they are wrong, ends the program with a sentence.

    Args:
        options: of the command line, by the names of the settings that they take the place of; None is not given.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        unknown_variables(os.environ)
        return Settings(**given)  # type: ignore[arg-type] # which is what it checks
    except SettingsMisspelt as error:
        sys.exit(f"The settings are wrong. {error}")
    except ValidationError as error:
        problems = "; ".join(
            f"{f'--{name}' if name in given else f'REKOGNITION_{name}'.upper()}: {each['msg']}"
            for each in error.errors()
            for name in [str(each["loc"][0])]
        )
        sys.exit(f"The settings are wrong. {problems}")


@contextmanager
def said_in_words(*errors: type[Exception]) -> Iterator[None]:
    """Ends the program with the sentence of an error that the operator can mend."""
    try:
        yield
    except errors as error:
        sys.exit(str(error))


def load_face_engine(settings: Settings) -> FaceEngine:
    """Loads the engine that a server with these settings would use; errors as ``load_engine``'s."""
    return load_engine(settings.face_model, settings.detector, settings.model_files)


def load_face_engine_to_measure(settings: Settings) -> FaceEngine:
    """Loads the same, but the model may still lack its calibration; errors likewise."""
    return load_engine_to_measure(settings.face_model, settings.detector, settings.model_files)


def user_name() -> str:
    """Returns who runs the command, as the system calls them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        return f"user {os.getuid()}"
