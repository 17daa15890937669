"""Who changes data: passed explicitly to whatever changes it, for the audit log."""

from dataclasses import dataclass


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
    """

    operation: str
    account: str
    request_id: str
    key_name: str
    region: str | None = None
    key_id: str | None = None
    in_session: bool = False
