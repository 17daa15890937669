"""Defaults that AWS does not document, as we have chosen them.

Differs from AWS (#undocumented-defaults).
"""

from datetime import timedelta
from typing import Final

from rekognition_emulator.api.rekognition import UnsuccessfulFaceAssociationReason, UserStatus

MATCHES_DEFAULT: Final = 80
"""``MaxFaces`` and ``MaxUsers`` of the searches. Source: the default in notes of an early AWS SDK."""

PAGE_DEFAULT: Final = 1000
"""``MaxResults`` of the lists; also what 0, which the model allows, means. Source: commonly stated for AWS."""

USERS_PAGE_DEFAULT: Final = 500
"""``MaxResults`` of ListUsers. Ours: the largest that the model allows."""

USER_WITH_FACES: Final[UserStatus] = "ACTIVE"
"""Differs from AWS (#userstatus).

Also in the answers of AssociateFaces and DisassociateFaces, where AWS's examples have ``UPDATING``: here nothing is
left to do when the answer is sent, and "complete" is how the API reference explains ``ACTIVE``."""

USER_WITHOUT_FACES: Final[UserStatus] = "CREATED"
"""Also after the last face went: the API reference explains it as "has no FaceID(s) associated with it"."""

SURPLUS_FACE: Final[list[UnsuccessfulFaceAssociationReason]] = []
"""Why a face beyond a user's hundredth is not associated: AWS lists such faces, and has no name for the reason.
Differs from AWS (#faces-beyond-a-users-hundredth)."""

TOKEN_LIFETIME: Final = timedelta(hours=24)
"""For how long a ``ClientRequestToken`` is remembered. Ours: a client that retries does so within minutes, and one that
is restarted within a day; AWS keeps the page tokens of video results as long."""
