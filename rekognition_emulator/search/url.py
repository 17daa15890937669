"""The URL that names an index and says where it is: ``faiss``, ``milvus://host:19530``, ``faiss?memory_mb=4096``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

_URL: Final = re.compile(r"([a-z][a-z0-9_-]*)(?:://([^?#\s]+))?(?:\?([^?#\s]+))?")


@dataclass(frozen=True, slots=True)
class IndexUrl:
    """An index by name, its server if it has one, and how it is to be.

    Attributes:
        address: ``host:port``, with ``/path`` where the index knows any; None for an index without a server.
    """

    name: str
    address: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        address = f"://{self.address}" if self.address else ""
        return f"{self.name}{address}" + (f"?{urlencode(self.options)}" if self.options else "")


def parse_index_url(text: str) -> IndexUrl:
    """Reads such a URL. What is refused is not repeated, because it may hold a secret.

    Raises:
        ValueError: it is none, has an option twice, or holds a user or password; the text says what to do.
    """
    if "@" in text.partition("?")[0]:
        raise ValueError("must not hold a user or a token, which logs would show: set REKOGNITION_INDEX_TOKEN")
    parts = _URL.fullmatch(text)
    if parts is None:
        raise ValueError("must be like faiss, milvus://host:19530 or faiss?memory_mb=4096")
    name, address, query = parts.groups()
    try:
        pairs = parse_qsl(query or "", keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("must have options like memory_mb=4096, with & in between") from None
    if address is not None and not _is_server(address):
        raise ValueError("must name a server like host:19530")
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError("has an option twice")
    return IndexUrl(name, address, options)


def _is_server(address: str) -> bool:
    try:
        parts = urlsplit(f"//{address}")
        return bool(parts.hostname) and "%" not in parts.netloc and parts.port != 0
    except ValueError:  # a port that is no number, or none that there is, or half of an address in brackets
        return False
