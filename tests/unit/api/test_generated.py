import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
from botocore.model import ServiceModel

import botocore_models
from botocore_models import generate
from rekognition_emulator.api import rekognition
from rekognition_emulator.api.core import ServiceError


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    """The whole service model."""
    return botocore_models.load()


def hints(name: str) -> dict[str, Any]:
    """The annotations of a generated class, NotRequired kept."""
    return typing.get_type_hints(getattr(rekognition, name), include_extras=True)


def test_generated_files_are_up_to_date() -> None:
    """The committed module and lock are what the generator makes of the installed botocore."""
    assert generate.main(["--check"]) == 0


def test_check_notices_a_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module or a lock that was edited by hand, or is missing, fails the check and is left as it is."""
    for name in ("MODULE", "LOCK"):
        file = tmp_path / name
        with monkeypatch.context() as patch:
            patch.setattr(generate, name, file)
            assert generate.main(["--check"]) == 1
            file.write_text("edited\n", encoding="utf-8")
            assert generate.main(["--check"]) == 1
            assert file.read_text(encoding="utf-8") == "edited\n"
            assert "-edited" in capsys.readouterr().err


def test_the_formatter_leaves_the_generated_module_alone() -> None:
    """Generating and formatting never fight over the same file."""
    command = [sys.executable, "-m", "ruff", "format", "--check", str(generate.MODULE)]
    assert subprocess.run(command, check=False).returncode == 0


def test_every_operation_has_a_type(model: ServiceModel) -> None:
    """The table of operations binds each operation to its own request and response."""
    operations = hints("Operations")
    assert list(operations) == list(model.operation_names)
    for name, record in operations.items():
        _, request, response = typing.get_args(record)
        operation = model.operation_model(name)
        assert (request.__name__, response.__name__) == (operation.input_shape.name, operation.output_shape.name)


def test_every_structure_has_the_members_of_the_model(model: ServiceModel) -> None:
    """Names and required members of all structures are those of the model."""
    errors = {shape.name for shape in model.error_shapes}
    for shape in map(model.shape_for, model.shape_names):
        if shape.type_name == "structure" and shape.name not in errors:
            members = hints(shape.name)
            assert list(members) == list(shape.members)
            if shape.required_members:
                optional = {name for name, hint in members.items() if typing.get_origin(hint) is typing.NotRequired}
                assert set(members) - optional == set(shape.required_members)
            else:
                assert not shape.members or not getattr(rekognition, shape.name).__total__


def test_every_enum_has_the_values_of_the_model(model: ServiceModel) -> None:
    """Enums are literals with the model's values in its order."""
    for shape in map(model.shape_for, model.shape_names):
        if shape.metadata.get("enum"):
            assert list(typing.get_args(getattr(rekognition, shape.name))) == shape.enum


def test_every_error_has_its_code_and_status(model: ServiceModel) -> None:
    """Errors carry the model's names as codes; all are 400 but the service's own failure and one quota."""
    statuses = {}
    for shape in model.error_shapes:
        error = getattr(rekognition, shape.name)("text")
        assert isinstance(error, ServiceError)
        assert (error.code, error.declared, error.message_key) == (shape.error_code, True, "Message")
        statuses[error.code] = error.status
    assert {code: status for code, status in statuses.items() if status != 400} == {
        "HumanLoopQuotaExceededException": 402,
        "InternalServerError": 500,
    }


def test_lock_names_what_changed_and_ignores_descriptions() -> None:
    """The digest of a shape moves with its members and constraints, and not with AWS's prose about it."""
    description = botocore_models.description()
    before = generate.render_lock(description).splitlines()
    shape = description["shapes"]["CollectionId"]
    shape["documentation"] = "another text"
    assert generate.render_lock(description).splitlines() == before
    shape["max"] = 254
    changed = [line for line in generate.render_lock(description).splitlines() if line not in before]
    assert [line.split()[:2] for line in changed] == [["shape", "CollectionId"]]
