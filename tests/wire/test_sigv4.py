import pytest

from rekognition_emulator.wire.sigv4 import scope_region


@pytest.mark.parametrize(
    ("scope", "region"),
    [
        ("AKIDEXAMPLE/20260101/eu-west-1/rekognition/aws4_request", "eu-west-1"),
        ("AKIDEXAMPLE/20260101/us-gov-west-1/rekognition/aws4_request", "us-gov-west-1"),
        ("AKIDEXAMPLE/20260101/ap-southeast-12/rekognition/aws4_request", "ap-southeast-12"),
        ("AKIDEXAMPLE/20260101/eu-west-1/s3/aws4_request", None),
        ("AKIDEXAMPLE/20260101/local/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/eu-west-1;drop/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/../rekognition/aws4_request", None),
        ("AKIDEXAMPLE/2026/eu-west-1/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/eu-west-1/rekognition/aws4_requests", None),
        ("", None),
    ],
)
def test_reads_the_region_of_the_credential_scope(scope: str, region: str | None) -> None:
    """Only a scope of exactly AWS's form, for this service, names a region."""
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=0123"
    assert scope_region(header) == region
    assert scope_region(header.replace(", ", ",")) == region


def test_takes_any_header() -> None:
    """A header that is no signature at all names no region."""
    assert scope_region("") is None
    assert scope_region("Basic dXNlcjpwYXNz") is None
