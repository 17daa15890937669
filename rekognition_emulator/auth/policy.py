"""Policies: the useful part of IAM's JSON language, read and evaluated. What it does not know it refuses to be given.

A condition that is ignored opens a door that its author believes to be shut, so an element that has no meaning here is
an error when a key is made, never a surprise when it is used.

Source: IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic", 2026.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final

VERSIONS: Final = ("2012-10-17", "2008-10-17")
"""They differ in policy variables only, which are refused in both."""

POLICY_CHARS_MAX: Final = 6144
"""As IAM's limit for a managed policy."""

PATTERN_CHARS_MAX: Final = 2048
"""Of one action or resource. As AWS's limit for an ARN."""

ARN_PARTS: Final = 6
"""arn, partition, service, region, account, resource; colons in the last belong to it."""

SERVICE: Final = "rekognition"
READ_OBJECT: Final = "s3:GetObject"
READ_OBJECT_VERSION: Final = "s3:GetObjectVersion"
"""What reading an image in object storage needs: the first for the newest version, the second for one that is named.
Source: S3 API reference, GetObject."""

_ACTION: Final = re.compile(r"\*|[a-zA-Z0-9-]+:[a-zA-Z0-9_*?]+")


class PolicyUnusable(Exception):
    """A policy that says nothing, or something that is not understood here; the text says what."""


class Decision(Enum):
    """What policies say of an action on a resource."""

    ALLOWED = auto()
    NOT_ALLOWED = auto()
    """Nothing is said, so it is denied."""
    DENIED = auto()
    """Expressly, which wins over everything that allows."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule; both lists hold patterns with ``*`` for any characters and ``?`` for any one."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def applies(self, action: str, resource: str) -> bool:
        """Says whether the rule is about this."""
        return any(_matches_action(pattern, action) for pattern in self.actions) and any(
            _matches_resource(pattern, resource) for pattern in self.resources
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A set of rules, in no order."""

    statements: tuple[Statement, ...]

    def decide(self, action: str, resource: str) -> Decision:
        """Says whether an action is allowed.

        Args:
            action: such as ``rekognition:SearchFaces``; letter case does not matter.
            resource: an ARN, or ``*`` for an action that is about no resource in particular.
        """
        applying = [statement.allows for statement in self.statements if statement.applies(action, resource)]
        if not all(applying):
            return Decision.DENIED
        return Decision.ALLOWED if applying else Decision.NOT_ALLOWED

    def allows_in_a_region(self, action: str, arn: str) -> bool:
        """Says whether an action is allowed on a resource in any region, whichever the ARN has."""
        resources = {resource for statement in self.statements for resource in statement.resources} - {"*"}
        # A pattern for regions matches itself.
        regions = {each.split(":", ARN_PARTS - 1)[3] for each in (arn, *resources)}
        before, after = arn.split(":", ARN_PARTS - 1)[:3], arn.split(":", ARN_PARTS - 1)[4:]
        return any(self.decide(action, ":".join([*before, region, *after])) is Decision.ALLOWED for region in regions)

    def idle_actions(self, actions: Iterable[str]) -> list[str]:
        """Returns the action patterns that match none of these actions: typing errors, as a rule."""
        known = list(actions)
        patterns = [pattern for statement in self.statements for pattern in statement.actions]
        return [pattern for pattern in patterns if not any(_matches_action(pattern, action) for action in known)]


@dataclass(frozen=True, slots=True)
class AdoptedPolicy:
    """What of an IAM policy has a meaning here.

    Attributes:
        document: that ``parse_policy`` reads; the text as it was given where nothing is left out.
        left_out: the actions of other services, for each statement that has some, by its number from 1.
    """

    document: str
    left_out: Mapping[int, Sequence[str]]


def adopt_policy(text: str) -> AdoptedPolicy:
    """Takes what is about this service, or about reading images in S3, from a policy that may say more.

    A statement about other services only is left out whatever it says, a denial as well: it could never apply. Of a
    statement that is also about ours the other actions are left out, and all its other elements have to be understood.

    Raises:
        PolicyUnusable: it is too long, is not JSON, says something of our actions that has no meaning here, or says
            nothing of them.
    """
    if len(text) > POLICY_CHARS_MAX:
        raise PolicyUnusable(f"The policy has {len(text)} characters; {POLICY_CHARS_MAX} are the most.")
    document = _document(text)
    kept, left_out = [], {}
    for number, statement in enumerate(_statements(document), start=1):
        ours, others = _divide(statement)
        if others:
            left_out[number] = others
        if ours or not others:
            kept.append({**statement, "Action": ours} if others else statement)
            _statement(kept[-1], number)
    if not kept:
        raise PolicyUnusable("The policy says nothing about Rekognition, so a key with it could do nothing.")
    return AdoptedPolicy(json.dumps({**document, "Statement": kept}) if left_out else text, left_out)


