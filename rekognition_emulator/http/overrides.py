"""A check that what a class of ours overrides is there to be overridden, for base classes that promise no interface.

A method that a new version of a library has renamed would be called no more, and nothing would say so.
"""

import inspect
from collections.abc import Iterator
from importlib.metadata import version


class OverriddenIsGone(Exception):
    """A library is too old or too new for what we override of it; the text says what to install."""


def check_overrides(ours: type, distribution: str) -> None:
    """Holds the methods of a class against those of its base.

    An override is what has a public name, since the library calls it by that, or what calls its base's of that name.

    Args:
        ours: a class with one base.
        distribution: what the base comes from.

    Raises:
        OverriddenIsGone: the base lacks one of them, or calls it with other arguments.
    """
    (base,) = ours.__bases__
    for name in _overrides(ours):
        theirs = getattr(base, name, None)
        if theirs is None or list(_parameters(theirs)) != list(_parameters(getattr(ours, name))):
            raise OverriddenIsGone(
                f"{distribution} {version(distribution)} will not do: {base.__name__} has no method {name}"
                f"({', '.join(_parameters(getattr(ours, name)))}), which we override. requirements.lock names a "
                "version that has it."
            )


def _overrides(ours: type) -> Iterator[str]:
    for name, member in vars(ours).items():
        if inspect.isfunction(member) and not name.startswith("__"):
            used = member.__code__.co_names
            if not name.startswith("_") or ("super" in used and name in used):
                yield name


def _parameters(method: object) -> Iterator[str]:
    """Yields the names of what is passed; what it is passed to has whatever name."""
    assert callable(method)
    yield from list(inspect.signature(method).parameters)[1:]
