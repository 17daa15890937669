"""What nothing public settles: our choice where AWS documents no default. Changes when AWS does."""

from typing import Final

MATCHES_DEFAULT: Final = 80
"""``MaxFaces`` of the searches. Source: the default in notes of an early AWS SDK."""

PAGE_DEFAULT: Final = 1000
"""``MaxResults`` of the lists; also what 0, which the model allows, means. Source: commonly stated for AWS."""