@lru_cache(maxsize=1024)
def parse_policy(text: str) -> Policy:
    """Reads a policy document, of any length.

    Raises:
        PolicyUnusable: it is no JSON, or says something that has no meaning here.
    """
    return Policy(tuple(_statement(each, number) for number, each in enumerate(_statements(_document(text)), start=1)))


def _document(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise PolicyUnusable(f"The policy is not JSON: {error}.") from error
    document = _members(document, "The policy", required={"Statement"}, optional={"Version", "Id"})
    if document.get("Version", VERSIONS[0]) not in VERSIONS:
        raise PolicyUnusable(f"The policy's Version is none of {', '.join(VERSIONS)}.")
    return document


def _statements(document: Mapping[str, Any]) -> list[Any]:
    statements = document["Statement"]
    if not isinstance(statements, list):
        statements = [statements]
    if not statements:
        raise PolicyUnusable("The policy has no statement, so it allows nothing.")
    return statements


def _divide(statement: object) -> tuple[list[str], list[str]]:
    """Returns the actions of a statement that may be ours, and those that belong to other services."""
    actions = statement.get("Action") if isinstance(statement, dict) else None
    if not isinstance(statement, dict) or "NotAction" in statement or actions is None:
        return [], []  # what it is about cannot be told
    ours: list[str] = []
    others: list[str] = []
    for action in actions if isinstance(actions, list) else [actions]:
        is_other = isinstance(action, str) and _ACTION.fullmatch(action) and not _is_ours(action)
        (others if is_other else ours).append(action)
    return ours, others


def _is_ours(pattern: str) -> bool:
    """Says whether an action pattern is about this service, or matches what reading an image in S3 needs."""
    if pattern == "*" or pattern.partition(":")[0].casefold() == SERVICE:
        return True
    return any(_matches_action(pattern, action) for action in (READ_OBJECT, READ_OBJECT_VERSION))


def _statement(value: object, number: int) -> Statement:
    where = f"Statement {number} of the policy"
    members = _members(value, where, required={"Effect", "Action", "Resource"}, optional={"Sid"})
    if members["Effect"] not in ("Allow", "Deny"):
        raise PolicyUnusable(f"{where} has an Effect that is neither Allow nor Deny.")
    actions, resources = _texts(members, "Action", where), _texts(members, "Resource", where)
    if (length := max(map(len, actions + resources))) > PATTERN_CHARS_MAX:
        raise PolicyUnusable(f"{where} has a pattern of {length} characters; {PATTERN_CHARS_MAX} are the most.")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyUnusable(f"{where} has the Action {action!r}, which is not like rekognition:SearchFaces.")
    for resource in resources:
        if "${" in resource:
            raise PolicyUnusable(f"{where} has a policy variable in {resource!r}; variables are not known here.")
        if resource != "*" and not (resource.startswith("arn:") and resource.count(":") >= ARN_PARTS - 1):
            raise PolicyUnusable(f"{where} has the Resource {resource!r}, which is neither * nor an ARN.")
    return Statement(members["Effect"] == "Allow", actions, resources)


def _members(value: object, where: str, *, required: set[str], optional: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyUnusable(f"{where} is not an object.")
    if missing := sorted(required - value.keys()):
        raise PolicyUnusable(f"{where} lacks {missing[0]}.")
    if unknown := sorted(value.keys() - required - optional):
        raise PolicyUnusable(f"{where} has the element {unknown[0]}, which is not known here.")
    return value


def _texts(members: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = members[name]
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise PolicyUnusable(f"{where} has a value of {name} that is neither a text nor a list of texts.")
    return tuple(texts)


def _without_repetition(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _matches_action(pattern: str, action: str) -> bool:
    return _matches(pattern.casefold(), action.casefold())


def _matches_resource(pattern: str, resource: str) -> bool:
    if pattern == "*" or resource == "*":
        return pattern == "*"  # what is about no resource in particular is not allowed by naming one
    # Part by part: a star that stands for a region does not reach into the account.
    return all(
        _matches(wanted, given)
        for wanted, given in zip(pattern.split(":", ARN_PARTS - 1), resource.split(":", ARN_PARTS - 1), strict=False)
    )


def _matches(pattern: str, text: str) -> bool:
    """Says whether a pattern is about a text, in as many steps as the product of their lengths at most.

    Only the last star has to be thought of: whatever lies before it has been matched as early as can be, so that
    letting an earlier star stand for more would leave less of the text and win nothing.
    """
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    star, resumed = -1, 0
    at, position = 0, 0  # in the pattern, in the text
    while position < len(text):
        wanted = pattern[at : at + 1]
        if wanted == "*":
            star, resumed = at, position
            at += 1
        elif wanted in {"?", text[position]}:
            at, position = at + 1, position + 1
        elif star >= 0:
            resumed += 1
            at, position = star + 1, resumed
        else:
            return False
    return not pattern[at:].strip("*")
