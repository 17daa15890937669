"""Recordings: what a service answered, as files.

One JSON file per case: its name, source and exchanges. Names in angle brackets stand for pictures and for what the
suite prepared; the run's random prefix and the account are replaced, so that recordings of two runs can be compared.
"""

import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance.answer import JSON_1_1, Answer
from conformance.case import Case
from conformance.service import Session

PREFIX: Final = "conformance-00000000-"
ACCOUNT: Final = "123456789012"


class Recorder:
    """Writes exchanges below a folder, one subfolder per family."""

    def __init__(self, folder: Path, session: Session) -> None:
        self._folder = folder
        self._prefix = session.prefix

    def __call__(self, case: Case, exchanges: Sequence[Answer]) -> None:
        """Writes one case."""
        slug = re.sub(r"[^a-z0-9]+", "-", f"{case.operation} {case.name}".lower()).strip("-")[:100]
        # Names may differ in nothing but punctuation.
        path = self._folder / case.family / f"{slug}-{zlib.crc32(case.id.encode()):08x}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "operation": case.operation,
            "case": case.name,
            "source": case.source,
            "exchanges": [_exchange(answer) for answer in exchanges],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        path.write_text(re.sub(r"(?<=:)\d{12}(?=:)", ACCOUNT, text.replace(self._prefix, PREFIX)))


def _exchange(answer: Answer) -> dict[str, object]:
    is_json = answer.headers.get("content-type") == JSON_1_1
    return {
        "operation": answer.operation,
        "request": answer.request,
        "status": answer.status,
        "headers": dict(answer.headers),
        # Numbers keep the form in which they were printed, which JSON readers would lose.
        "response": json.loads(answer.content, parse_float=str)
        if is_json
        else answer.content.decode("utf-8", "replace"),
    }
