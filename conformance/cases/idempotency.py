"""Cases on ClientRequestToken: what a repeated token means."""

from typing import Final

from conformance.answer import Answer
from conformance.case import Family
from conformance.pictures import PORTRAIT
from conformance.service import Request, Service
from conformance.shared import await_active, enroll

family = Family("idempotency")
case = family.case


def mismatch(answer: Answer, token: str) -> None:
    """Expects the error of a token that was used for something else."""
    assert answer.error == "IdempotentParameterMismatchException", answer.content
    text: Final = f"The ClientRequestToken: {token} you have supplied is already in use."
    assert answer.body["Message"] == text, answer.body["Message"]


def with_face(service: Service) -> tuple[str, str]:
    """Returns a new collection with the users ``u`` and ``v``, and the id of a face of nobody."""
    name = service.new_collection()
    for user in ("u", "v"):
        service.ok("CreateUser", CollectionId=name, UserId=user)
    return name, enroll(service, name, Image=PORTRAIT)


@case("CreateUser", "guide")
def _(service: Service) -> None:
    """The same request with the same token is no conflict."""
    token = service.new_name()
    name = service.new_collection()
    for _attempt in range(3):
        service.ok("CreateUser", CollectionId=name, UserId="u", ClientRequestToken=token)
    assert len(service.ok("ListUsers", CollectionId=name)["Users"]) == 1


@case("CreateUser", "guide")
def _(service: Service) -> None:
    """The same request with another token is a conflict."""
    token = service.new_name()
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u", ClientRequestToken=token)
    request = {"CollectionId": name, "UserId": "u", "ClientRequestToken": f"{token}-2"}
    assert service.call("CreateUser", request).error == "ConflictException"


@case("CreateUser", "recording:error-doc-idempotent")
def _(service: Service) -> None:
    """Another request with the same token is refused, and creates nothing."""
    name, token = service.new_collection(), service.new_name()
    service.ok("CreateUser", CollectionId=name, UserId="u", ClientRequestToken=token)
    mismatch(service.call("CreateUser", {"CollectionId": name, "UserId": "v", "ClientRequestToken": token}), token)
    assert len(service.ok("ListUsers", CollectionId=name)["Users"]) == 1


@case("DeleteUser", "guide")
def _(service: Service) -> None:
    """The same request with the same token is no error, though the user is gone."""
    token = service.new_name()
    name, _ = with_face(service)
    for _attempt in range(2):
        service.ok("DeleteUser", CollectionId=name, UserId="u", ClientRequestToken=token)


@case("DeleteUser", "recording:error-doc-idempotent")
def _(service: Service) -> None:
    """Another request with the same token is refused, and deletes nothing."""
    name, _ = with_face(service)
    token = service.new_name()
    service.ok("DeleteUser", CollectionId=name, UserId="u", ClientRequestToken=token)
    mismatch(service.call("DeleteUser", {"CollectionId": name, "UserId": "v", "ClientRequestToken": token}), token)
    assert [entry["UserId"] for entry in service.ok("ListUsers", CollectionId=name)["Users"]] == ["v"]


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """The same request with the same token has the first answer, though the face is associated by now."""
    token = service.new_name()
    name, face_id = with_face(service)
    request: Request = {"CollectionId": name, "UserId": "u", "FaceIds": [face_id], "ClientRequestToken": token}
    first = service.ok("AssociateFaces", **request)
    again = service.ok("AssociateFaces", **request)
    assert again["AssociatedFaces"] == first["AssociatedFaces"] == [{"FaceId": face_id}]


@case("AssociateFaces", "recording:error-doc-idempotent")
def _(service: Service) -> None:
    """Another request with the same token is refused."""
    name, face_id = with_face(service)
    token = service.new_name()
    request: Request = {"CollectionId": name, "UserId": "u", "FaceIds": [face_id], "ClientRequestToken": token}
    service.ok("AssociateFaces", **request)
    mismatch(service.call("AssociateFaces", {**request, "UserMatchThreshold": 1}), token)


@case("DisassociateFaces", "guide")
def _(service: Service) -> None:
    """The same request with the same token has the first answer, though the face is free by now."""
    token = service.new_name()
    name, face_id = with_face(service)
    service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    await_active(service, name, "u")
    request: Request = {"CollectionId": name, "UserId": "u", "FaceIds": [face_id], "ClientRequestToken": token}
    first = service.ok("DisassociateFaces", **request)
    again = service.ok("DisassociateFaces", **request)
    assert again["DisassociatedFaces"] == first["DisassociatedFaces"] == [{"FaceId": face_id}]


@case("DisassociateFaces", "recording:error-doc-idempotent")
def _(service: Service) -> None:
    """Another request with the same token is refused."""
    name, face_id = with_face(service)
    service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    await_active(service, name, "u")
    token = service.new_name()
    request: Request = {"CollectionId": name, "UserId": "u", "FaceIds": [face_id], "ClientRequestToken": token}
    service.ok("DisassociateFaces", **request)
    mismatch(service.call("DisassociateFaces", {**request, "UserId": "v"}), token)


@case("CreateUser", "ours")
def _(service: Service) -> None:
    """The same user in another collection is another request, so that its token must be another."""
    token = service.new_name()
    service.ok("CreateUser", CollectionId=service.new_collection(), UserId="u", ClientRequestToken=token)
    request = {"CollectionId": service.new_collection(), "UserId": "u", "ClientRequestToken": token}
    mismatch(service.call("CreateUser", request), token)


@case("CreateUser", "contract")
def _(service: Service) -> None:
    """A request that failed does not use its token up."""
    name = service.new_name()
    request = {"CollectionId": name, "UserId": "u", "ClientRequestToken": service.new_name()}
    assert service.call("CreateUser", request).error == "ResourceNotFoundException"
    service.ok("CreateCollection", CollectionId=name)
    service.ok("CreateUser", **request)
