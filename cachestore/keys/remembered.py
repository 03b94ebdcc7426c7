"""What was found out about functions, classes and modules, for as long as they live."""

from __future__ import annotations

from functools import partial
from typing import Any, Generic, TypeVar
from weakref import ref

Found = TypeVar("Found")

# What is remembered of a class may keep it alive (a property knows its functions, and these the class).
_MOST = 1000


class Remembered(Generic[Found]):
    """Holds something for each object, by its identity: a metaclass may say that two classes are equal.

    Examples
    --------
    >>> known = Remembered()
    >>> def work(): ...
    >>> known.set(work, 3)
    >>> known.get(work)
    3
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, tuple[ref[Any], Found]] = {}

    def get(self, value: Any) -> Found | None:
        """Return what is remembered of an object; None if nothing is."""
        known = self._found.get(id(value))
        # Another object may have come to where this one was.
        return known[1] if known is not None and known[0]() is value else None

    def set(self, value: Any, found: Found) -> None:
        """Remember something of an object."""
        if len(self._found) >= _MOST:
            self._found.clear()
        # What is remembered of a closure holds on to what is in it.
        self._found[id(value)] = (ref(value, partial(_forget, self._found, id(value))), found)


def _forget(found: dict[int, tuple[ref[Any], Any]], identity: int, died: ref[Any]) -> None:
    if identity in found and found[identity][0] is died:
        del found[identity]
