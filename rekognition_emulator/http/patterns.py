r"""Java's regular expressions, as the service model has them, in the syntax of the library ``regex``.

The standard library's ``re`` knows no ``\\p{L}``. ``regex`` (its version 1 syntax) knows nearly all that Java knows,
but three things mean something else there: ``\\d``, ``\\w`` and ``\\s`` are Unicode's where Java's are ASCII's, the dot
stops at ``\n`` only where Java's stops at every line end, and ``||``, ``--`` and ``~~`` are set operators.
"""

import re
from typing import Final

import regex

TRANSLATION: Final = {
    r"\d": "[0-9]",
    r"\D": "[^0-9]",
    r"\w": "[a-zA-Z_0-9]",
    r"\W": "[^a-zA-Z_0-9]",
    r"\s": r"[ \t\n\x0B\f\r]",
    r"\S": r"[^ \t\n\x0B\f\r]",
    ".": r"[^\n\r\x85\u2028\u2029]",
}
"""Source: documentation of java.util.regex.Pattern, predefined character classes and line terminators. A set within a
set is a union in both languages, so these stand inside brackets as well as outside."""

_PARTS: Final = re.compile(r"\\.|\|\||--|~~|.", re.DOTALL)


def compile_java(pattern: str) -> regex.Pattern[str]:
    """Returns the pattern, to be matched against whole strings, with the meaning that it has in Java.

    Raises:
        ValueError: it uses a construct that ``regex`` would read differently.
        regex.error: it is no regular expression.
    """
    translated = []
    depth = 0
    for part in _PARTS.findall(pattern):
        if part == "[":
            depth += 1
        elif part == "]":
            depth -= 1
        elif depth and part in {"||", "--", "~~"}:
            raise ValueError(f"{part} in a set of {pattern} is an operator here and none in Java")
        translated.append(part if depth and part == "." else TRANSLATION.get(part, part))
    return regex.compile("".join(translated), regex.V1)
