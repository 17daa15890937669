"""Engines: changes when one is added. Each is named here and imported only when it is asked for."""

from importlib import import_module
from pathlib import Path
from typing import Final

from rekognition_emulator.faces.engine import FaceEngine

ENGINES: Final = {
    "embedded": "rekognition_emulator.engines.embedded:EmbeddedEngine",
}
"""Name for operators → module and class; the class takes the cache directory and the threads of one call."""


def load_engine(name: str, cache_dir: Path, threads: int) -> FaceEngine:
    """Loads an engine by its name in ``ENGINES``.

    Args:
        name: a key of ``ENGINES``.
        cache_dir: where the engine keeps what it prepares once.
        threads: that one call of the engine may use; several worker threads call it at the same time.
    """
    module, _, engine = ENGINES[name].partition(":")
    loaded: FaceEngine = getattr(import_module(module), engine)(cache_dir, threads)
    return loaded
