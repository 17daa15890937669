"""How long work tells how far it has come: the one callback that all of it takes."""

from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""(what is done, of how much; None where that is not known) → None.

What is counted, bytes, faces or steps, the function that takes it says. Called now and then from the thread that does
the work, never with less done than before, unless work begins again; what it raises ends the work.
"""

ProgressOf = Callable[[str], Progress]
"""What is counted next, in the plural, such as ``faces`` → what is told of it: for work of several parts."""


def no_progress(_done: int, _total: int | None) -> None:
    """Listens to nothing: for whoever does not ask how far it is."""
