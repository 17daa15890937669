"""Reads the service model that the installed, pinned botocore carries.

We copy no model file. Only botocore's own folder is searched, never ``~/.aws/models``, whose content is the user's.
"""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any, Final, cast

from botocore.loaders import Loader
from botocore.model import ServiceModel

SERVICE: Final = "rekognition"


def load() -> ServiceModel:
    """Returns the model of the one service that we speak."""
    return ServiceModel(description(), SERVICE)


def description() -> dict[str, Any]:
    """Returns the same as plain JSON values, with operations and shapes by name."""
    return cast("dict[str, Any]", json.loads(_text()))


def name() -> str:
    """Returns what botocore calls the model's file: service, API version and kind."""
    return str(_path().relative_to(Loader.BUILTIN_DATA_PATH))


def digest() -> str:
    """Returns the SHA-256 of the model's JSON text, in hexadecimal; it does not depend on how the file is packed."""
    return hashlib.sha256(_text()).hexdigest()


def _text() -> bytes:
    return gzip.decompress(_path().read_bytes())


def _path() -> Path:
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    version = loader.determine_latest_version(SERVICE, "service-2")
    return Path(Loader.BUILTIN_DATA_PATH, SERVICE, version, "service-2.json.gz")
