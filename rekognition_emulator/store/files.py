"""Files that appear as a whole: changes when a system needs more than this to keep a name."""

import os
from pathlib import Path


def move(path: Path, target: Path) -> None:
    """Renames a file or folder, and returns when the new name is on the disk."""
    path.rename(target)
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
