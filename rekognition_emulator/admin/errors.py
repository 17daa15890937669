"""The error of whatever an operator asks for and cannot have."""


class Refused(Exception):
    """What was asked for cannot be done, and nothing was changed; the text says why, in a sentence for operators."""


def require(condition: object, sentence: str) -> None:
    """Raises ``Refused`` with this sentence unless the condition holds."""
    if not condition:
        raise Refused(sentence)
