"""How a command of ours is typed so that it works where the operator is: ``.venv/bin/rekognition-emulator serve``."""

import shutil
import sys
from pathlib import Path
from typing import Final

NAME: Final = "rekognition-emulator"
"""Of the script that installing the package makes, beside the interpreter."""


def command(arguments: str) -> str:
    """Returns a command line that runs this installation, as short as it may be in the working directory."""
    script = Path(sys.executable).with_name(NAME)
    if not script.is_file():
        return f"{_shown(Path(sys.executable))} -m rekognition_emulator {arguments}"
    found = shutil.which(NAME)
    is_found = found is not None and Path(found).samefile(script)
    return f"{NAME if is_found else _shown(script)} {arguments}"


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
