"""Who changes data: passed explicitly to whatever changes it, for the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

ANONYMOUS: Final = "(anonymous)"
"""Who has no key. No key is called so: their names have no parentheses."""


@dataclass(slots=True)
class AuditTrail:
    """What the audit log is to say of a request, or a command, beside who has sent it; noted while it is served.

    Attributes:
        would_be_denied: the error that the caller was spared while refusals are only counted.
        counts: what was found or made, such as faces, by name.
        is_recorded: whether a change has brought its row already.
    """

    would_be_denied: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    is_recorded: bool = False


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller with one request, or the operator with one command.

    Attributes:
        operation: the service's name of what is asked for, or the command's.
        account: whose data is changed.
        request_id: as the answer and the log carry it; of a command an id of its own.
        key_name: of the access key that has signed the request; in parentheses who has none.
        region: in which the data is; None for what is in none.
        key_id: of that key; None where nobody was asked for one.
        in_session: whether the request came with temporary credentials that were derived from the key.
        trail: of the request.
    """

    operation: str
    account: str
    request_id: str
    key_name: str
    region: str | None = None
    key_id: str | None = None
    in_session: bool = False
    trail: AuditTrail = field(default_factory=AuditTrail, compare=False, repr=False)

    def identity(self) -> dict[str, str | bool | None]:
        """Returns who it is, as JSON has it: what was noted of one request is not kept for later."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "trail"}
