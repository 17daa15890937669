import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.access.policy import Decision, PolicyUnusable, parse_policy
from rekognition_emulator.access.ready_made import ACTIONS, BROWSER_ACTIONS, policy_of

WEDDING = "arn:aws:rekognition:eu-west-1:123456789012:collection/wedding"
ALLOWED, NOT_ALLOWED, DENIED = Decision.ALLOWED, Decision.NOT_ALLOWED, Decision.DENIED


def statement(effect: str, action: Any, resource: Any = "*") -> dict[str, Any]:
    """A statement."""
    return {"Effect": effect, "Action": action, "Resource": resource}


def decide(action: str, resource: str, *statements: Any) -> Decision:
    """Asks a policy of these statements."""
    return parse_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)})).decide(action, resource)


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("*", "rekognition:SearchFaces", True),
        ("rekognition:*", "rekognition:SearchFaces", True),
        ("rekognition:Search*", "rekognition:SearchFacesByImage", True),
        ("rekognition:SearchFaces", "rekognition:SearchFacesByImage", False),
        ("Rekognition:searchfaces", "rekognition:SearchFaces", True),
        ("rekognition:Search?aces", "rekognition:SearchFaces", True),
        ("rekognition:*Faces", "rekognition:DeleteFaces", True),
        ("s3:*", "rekognition:SearchFaces", False),
    ],
)
def test_actions(pattern: str, action: str, *, matches: bool) -> None:
    """Wildcards stand for any characters, letter case counts for nothing, and the whole name must match."""
    assert (decide(action, WEDDING, statement("Allow", pattern)) is ALLOWED) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        (WEDDING, True),
        ("arn:aws:rekognition:*:*:collection/*", True),
        ("arn:aws:rekognition:*:123456789012:collection/wed*", True),
        ("arn:aws:rekognition:eu-west-?:123456789012:collection/wedding", True),
        ("arn:aws:rekognition:*:123456789012:collection/Wedding", False),
        ("arn:aws:rekognition:*:123456789012:collection/wed", False),
        ("arn:aws:rekognition:*:999999999999:collection/*", False),
        ("arn:aws:rekognition:us-east-1:123456789012:collection/*", False),
        ("arn:aws:rekognition:*:collection/wedding:*:*", False),
        ("arn:aws:rekognition:e*:collection/*::", False),
        ("arn:aws:rekognition:eu-west-1:123456789012:collection/[a-z]+", False),
    ],
)
def test_resources(pattern: str, *, matches: bool) -> None:
    """Letter case counts, a wildcard does not reach into the next part, and other characters mean themselves."""
    assert (decide("rekognition:SearchFaces", WEDDING, statement("Allow", "*", pattern)) is ALLOWED) is matches


@given(pattern=st.text("ab*?[.", max_size=8), name=st.text("ab[.", max_size=8))
def test_wildcards_mean_what_a_regular_expression_for_them_means(pattern: str, name: str) -> None:
    """Each star any characters, each question mark any one, and everything else itself."""
    expression = "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    where = "arn:aws:rekognition:eu-west-1:123456789012:"
    decided = decide("rekognition:SearchFaces", where + name, statement("Allow", "*", where + pattern))
    assert (decided is ALLOWED) is (re.fullmatch(expression, name) is not None)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*-" * 120 + "wedding", "-" * 255, False),
        ("*-" * 120 + "wedding", "-" * 255 + "wedding", True),
        ("*?" * 120 + "b", "a" * 255, False),
        ("*" * 1900 + "b", "a" * 255, False),
        ("*" + "a" * 1000 + "b", "a" * 2000, False),
    ],
)
def test_wildcards_do_not_try_every_way(pattern: str, name: str, *, matches: bool) -> None:
    """A matcher that tries each star's possibilities with each other's would not end in a lifetime."""
    where = "arn:aws:rekognition:eu-west-1:123456789012:collection/"
    decided = decide("rekognition:SearchFaces", where + name, statement("Allow", "*", where + pattern))
    assert (decided is ALLOWED) is matches
    stars = statement("Allow", "rekognition:" + "*" * 1900 + "x")
    assert parse_policy(json.dumps({"Statement": stars})).idle_actions(["rekognition:SearchFaces"])


def test_what_is_about_no_resource_is_allowed_by_a_star_only() -> None:
    """A key for some collections may not list all of them."""
    named = statement("Allow", "*", "arn:aws:rekognition:*:*:*")
    assert decide("rekognition:ListCollections", "*", named) is NOT_ALLOWED
    assert decide("rekognition:ListCollections", "*", statement("Allow", "*")) is ALLOWED


def test_what_nothing_is_said_of_is_not_allowed() -> None:
    """The default is to deny."""
    assert decide("rekognition:DeleteFaces", WEDDING, statement("Allow", "rekognition:Search*")) is NOT_ALLOWED


@pytest.mark.parametrize("order", [1, -1])
def test_an_explicit_deny_wins(order: int) -> None:
    """Whatever allows it, and wherever it stands."""
    statements = [statement("Allow", "*"), statement("Deny", "rekognition:Delete*", WEDDING)][::order]
    assert decide("rekognition:DeleteFaces", WEDDING, *statements) is DENIED
    assert decide("rekognition:DeleteFaces", f"{WEDDING}-2", *statements) is ALLOWED
    assert decide("rekognition:SearchFaces", WEDDING, *statements) is ALLOWED


