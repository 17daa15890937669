from rekognition_emulator.api import rekognition as api
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.domain import errors
from rekognition_emulator.operations.error_map import ERROR_MAP, translate_error


def test_every_error_of_ours_is_one_of_the_services() -> None:
    """Nothing that a caller can do wrong leaves as an internal error, because no class is missing from the table."""
    classes = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.FaceError)}
    assert classes - {errors.FaceError} == set(ERROR_MAP)


def test_texts_name_what_is_wrong() -> None:
    """Errors about users, tags and tokens carry the service's code and the name that the client knows."""
    expected: dict[Exception, tuple[type[ServiceError], str]] = {
        errors.UserNotFound("ann"): (api.ResourceNotFoundException, "ann"),
        errors.UserExists("ann"): (api.ConflictException, "ann"),
        errors.UserFull("ann", 100): (api.ServiceQuotaExceededException, "100"),
        errors.TooManyTags("album", 50): (api.ServiceQuotaExceededException, "50"),
        errors.TokenInUse("t-1"): (api.IdempotentParameterMismatchException, "t-1"),
    }
    for error, (code, part) in expected.items():
        answer = translate_error(error, "AssociateFaces")
        assert type(answer) is code
        assert part in (answer.message or "")
