"""How commands say counts and the system's errors in sentences."""


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as ``1 face`` or ``1,204 faces``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def in_words(error: Exception) -> str:
    """Returns the text of an error; of the system's without its number: ``notes.txt: Permission denied``."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part is not None)
    return str(error)