@given(st.lists(st.tuples(st.sampled_from(["Allow", "Deny"]), st.sampled_from(["*", "rekognition:A*", "s3:B"]))))
def test_every_policy_decides_by_the_three_rules(rules: list[tuple[str, str]]) -> None:
    """Denied if anything denies, else allowed if anything allows, else not."""
    said = [effect for effect, action in rules if action != "s3:B"]
    expected = DENIED if "Deny" in said else ALLOWED if said else NOT_ALLOWED
    statements = [statement(*rule) for rule in rules] or [statement("Allow", "s3:B")]
    assert decide("rekognition:AssociateFaces", WEDDING, *statements) is expected


GOOD = statement("Allow", "rekognition:*")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 3000, "is not JSON"),
        ('{"Statement":[],"Statement":[]}', "a member twice"),
        ("[]", "The policy is not an object"),
        ({}, "lacks Statement"),
        ({"Statement": []}, "no statement"),
        ({"Statement": GOOD, "Version": "2020-01-01"}, "Version"),
        ({"Statement": GOOD, "Principal": "*"}, "the element Principal"),
        ({"Statement": [GOOD, "x"]}, "Statement 2 of the policy is not an object"),
        ({"Statement": GOOD | {"Condition": {}}}, "Statement 1 of the policy has the element Condition"),
        ({"Statement": {"Effect": "Allow", "NotAction": "*", "Resource": "*"}}, "lacks Action"),
        ({"Statement": GOOD | {"NotAction": "*"}}, "the element NotAction"),
        ({"Statement": GOOD | {"NotResource": "*"}}, "the element NotResource"),
        ({"Statement": GOOD | {"Effect": "allow"}}, "Effect"),
        ({"Statement": GOOD | {"Action": []}}, "value of Action"),
        ({"Statement": GOOD | {"Action": [1]}}, "value of Action"),
        ({"Statement": GOOD | {"Action": "SearchFaces"}}, "'SearchFaces'"),
        ({"Statement": GOOD | {"Resource": "wedding"}}, "neither * nor an ARN"),
        ({"Statement": GOOD | {"Resource": "arn:aws:rekognition:*"}}, "neither * nor an ARN"),
        ({"Statement": GOOD | {"Resource": "arn:aws:rekognition:*:*:collection/${aws:username}"}}, "variable"),
        ({"Statement": [GOOD] * 200}, "6144 are the most"),
        ({"Statement": GOOD | {"Action": "rekognition:" + "*" * 3000}}, "2048 are the most"),
        ({"Statement": GOOD | {"Resource": ["*", "arn:aws:rekognition:::" + "*" * 3000]}}, "2048 are the most"),
    ],
)
def test_what_has_no_meaning_is_refused(document: Any, says: str) -> None:
    """A policy never says less than its author believes: what is not understood is named."""
    with pytest.raises(PolicyUnusable) as refused:
        parse_policy(document if isinstance(document, str) else json.dumps(document))
    assert says in str(refused.value)
    assert str(refused.value).endswith(".")


def test_slips_of_the_pen() -> None:
    """Patterns that match nothing that exists are found."""
    policy = parse_policy(json.dumps({"Statement": statement("Deny", ["rekognition:DelteFaces", "rekognition:S*"])}))
    assert policy.idle_actions(["rekognition:DeleteFaces", "rekognition:SearchFaces"]) == ["rekognition:DelteFaces"]


@pytest.mark.parametrize(
    ("actions", "collections", "allowed", "refused"),
    [
        (ACTIONS["full"], (), [("DeleteCollection", WEDDING), ("ListCollections", "*"), ("DetectFaces", "*")], []),
        (ACTIONS["full"], ("wedding",), [("DeleteFaces", WEDDING)], [("ListCollections", "*")]),
        (ACTIONS["read"], (), [("ListFaces", WEDDING), ("CompareFaces", "*")], [("IndexFaces", WEDDING)]),
        (ACTIONS["search"], (), [("SearchUsers", WEDDING)], [("ListFaces", WEDDING), ("DetectFaces", "*")]),
        (ACTIONS["search"], ("wedding", "party"), [("SearchFaces", WEDDING)], [("SearchFaces", f"{WEDDING}2")]),
        (BROWSER_ACTIONS, ("wedding",), [("SearchFacesByImage", WEDDING)], [("SearchFaces", WEDDING)]),
    ],
)
def test_ready_made_policies(actions: Any, collections: Any, allowed: Any, refused: Any) -> None:
    """Each short name allows what it says, in every region of its account, and nothing else."""
    policy = parse_policy(policy_of(actions, "123456789012", collections))
    for operation, resource in allowed:
        assert policy.decide(f"rekognition:{operation}", resource) is ALLOWED
    for operation, resource in refused:
        assert policy.decide(f"rekognition:{operation}", resource) is NOT_ALLOWED
    if collections:
        foreign = WEDDING.replace("123456789012", "999999999999")
        assert policy.decide(f"rekognition:{allowed[0][0]}", foreign) is NOT_ALLOWED
