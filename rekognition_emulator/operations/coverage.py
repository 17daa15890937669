"""What is served and what is not, and why: every operation, and every member of a face's details."""

from collections.abc import Iterator, Mapping
from typing import Final

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.operations.registry import OPERATIONS

PAGE: Final = "/operations"
"""Where a server shows the table that an unsupported operation's answer points to."""

_PLANNED: Final = "planned: "
_OUT_OF_SCOPE: Final = "out of scope: "

_ABSENT: Final[Mapping[str, tuple[str, ...]]] = {
    _PLANNED + "faces in stored video": (
        "GetFaceDetection",
        "GetFaceSearch",
        "StartFaceDetection",
        "StartFaceSearch",
    ),
    _OUT_OF_SCOPE + "there is no set of celebrities whose pictures may be used": (
        "GetCelebrityInfo",
        "GetCelebrityRecognition",
        "RecognizeCelebrities",
        "StartCelebrityRecognition",
    ),
    _OUT_OF_SCOPE + "the video of a liveness check travels through another service": (
        "CreateFaceLivenessSession",
        "GetFaceLivenessSessionResults",
    ),
    _OUT_OF_SCOPE + "not about faces": (
        "DetectLabels",
        "DetectModerationLabels",
        "DetectProtectiveEquipment",
        "DetectText",
        "GetContentModeration",
        "GetLabelDetection",
        "GetMediaAnalysisJob",
        "GetPersonTracking",
        "GetSegmentDetection",
        "GetTextDetection",
        "ListMediaAnalysisJobs",
        "StartContentModeration",
        "StartLabelDetection",
        "StartMediaAnalysisJob",
        "StartPersonTracking",
        "StartSegmentDetection",
        "StartTextDetection",
    ),
    _OUT_OF_SCOPE + "live video comes from Kinesis": (
        "CreateStreamProcessor",
        "DeleteStreamProcessor",
        "DescribeStreamProcessor",
        "ListStreamProcessors",
        "StartStreamProcessor",
        "StopStreamProcessor",
        "UpdateStreamProcessor",
    ),
    _OUT_OF_SCOPE + "training of own labels": (
        "CopyProjectVersion",
        "CreateDataset",
        "CreateProject",
        "CreateProjectVersion",
        "DeleteDataset",
        "DeleteProject",
        "DeleteProjectPolicy",
        "DeleteProjectVersion",
        "DescribeDataset",
        "DescribeProjectVersions",
        "DescribeProjects",
        "DetectCustomLabels",
        "DistributeDatasetEntries",
        "ListDatasetEntries",
        "ListDatasetLabels",
        "ListProjectPolicies",
        "PutProjectPolicy",
        "StartProjectVersion",
        "StopProjectVersion",
        "UpdateDatasetEntries",
    ),
}

_REASONS: Final = {operation: reason for reason, operations in _ABSENT.items() for operation in operations}

if undecided := api.Operations.__annotations__.keys() - OPERATIONS.keys() - _REASONS.keys():
    raise RuntimeError(f"Nobody has decided whether {', '.join(sorted(undecided))} is served.")


def coverage() -> Iterator[tuple[str, str | None]]:
    """Yields every operation of the model, in order, with the reason why it has no handler; None if it has one."""
    for operation in sorted(api.Operations.__annotations__):
        yield operation, None if operation in OPERATIONS else _REASONS[operation]


_MEASURED: Final = "measured on every face"
_MESH: Final = "read off a mesh of the face, by MediaPipe's networks"
_SMILE: Final = f"{_MESH}; judged by the network for emotions as well, where it is at hand"
_AGE: Final = "age-v1, the mean of its scores ± 10 years; with its licence accepted, DeepFace's network"
_GENDER: Final = "gender-v1; with its licence accepted, DeepFace's network"
_EMOTIONS: Final = "face-api.js's expression network; with its licence accepted, DeepFace's network"
_HEAD: Final = (
    "the operator's own head, if `train-attributes` has fitted one; none whose licence allows it is known to us"
)
_WITH_MESH: Final = "measured on every face; with `ALL`, as a mesh of the face has it"

_FACE_DETAIL: Final[Mapping[str, tuple[str, ...]]] = {
    _MEASURED: ("BoundingBox", "Confidence", "Quality"),
    _WITH_MESH: ("Landmarks", "Pose"),
    _MESH: ("EyeDirection", "EyesOpen", "MouthOpen"),
    _SMILE: ("Smile",),
    _AGE: ("AgeRange",),
    _GENDER: ("Gender",),
    _EMOTIONS: ("Emotions",),
    _HEAD: ("Beard", "Eyeglasses", "FaceOccluded", "Mustache", "Sunglasses"),
}


def attribute_coverage() -> Iterator[tuple[str, str]]:
    """Yields every member of a FaceDetail, in the model's order, with where its value comes from."""
    sources = {member: source for source, members in _FACE_DETAIL.items() for member in members}
    for member in api.FaceDetail.__annotations__:
        yield member, sources[member]
