"""Changes when we read more of a request's Signature Version 4: so far its region; nothing is verified.

Source: AWS General Reference, signed requests: ``Credential=<key>/<date>/<region>/<service>/aws4_request``.
"""

import re
from typing import Final

SERVICE: Final = "rekognition"
_CREDENTIAL: Final = re.compile(
    rf"\bCredential=[^/,\s]+/[0-9]{{8}}/([a-z]{{2}}(?:-[a-z]+)+-[0-9]{{1,2}})/{SERVICE}/aws4_request\b"
)


def scope_region(authorization: str) -> str | None:
    """Returns the region of an Authorization header's credential scope; None if it names none of AWS's form."""
    found = _CREDENTIAL.search(authorization)
    return found[1] if found else None
