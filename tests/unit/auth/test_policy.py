import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.auth.policy import (
    POLICY_CHARS_MAX,
    READ_OBJECT,
    READ_OBJECT_VERSION,
    Decision,
    PolicyUnusable,
    adopt_policy,
    parse_policy,
)
from rekognition_emulator.auth.presets import ACTIONS, BROWSER_ACTIONS, policy_of, preset

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
        ({"Statement": GOOD | {"Effect": ["Allow"]}}, "neither Allow nor Deny"),
        ({"Statement": GOOD | {"Resource": "arn:aws:rekognition:*"}}, "neither * nor an ARN"),
        ({"Statement": GOOD | {"Resource": "arn:aws:rekognition:*:*:collection/${aws:username}"}}, "variable"),
        ({"Statement": GOOD | {"Action": "rekognition:" + "*" * 3000}}, "2048 are the most"),
        ({"Statement": GOOD | {"Resource": ["*", "arn:aws:rekognition:::" + "*" * 3000]}}, "2048 are the most"),
    ],
)
@pytest.mark.parametrize("read", [parse_policy, adopt_policy])
def test_what_has_no_meaning_is_refused(read: Callable[[str], object], document: Any, says: str) -> None:
    """A policy never says less than its author believes: what is not understood is named."""
    with pytest.raises(PolicyUnusable) as refused:
        read(document if isinstance(document, str) else json.dumps(document))
    assert says in str(refused.value)
    assert str(refused.value).endswith(".")


def test_what_is_given_has_a_length_and_what_is_stored_has_none() -> None:
    """A key whose policy has grown since it was made, by a migration, goes on to work."""
    longest = json.dumps({"Statement": GOOD, "Id": ""})
    longest = longest.replace('""', f'"{"x" * (POLICY_CHARS_MAX - len(longest))}"')
    assert adopt_policy(longest).document == longest
    with pytest.raises(PolicyUnusable, match="6145 characters"):
        adopt_policy(f"{longest} ")
    assert parse_policy(f"{longest} ") == parse_policy(longest)


LOGS = statement("Allow", ["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:*")
INDEX = statement("Allow", ["rekognition:IndexFaces"])


def adopted(*statements: Any) -> tuple[Any, dict[int, list[str]]]:
    """What is kept of a policy of these statements, and what is left out."""
    done = adopt_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    return json.loads(done.document)["Statement"], {number: list(others) for number, others in done.left_out.items()}


def test_other_services_are_left_out() -> None:
    """Whole statements, whatever they say, and single actions; what is ours stays word for word."""
    conditional = statement("Allow", "kms:Decrypt") | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}
    variable = {"Effect": "Deny", "Action": "iam:*", "NotResource": "arn:aws:iam::*:user/${aws:username}"}
    photos = statement("Allow", ["s3:PutObject", "S3:getobject", "rekognition:Detect*"], "arn:aws:s3:::photos/*")
    kept, left_out = adopted(LOGS, conditional, INDEX, variable, photos)
    assert kept == [INDEX, photos | {"Action": ["S3:getobject", "rekognition:Detect*"]}]
    assert left_out == {
        1: ["logs:CreateLogStream", "logs:PutLogEvents"],
        2: ["kms:Decrypt"],
        4: ["iam:*"],
        5: ["s3:PutObject"],
    }


@pytest.mark.parametrize(
    "action", ["*", "rekognition:*", "s3:*", "s3:Get*", "S3:GetObject", ["s3:GetObject*", "logs:*"]]
)
def test_a_denial_of_ours_is_never_left_out(action: Any) -> None:
    """However it is written."""
    kept, _ = adopted(INDEX, statement("Deny", action))
    assert [each["Effect"] for each in kept] == ["Allow", "Deny"]


@pytest.mark.parametrize(
    "more",
    [
        {"Condition": {}},
        {"NotResource": "*"},
        {"Resource": "arn:aws:s3:::photos/${aws:username}/*"},
        {"NotAction": "logs:*"},
    ],
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_what_cannot_be_honoured_is_refused_beside_other_services(effect: str, more: dict[str, Any]) -> None:
    """A statement that is also about ours says all of what it says, or nothing is taken."""
    mixed = statement(effect, ["logs:*", "s3:GetObject"]) | more
    with pytest.raises(PolicyUnusable, match="Statement 2"):
        adopted(INDEX, mixed)


def test_a_policy_without_anything_of_ours_is_refused() -> None:
    """A key with it could do nothing."""
    with pytest.raises(PolicyUnusable, match="nothing about Rekognition"):
        adopted(LOGS)


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
def test_policies_of_actions(actions: Any, collections: Any, allowed: Any, refused: Any) -> None:
    """Each short name allows what it says, in every region of its account, and nothing else."""
    policy = parse_policy(policy_of(actions, "123456789012", collections))
    for operation, resource in allowed:
        assert policy.decide(f"rekognition:{operation}", resource) is ALLOWED
    for operation, resource in refused:
        assert policy.decide(f"rekognition:{operation}", resource) is NOT_ALLOWED
    if collections:
        foreign = WEDDING.replace("123456789012", "999999999999")
        assert policy.decide(f"rekognition:{allowed[0][0]}", foreign) is NOT_ALLOWED


SELFIE = "arn:aws:s3:::selfies/party/ada.jpg"


@pytest.mark.parametrize(
    ("name", "collections", "objects", "reads", "reads_not"),
    [
        ("full", (), (), [SELFIE, "arn:aws:s3:::private/a"], []),
        ("full", ("wedding",), (), [SELFIE], []),
        ("full", (), ("photos/*",), ["arn:aws:s3:::photos/a/b:c"], [SELFIE]),
        ("read", (), (), [], [SELFIE]),
        ("search", ("wedding",), (), [], [SELFIE]),
        ("search", ("wedding",), ("selfies/party/*", "x/y"), [SELFIE, "arn:aws:s3:::x/y"], ["arn:aws:s3:::selfies/a"]),
        ("read", (), ("*",), [SELFIE], []),
    ],
)
def test_presets_and_images_in_s3(name: str, collections: Any, objects: Any, reads: Any, reads_not: Any) -> None:
    """The whole of S3 for ``full`` unless some is named, for the others only what is; with a version likewise."""
    policy = parse_policy(preset(name, "123456789012", collections, objects))
    for action in (READ_OBJECT, READ_OBJECT_VERSION):
        assert [policy.decide(action, each) for each in reads] == [ALLOWED] * len(reads)
        assert [policy.decide(action, each) for each in reads_not] == [NOT_ALLOWED] * len(reads_not)
