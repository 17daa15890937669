"""What commands share: settings, the face engine, errors as sentences, who asks."""

import os
import pwd
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from rekognition_emulator.cli.wording import in_words
from rekognition_emulator.environment import SettingsMisspelt, unknown_variables
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import load_engine, load_engine_to_measure
from rekognition_emulator.settings import Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


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
            f"{f'--{name}' if name in given else f'REKOGNITION_{name}'.upper()}: {_problem(each)}"
            for each in error.errors(include_url=False, include_input=False)  # an input may be a secret
            for name in [str(each["loc"][0])]
        )
        sys.exit(f"The settings are wrong. {problems}")


_MUST_BE: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "enum": "{expected}",
    "float_parsing": "a number",
    "greater_than_equal": "{ge} or more",
    "int_parsing": "a whole number",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "like the pattern {pattern}",
}
"""Type of a validator's error → what the value must be, with what the error tells filled in."""


def _problem(error: "ErrorDetails") -> str:
    """Returns what is wrong with a setting, or with one of several values that it has."""
    told = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(told["error"])
    if error["type"] not in _MUST_BE:
        return error["msg"]
    inner = f"{error['loc'][1]} " if isinstance(error["loc"][-1], str) and len(error["loc"]) > 1 else ""
    return f"{inner}must be {_MUST_BE[error['type']].format(**told)}"


@contextmanager
def exits_with_message(*errors: type[Exception]) -> Iterator[None]:
    """Ends the program with the sentence of an error that the operator can mend."""
    try:
        yield
    except errors as error:
        sys.exit(in_words(error))


def load_face_engine(settings: Settings) -> FaceEngine:
    """Loads the engine that a server with these settings would use; errors as ``load_engine``'s."""
    return load_engine(settings.face_model, settings.detector, settings.model_files)


def load_face_engine_to_measure(settings: Settings) -> FaceEngine:
    """Loads the same, but the model may still lack its calibration; errors likewise."""
    return load_engine_to_measure(settings.face_model, settings.detector, settings.model_files)


def user_name() -> str:
    """Returns who runs the command, as the system calls them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name  # not what the environment says
    except KeyError:  # a user without a name, as containers have them
        return f"user {os.getuid()}"
