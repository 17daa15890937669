"""Which licences an operator has accepted, kept in one file beside the weights.

An acceptance is of a text: where a later release knows another licence of the same model, it has to be accepted anew.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rekognition_emulator.models.records import Model
from rekognition_emulator.models.weights import ModelUnusable, write_whole

FILE: Final = "accepted-licences.json"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Somebody's word.

    Attributes:
        model: its name.
        licence: the text that was accepted, as the table of models has it.
        date: ISO 8601.
        user: who said so, as the operating system knows them.
    """

    model: str
    licence: str
    date: str
    user: str

    def covers(self, model: Model) -> bool:
        """Returns whether it is of this model's licence."""
        return (self.model, self.licence) == (model.name, model.licence)


def read_acceptances(folder: Path) -> Sequence[Acceptance]:
    """Returns what is recorded in a folder of weights; nothing if it does not exist.

    Raises:
        ModelUnusable: the file is not what was written.
    """
    path = folder / FILE
    try:
        return [Acceptance(**each) for each in json.loads(path.read_text("utf-8"))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, TypeError) as error:
        raise ModelUnusable(f"{path} cannot be read as a list of accepted licences: {error}.") from error


def record_acceptance(folder: Path, acceptance: Acceptance) -> None:
    """Adds to what is recorded, durably, in place of an older word on the same model.

    Raises:
        ModelUnusable: the file is not what was written, or cannot be written.
    """
    kept = [each for each in read_acceptances(folder) if each.model != acceptance.model]
    document = json.dumps([asdict(each) for each in (*kept, acceptance)], indent=2, ensure_ascii=False)
    write_whole(folder / FILE, f"{document}\n".encode())
