"""A look at the environment for variables that are nearly settings: where one is misspelt, what it guards is open."""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final

from rekognition_emulator.settings import PREFIX, SERVICE_ADDRESS, Settings

GUARDING: Final = frozenset(
    {"account_requests_per_second", "auth", "cors_origins", "host", "metrics_host", "s3_buckets"}
)
"""Settings that keep somebody from something: where one of them is meant and misspelt, more is open than should be."""

NEAR: Final = 0.8
NEAR_GUARDING: Final = 0.6
"""From which likeness on, of 1, an unknown name is taken for a misspelt one. Ours: two wrong letters of ten, and for
those settings the wrong words as well, such as ``s3_allowed_buckets``."""

_NOT_OURS: Final = re.compile(r"endpoint_url|test_.*")
"""Variables that others read: the demonstration, and the tests."""

_WORDS: Final = frozenset({"recognition", "cognition", "precognition"})
"""Words of English that another program may be called, whose settings are none of ours unless they guard something."""

_SERVICE: Final = re.compile(r"(.*_)?(service_host|service_port(_.*)?|port_\d+_(tcp|udp|sctp)(_.*)?)")
"""Names that Kubernetes gives variables of each pod for each Service, whatever it is called."""


WORD_CHARS_MIN: Final = 4
"""From which length on a word says what a setting is about."""


class SettingsMisspelt(Exception):
    """A variable is nearly one of ours, or would do the opposite of what it says; the text tells which."""


def unknown_variables(environment: Mapping[str, str]) -> Sequence[str]:
    """Returns the variables that begin as settings do, and are none, nor like one.

    Letter case does not count, here as for the settings themselves.

    Raises:
        SettingsMisspelt: one is like a setting, two differ in letter case and value, or the list of buckets is empty.
    """
    unknown: list[str] = []
    values: dict[str, str] = {}
    for variable, value in environment.items():
        first, name = _parted(variable)
        if _SERVICE.fullmatch(name) or SERVICE_ADDRESS.fullmatch(value):
            continue
        if first == "rekognition" and values.setdefault(name, value) != value:
            raise SettingsMisspelt(f"{PREFIX}{name.upper()} is there twice, in different letter case and values.")
        if (first, name, value) == ("rekognition", "s3_buckets", ""):
            raise SettingsMisspelt(
                f"{PREFIX}S3_BUCKETS is empty, and an empty setting counts as none, which would open all buckets: name "
                "those that may be read, or remove the variable if all may be."
            )
        if variable.upper() == PREFIX + name.upper() and (name in Settings.model_fields or _NOT_OURS.fullmatch(name)):
            continue
        if _likeness(first, "rekognition") < NEAR or (first in _WORDS and name not in GUARDING - {"host"}):
            continue
        if meant := _meant(name):
            raise SettingsMisspelt(f"{variable} is no setting: {PREFIX}{meant.upper()} is.")
        if first == "rekognition":
            unknown.append(variable)
    return unknown


def similar_settings(variable: str) -> Sequence[str]:
    """Returns the settings that have a word of an unknown variable in their names, as variables."""
    _, name = _parted(variable)
    words = [word for word in name.split("_") if len(word) >= WORD_CHARS_MIN]
    return [PREFIX + each.upper() for each in Settings.model_fields if any(word in each for word in words)]


def _parted(variable: str) -> tuple[str, str]:
    """Returns the first word of a variable, and the rest, in small letters."""
    first, *rest = re.split("[^a-z0-9]", variable.casefold(), maxsplit=1)
    return first, "".join(rest)


def _meant(name: str) -> str | None:
    """Returns the setting that a name is like, the most like one; None if it is like none."""
    if swapped := next((each for each in Settings.model_fields if sorted(each) == sorted(name)), None):
        return swapped
    likeness, setting = max((_likeness(name, setting), setting) for setting in Settings.model_fields)
    guarding, guard = max((_likeness(name, setting), setting) for setting in GUARDING)
    return setting if likeness >= NEAR else guard if guarding >= NEAR_GUARDING else None


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
