"""Tags: an operator's own notes on a collection, which mean nothing to us."""

from typing import Final

TAGS_MAX: Final = 50
"""Per collection. Source: AWS General Reference, "Tagging AWS resources"."""
